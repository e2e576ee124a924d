"""``runbus nodes source`` and ``runbus nodes discover``, as their users have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from runbus.cli import exits
from schemas.codec import decode
from schemas.sources import SourceList
from tests.integration.cli_system import Cli
from tests.integration.test_cli_lists import facts, narrow
from tests.integration.test_node_sources import nodes_script, with_lab
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


async def test_a_source_from_its_first_to_its_last_day(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    cli = Cli.of(system)
    file = tmp_path / "lab.yaml"
    file.write_text("a: {hostname: 10.0.0.1, tags: x}\nb: {hostname: 10.0.0.2}\n")
    none = await cli("nodes", "source", "list")
    assert (none.code, none.text) == (0, "")
    assert "runbus nodes source add" in none.err

    added = await cli("nodes", "source", "add", "lab", "--type", "file", "--tags", "LAB", "--config", f"file={file}",
                      "--interval", "never")  # fmt: skip
    assert added.code == 0, added.err
    assert "added lab (file), asking a runner of LAB" in added.text
    assert "r1 (Healthy) bears the plugin, version " in added.text
    assert "lab: 2 nodes, 2 added, 0 changed, 0 gone; r1 answered in " in added.text
    again = await cli("nodes", "source", "add", "lab", "--type", "file", "--tags", "LAB")
    assert (again.code, "choose another name" in again.err) == (exits.ERROR, True)

    listed = await cli("nodes", "source", "list", env={"COLUMNS": "80"})
    assert narrow(listed)[1].split()[:2] == ["lab", "file"]
    assert facts(await cli("nodes", "source", "show", "lab"))["every"] == "never: on request"

    file.write_text("a: {")
    failed = await cli("nodes", "source", "refresh")
    assert failed.code == exits.PROBLEMS
    assert "lab: failed after " in failed.err
    assert "its 2 nodes of " in failed.err
    sources = decode((await cli("nodes", "source", "list", "--json")).out, SourceList).sources
    assert [(each.definition.name, each.state.failures, each.state.count) for each in sources] == [("lab", 1, 2)]

    file.write_text("a: {hostname: 10.0.0.9, tags: x}\nc: {}\n")
    tested = await cli("nodes", "source", "test", "lab")
    assert "2 nodes; r1 answered in " in tested.text
    assert "Nothing is stored." in tested.text
    changed = await cli("nodes", "source", "set", "lab", "--config", "format=resourceyaml", "--timeout", "30s")
    assert "lab: 2 nodes, 1 added, 1 changed, 1 gone" in changed.text
    inventory = json.loads((await cli("nodes", "list", "tags: x", "--format", "ansible")).out)
    assert inventory["all"]["hosts"] == {"a": {"ansible_host": "10.0.0.9"}}

    file.write_text("a: {hostname: 10.0.0.9, tags: x}\n")
    again = await cli("nodes", "source", "set", "lab", "--unset", "format", "--config", "format=resourcejson")
    assert "its 2 nodes of " in again.err, "what is set holds, and no JSON is what the file is"
    assert (await cli("nodes", "source", "set", "lab", "--unset", "format")).code == 0
    unset = await cli("nodes", "source", "set", "lab", "--unset", "fromat")
    assert (unset.code, "has no such setting; there are: file." in unset.err) == (exits.USAGE, True)
    file.write_text("a: {")
    assert "  its 1 node of " in (await cli("nodes", "source", "refresh", "lab")).err

    removed = await cli("nodes", "source", "remove", "lab")
    assert removed.text == "Removed node source lab, and its nodes.\n"
    assert (await cli("nodes", "list")).text == ""


async def test_a_file_of_sources(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    cli = Cli.of(system)
    script = tmp_path / "nodes.sh"
    script.write_text(nodes_script(script, "s1"))
    (cli.directory / "sources.yaml").write_text(f"""\
- {{name: files, type: file, tags: LAB, interval: never, config: {{file: {tmp_path / "none.yaml"}}}}}
- {{name: scripts, type: script, tags: LAB, interval: 1h,
    config: {{file: {script}, interpreter: sh, format: resourceyaml}}}}
""")
    added = await cli("nodes", "source", "add", "--file", "sources.yaml")
    assert added.code == 0, added.err
    assert [line.split()[1] for line in added.text.splitlines() if line.startswith("added")] == ["files", "scripts"]
    assert "none.yaml" in added.err, "a file that is not there is warned of"
    assert [line.split()[0] for line in (await cli("nodes", "list")).text.splitlines()[1:]] == ["s1"]
    for words in (
        ("x",),
        ("--tags", "LAB"),
        ("--type", "file"),
        ("--interval", "never"),
        ("--position", "1"),
        ("--local",),
    ):
        wrong = await cli("nodes", "source", "add", "--file", "sources.yaml", *words)
        assert (wrong.code, wrong.text) == (exits.USAGE, ""), words


async def test_each_source_is_told_of_when_it_is_known(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    cli = Cli.of(system)
    held, file = tmp_path / "held.sh", tmp_path / "fast.yaml"
    held.write_text(f"while [ -e {tmp_path}/hold ]; do sleep 0.05; done; echo 's1: {{}}'\n")
    file.write_text("a: {}\n")
    (tmp_path / "hold").touch()
    (cli.directory / "sources.yaml").write_text(f"""\
- {{name: slow, type: script, tags: 'LAB, lab', interval: never, timeout: 60,
    config: {{file: {held}, interpreter: sh, format: resourceyaml}}}}
- {{name: fast, type: file, tags: LAB, interval: never, config: {{file: {file}}}}}
""")
    adding = await cli.start("nodes", "source", "add", "--file", "sources.yaml")
    await adding.says("added slow (script), asking a runner of LAB+lab\n", on="out")
    await adding.says("fast: 1 node, 1 added", on="out")
    (tmp_path / "hold").unlink()
    added = await adding.end()
    assert [line.split()[0] for line in added.text.splitlines() if " added, " in line] == ["fast:", "slow:"]

    (tmp_path / "hold").touch()
    asking = await cli.start("nodes", "source", "refresh", "slow", "fast", "slow")
    assert "slow" not in await asking.says("fast: 1 node, 0 added", on="out")
    (tmp_path / "hold").unlink()
    assert [line.split()[0] for line in (await asking.end()).text.splitlines()] == ["fast:", "slow:"]
    as_json = await cli("nodes", "source", "refresh", "--json")
    assert [state["source"] for state in as_json.json] == ["slow", "fast"], "in order"


async def test_warnings_of_a_source_bear_its_name_and_no_commands_for_a_terminal(
    system: System, tmp_path: Path
) -> None:
    await with_lab(system)
    cli = Cli.of(system)
    script = tmp_path / "nodes.sh"
    script.write_text("printf '\\033[2Jcareful\\n' >&2; echo '- {nodename: a}'; echo '- {nodename: a}'\n")
    words = ("--type", "script", "--tags", "LAB", "--config", f"file={script}", "--config", "interpreter=sh")
    added = await cli("nodes", "source", "add", "lab", *words, "--config", "format=resourceyaml")
    assert f"Warning: lab: {script} wrote to stderr: \N{REPLACEMENT CHARACTER}[2Jcareful\n" in added.err
    assert f"Warning: lab: the output of {script}: the name 'a' stands more than once; of each" in added.err
    script.write_text("exit 1\n")
    failed = await cli("nodes", "source", "refresh")
    assert f": {script} ended with exit code 1: " in failed.err
    assert "Warning" not in failed.err, "those are of the nodes it had before"
    assert (await cli("nodes", "source", "set", "lab", "--disable")).code == 0
    none = await cli("nodes", "source", "refresh")
    assert (none.code, none.text) == (0, "")
    assert none.err == "All node sources are disabled. 'runbus nodes source set NAME --enable' has one asked.\n"
    off = await cli("nodes", "source", "list")
    assert (off.text.splitlines()[1].split()[-1], off.err) == ("disabled", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "x"), exits.USAGE, "Give its --type"),
        (
            ("add", "x", "--type", "nothing", "--tags", "LAB"),
            exits.ERROR,
            "The nothing plugin was not found",
        ),
        (("add", "x", "--type", "file", "--tags", "NOWHERE"), exits.ERROR, "bears nowhere"),
        (("add", "x y", "--type", "file", "--tags", "LAB"), exits.ERROR, "is not a valid name"),
        (("add", "x", "--type", "file", "--config", "file"), exits.USAGE, "write NAME=VALUE"),
        (("add", "x", "--type", "file", "--interval", "soon"), exits.USAGE, "is no interval"),
        (("add", "x", "--type", "file", "--timeout", "never"), exits.USAGE, "a refresh cannot go on for ever"),
        (("set", "x", "--timeout", "0"), exits.USAGE, "give it a limit, 1h at most"),
        (("test", "x", "--timeout", "61m"), exits.USAGE, "'61m' is no time above 0, 1h at most"),
        (("add", "x", "--type", "vmware", "--tags", "LAB", "--config", "password=a"), exits.ERROR, "holds a secret"),
        (("show", "x"), exits.ERROR, "has no node source 'x'"),
        (("refresh", "x"), exits.ERROR, "has no node source 'x'"),
        (("remove", "x"), exits.ERROR, "has no node source 'x'"),
        (("set", "x", "--disable"), exits.ERROR, "has no node source 'x'"),
    ],
)
async def test_what_is_refused(system: System, words: tuple[str, ...], code: int, said: str) -> None:
    await with_lab(system)
    refused = await Cli.of(system)("nodes", "source", *words)
    assert (refused.code, refused.text) == (code, "")
    assert said in refused.err


@pytest.mark.parametrize("words", [("add", "x", "--type", "vmware"), ("test", "x", "--type", "vmware")])
async def test_a_secret_among_the_settings_does_not_reach_the_bus(system: System, words: tuple[str, ...]) -> None:
    await with_lab(system)
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    listener = await system.bus.client.subscribe(f"{system.subjects.prefix}.>", cb=hear)
    refused = await Cli.of(system)("nodes", "source", *words, "--config", "password=clear-text")
    assert "holds a secret" in refused.err
    await system.bus.client.publish(f"{system.subjects.prefix}.last", b"last")
    await eventually(lambda: b"last" in heard, what="what was published is heard")
    await listener.unsubscribe()
    assert not [data for data in heard if b"clear-text" in data]


async def test_a_plugin_is_tried_without_a_bus(system: System, tmp_path: Path) -> None:
    cli = Cli.of(system)
    file = tmp_path / "nodes.json"
    file.write_text('{"b": {"hostname": "10.0.0.2"}, "a": {"tags": "x, y"}}')
    shown = await cli("nodes", "discover", "file", "--config", f"file={file}", "--config", "odd=1")
    assert [line.split()[0] for line in shown.text.splitlines()] == ["NODE", "a", "b"]
    assert "setting 'odd' means nothing to file" in shown.err
    document = await cli("nodes", "discover", "file", "--config", f"file={file}", "--yaml")
    assert document.text.startswith("a:\n")
    file.write_text("[")
    broken = await cli("nodes", "discover", "file", "--config", f"file={file}", "--json")
    assert broken.code == exits.ERROR
    assert json.loads(broken.out)["error"]["details"]["reason"] == "malformed"
    unknown = await cli("nodes", "discover", "datadog-resource-model")
    assert "is not installed here" in unknown.err
