"""The node source ``script``: real programs, what they print, and every way in which they go wrong."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from benchmarks.nodes import sample
from domain.nodes.formats import write_nodes
from runbus.plugin import ENTRY_POINT_GROUP, Discovered, SourceFailure
from schemas.errors import ErrorCode, RunbusError
from services.runner.discovery import Discoverer, Question
from services.runner.inventory import PluginInventory
from tests.support.keydirs import own_keys

WITHIN_S = 20.0
SECRETS = ["hunter2", "correct horse", "first line\nsecond line"]


async def ask(file: str | Path, *, timeout_s: float = WITHIN_S, **config: str) -> Discovered:
    entry = EntryPoint("node-source/script", "services.runner.sources.script:ScriptNodes", ENTRY_POINT_GROUP)
    plugins = PluginInventory("web-1", [entry])
    plugins.load()
    env = {"PATH": os.environ["PATH"], "SITE": "north"}
    asked = Discoverer(runner="web-1", plugins=plugins, keys=own_keys(None, "web-1"), env=env, env_secrets=SECRETS)
    settings = {"file": str(file), "format": "resourceyaml", **config}
    return await asked.discover(
        Question(project="shop", source="s1", type="script", config=settings, timeout_s=timeout_s)
    )


async def refused(file: str | Path, reason: SourceFailure, *, timeout_s: float = WITHIN_S, **config: str) -> str:
    with pytest.raises(RunbusError) as caught:
        await ask(file, timeout_s=timeout_s, **config)
    assert caught.value.code is ErrorCode.DISCOVERY_FAILED
    assert caught.value.details["reason"] == reason
    assert "Traceback" not in caught.value.message
    return caught.value.message


def script(directory: Path, body: str, first: str = "#!/bin/sh", mode: int = 0o755) -> Path:
    path = directory / "nodes.sh"
    path.write_text(f"{first}\n{body}\n")
    path.chmod(mode)
    return path


def python(directory: Path, body: str) -> Path:
    return script(directory, body, f"#!{sys.executable}")


ARGUMENTS = "import sys, json; print(json.dumps({'n': {str(i): v for i, v in enumerate(sys.argv[1:])}}))"


async def gone(pid: int) -> bool:
    async with asyncio.timeout(WITHIN_S):
        while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110 - it is no child of ours
            await asyncio.sleep(0.01)
    return True


async def test_what_a_script_prints_is_read(tmp_path: Path) -> None:
    found = await ask(script(tmp_path, "echo 'b: {tags: [t]}'; echo 'a: {hostname: h}'"))
    assert [(node.name, node.attributes, node.tags) for node in found.nodes] == [
        ("a", {"hostname": "h"}, []),
        ("b", {}, ["t"]),
    ]
    assert found.warnings == []
    xml = script(tmp_path, """echo '<p><node name="x"/></p>'""")
    assert [node.name for node in (await ask(xml, format="resourcexml")).nodes] == ["x"]
    assert [node.name for node in (await ask(xml, format="text/xml")).nodes] == ["x"]
    assert (await ask(script(tmp_path, "echo '{}'"))).nodes == []


async def test_where_a_script_runs(tmp_path: Path) -> None:
    body = (
        "read line; echo \"n: {cwd: '$(pwd)', site: $SITE, p: $RD_CONTEXT_PROJECT$RD_RUNDECK_PROJECT, in: '$line'}\""
    )
    (node,) = (await ask(script(tmp_path, body))).nodes
    directory = node.attributes.pop("cwd")
    assert node.attributes == {"site": "north", "p": "shopshop", "in": ""}
    assert not Path(directory).exists()  # it was its own, and is removed


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("", []),
        ("a  b", ["a", "b"]),
        ("""'a b' "c d" --x="e f" g""", ["a b", "c d", "--x=e f", "g"]),
        ("""'' "it's" \\d #x $HOME *""", ["", "it's", "\\d", "#x", "$HOME", "*"]),
        ("-p ${context.project} ${rundeck.project} ${option.x}", ["-p", "shop", "shop", "${option.x}"]),
    ],
)
async def test_arguments_are_split(tmp_path: Path, args: str, expected: list[str]) -> None:
    for interpreter, mode in (("", 0o755), (f"{sys.executable} -u", 0o644)):
        path = python(tmp_path, ARGUMENTS)
        path.chmod(mode)
        (node,) = (await ask(path, args=args, interpreter=interpreter)).nodes
        assert list(node.attributes.values()) == expected


async def test_file_and_arguments_as_one(tmp_path: Path) -> None:
    path = python(tmp_path, ARGUMENTS)
    args = "a 'b c' ${context.project} $SITE"
    (node,) = (await ask(path, interpreter="/bin/sh -c", args=args, argsQuoted="true")).nodes
    assert list(node.attributes.values()) == ["a", "b c", "shop", "north"]
    (node,) = (await ask(path, interpreter="/bin/sh -c", argsQuoted="true")).nodes
    assert node.attributes == {}
    (node,) = (await ask(path, args="a 'b c'", argsQuoted="true")).nodes
    assert list(node.attributes.values()) == ["a", "b c"]


async def test_an_exit_code_is_a_failure_with_the_end_of_stderr(tmp_path: Path) -> None:
    body = "echo 'a: {}'; seq 1000 >&2; echo 'login with hunter2 failed' >&2; exit 3"
    path = script(tmp_path, body)
    message = await refused(path, SourceFailure.FAILED)
    assert f"{path} ended with exit code 3: 997 / 998 / 999 / 1000 / login with [SECURE]" in message
    assert "hunter2" not in message
    assert "wrote nothing to stderr" in await refused(script(tmp_path, "exit 1"), SourceFailure.FAILED)
    assert "signal SIGKILL" in await refused(script(tmp_path, "kill -9 $$"), SourceFailure.FAILED)


async def test_a_secret_is_masked_before_what_a_script_said_is_cut(tmp_path: Path) -> None:
    long = "'correct horse'$(printf ' w%.0s' $(seq 246))"
    for said in (long, "'of first line\nsecond line'"):
        path = script(tmp_path, f"echo 'a: {{}}'; echo {said} >&2")
        (warning,) = (await ask(path)).warnings
        assert "[SECURE]" in warning
        assert not {"horse", "first", "second"} & set(warning.split()), warning


async def test_names_that_a_script_prints_twice_are_warned_of(tmp_path: Path) -> None:
    path = script(tmp_path, "echo '- {nodename: a}'; echo '- {nodename: a, x: y}'; echo careful >&2")
    found = await ask(path)
    assert [(node.name, node.attributes) for node in found.nodes] == [("a", {"x": "y"})]
    assert found.warnings == [
        f"{path} wrote to stderr: careful",
        f"the output of {path}: the name 'a' stands more than once; of each name the last holds",
    ]


async def test_what_a_successful_script_writes_to_stderr_is_a_warning(tmp_path: Path) -> None:
    path = script(tmp_path, "echo 'a: {}'; echo careful >&2")
    found = await ask(path)
    assert [node.name for node in found.nodes] == ["a"]
    assert found.warnings == [f"{path} wrote to stderr: careful"]
    found = await ask(script(tmp_path, "echo 'a: {}'; echo $(seq 2000) >&2"))
    assert len(found.warnings[0]) < 700
    assert "stderr: ...1" in found.warnings[0]
    assert found.warnings[0].endswith(" 1999 2000")
    found = await ask(script(tmp_path, "echo 'a: {}'; printf 'x%.0s' $(seq 2000) >&2"))
    assert found.warnings[0].endswith("stderr: ...")


async def test_a_script_that_prints_nothing(tmp_path: Path) -> None:
    assert "printed nothing: it has to print" in await refused(script(tmp_path, "true"), SourceFailure.MALFORMED)
    assert "printed nothing: why" in await refused(script(tmp_path, "echo why >&2"), SourceFailure.MALFORMED)


@pytest.mark.parametrize(
    ("body", "name", "place", "part"),
    [
        ("echo 'a: {}'; echo 'b: ['", "resourceyaml", ":3: ", "not valid YAML"),
        ("echo 'Connecting ...'; echo 'a: {}'", "resourceyaml", ":2: ", "not valid YAML"),
        ("echo '[1,'", "resourcejson", ": ", "not valid JSON"),
        ("echo '<p><node/></p>'", "resourcexml", ":1: ", "no 'name'"),
        ("echo '<!DOCTYPE p [<!ENTITY a \"b\">]><p>&a;</p>'", "resourcexml", ":1: ", "entities"),
        (r"printf '\377'", "resourceyaml", ":1: ", "UTF-8"),
    ],
)
async def test_output_that_holds_no_nodes(tmp_path: Path, body: str, name: str, place: str, part: str) -> None:
    path = script(tmp_path, body)
    message = await refused(path, SourceFailure.MALFORMED, format=name)
    assert f"the output of {path}{place}" in message
    assert part in message


@pytest.mark.slow
async def test_a_script_that_never_ends_is_ended_at_the_deadline(tmp_path: Path) -> None:
    body = f"trap '' TERM; echo $$ > {tmp_path}/pids; (trap '' TERM; sleep 600) & echo $! >> {tmp_path}/pids; wait"
    began = time.monotonic()
    message = await refused(script(tmp_path, body), SourceFailure.TIMEOUT, timeout_s=1)
    assert time.monotonic() - began < 8
    assert "had not answered after 1 s" in message
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all([await gone(pid) for pid in pids])


@pytest.mark.slow
async def test_the_end_of_stderr_is_told_of_a_script_that_never_ends(tmp_path: Path) -> None:
    body = "seq 1000 >&2; echo 'login with hunter2' >&2; printf 'password: hunt' >&2; exec sleep 600"
    message = await refused(script(tmp_path, body), SourceFailure.TIMEOUT, timeout_s=1)
    assert message.endswith(
        "it had not answered after 1 s; until then it wrote to stderr: "
        "998 / 999 / 1000 / login with [SECURE] / password:."
    ), "what may be the beginning of a secret is left out"
    message = await refused(script(tmp_path, "exec sleep 600"), SourceFailure.TIMEOUT, timeout_s=1)
    assert message.endswith("it had not answered after 1 s; it wrote nothing to stderr until then.")


async def test_two_gigabytes_are_refused_soon(tmp_path: Path) -> None:
    body = f"echo $$ > {tmp_path}/pid; exec head -c 2147483648 /dev/zero"
    began = time.monotonic()
    message = await refused(script(tmp_path, body), SourceFailure.TOO_LARGE)
    assert "more than 256 MiB" in message
    assert time.monotonic() - began < 15
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_more_than_a_format_holds_is_refused(tmp_path: Path) -> None:
    path = script(tmp_path, f"exec head -c {33 << 20} /dev/zero")
    assert "longer than the 32 MiB" in await refused(path, SourceFailure.TOO_LARGE)


async def test_what_cannot_be_run(tmp_path: Path) -> None:
    missing = tmp_path / "no.sh"
    assert f"no file {missing}" in await refused(missing, SourceFailure.NOT_FOUND)
    assert "is a directory" in await refused(tmp_path, SourceFailure.CONFIGURATION)
    path = script(tmp_path, "echo 'a: {}'", mode=0o644)
    assert "not executable" in await refused(path, SourceFailure.FAILED)
    assert "no-such-sh" in await refused(path, SourceFailure.NOT_FOUND, interpreter="no-such-sh -x")
    path = script(tmp_path, "echo 'a: {}'", "#!/no/such/sh")
    assert "interpreter" in await refused(path, SourceFailure.NOT_FOUND)


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"file": "nodes.sh"}, "absolute path"),
        ({"file": ""}, "'file' is missing"),
        ({"format": ""}, "'format' is missing"),
        ({"format": "csv"}, "'csv', which is not known"),
        ({"args": "a 'b"}, "'args' a quote is not closed"),
        ({"interpreter": 'sh "'}, "'interpreter' a quote is not closed"),
        ({"argsQuoted": "perhaps"}, "'argsQuoted'"),
    ],
)
async def test_settings_that_are_refused(config: dict[str, str], part: str) -> None:
    given = {"file": "/bin/true", "format": "resourceyaml", "args": "", "interpreter": "", "argsQuoted": ""} | config
    file, name = given["file"], given["format"]
    message = await refused(
        file, SourceFailure.CONFIGURATION, format=name, args=given["args"], interpreter=given["interpreter"],
        argsQuoted=given["argsQuoted"],
    )  # fmt: skip
    assert part in message


@pytest.mark.slow
async def test_a_long_output(tmp_path: Path) -> None:
    nodes = sample(20_000)
    (tmp_path / "nodes.json").write_text(write_nodes("resourcejson", nodes))
    assert (await ask(tmp_path / "nodes.json", interpreter="cat", format="resourcejson")).nodes == nodes
