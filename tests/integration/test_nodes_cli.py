"""``runbus nodes``, ``runbus project set`` and ``runbus runner nodes``, as their users have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.nodes.formats import read_nodes
from schemas.api import ProjectRecord, RunnerReply
from schemas.codec import decode
from schemas.errors import ErrorCode
from schemas.nodes import NodeListReply, NodeLoadReply
from tests.integration.cli_system import Cli
from tests.integration.test_cli_lists import facts, narrow
from tests.integration.test_nodes import started
from tests.support.system import System

pytestmark = pytest.mark.slow

_NODES = """\
web-1: {hostname: 10.0.0.1, osFamily: unix, rank: 10, tags: "web, prod", "rack[": r1}
web-2: {hostname: 10.0.0.2, osFamily: unix, rank: 9, tags: "web, dev"}
db-1: {hostname: 10.0.0.3, osFamily: windows, tags: db, description: a very long description that has to fold}
"a.c": {tags: odd}
abc: {tags: odd}
"""


async def test_nodes_are_loaded_listed_and_shown(system: System) -> None:
    cli = Cli.of(await started(system))
    (cli.directory / "nodes.yaml").write_text(_NODES)
    empty = await cli("nodes", "list")
    assert (empty.code, empty.text) == (0, "")
    assert "runbus nodes load FILE" in empty.err

    loaded = await cli("nodes", "load", "nodes.yaml")
    assert loaded.text == "Loaded 5 nodes into project default, in place of 0.\n"
    again = await cli("nodes", "load", "--json", "--format", "resourceyaml", "-", stdin=_NODES.encode())
    assert decode(again.out, NodeLoadReply).previous_count == 5
    twice = await cli("nodes", "load", "--format", "resourceyaml", "-", stdin=f"{_NODES}db-1: {{}}\n".encode())
    assert twice.err.startswith("Warning: stdin: the name 'db-1' stands more than once; of each name the last holds")
    await cli("nodes", "load", "nodes.yaml")

    listed = await cli("nodes", "list", "tags:", "web", "--rank", "rank", env={"COLUMNS": "80"})
    lines = narrow(listed)
    assert lines[0].split("  ")[0] == "NODE"
    assert [line.split()[0] for line in lines[1:]] == ["web-2", "web-1"]
    assert "2 of 5 nodes, loaded" in listed.err
    folded = await cli("nodes", "list", "--columns", "description,tags,hostname,osFamily", env={"COLUMNS": "60"})
    assert max(map(len, folded.text.splitlines())) <= 60
    nothing = await cli("nodes", "list", "tags: nix")
    assert (nothing.code, nothing.text, nothing.err) == (0, "", "No node matches; there are 5.\n")

    reply = decode((await cli("nodes", "list", "!tags: odd", "--json")).out, NodeListReply)
    assert ([node.name for node in reply.nodes], reply.matched, reply.total) == (["db-1", "web-1", "web-2"], 3, 5)
    for flag, form in (("--yaml", "resourceyaml"), ("--xml", "resourcexml")):
        document = await cli("nodes", "list", "!tags: odd", flag)
        assert read_nodes(form, document.out) == reply.nodes

    shown = await cli("nodes", "show", "web-1")
    assert facts(shown)["rack["] == "r1"
    assert facts(shown)["tags"] == "prod, web"
    exact = decode((await cli("nodes", "show", "a.c", "--json")).out, NodeListReply)
    assert [node.name for node in exact.nodes] == ["a.c"]


async def test_what_is_refused_says_why(system: System) -> None:
    cli = Cli.of(await started(system))
    (cli.directory / "bad.yaml").write_text("a: {}\nb: null\n")
    (cli.directory / "latin.yaml").write_bytes(b"a: {}\nb: {x: \xe4}\n")
    (cli.directory / "nodes").write_text("a: {}")
    bad = await cli("nodes", "load", "bad.yaml")
    assert bad.code == 125
    assert "bad.yaml: resourceyaml, line 2: " in bad.err
    latin = await cli("nodes", "load", "latin.yaml", "--json")
    assert latin.error.error.message.startswith("latin.yaml: resourceyaml, line 2: not UTF-8")
    unnamed = await cli("nodes", "load", "nodes")
    assert unnamed.code == 2
    assert "give one with --format" in unnamed.err
    unknown = await cli("nodes", "show", "nix", "--json")
    assert unknown.error.error.code is ErrorCode.UNKNOWN_NODE
    project = await cli("nodes", "list", "--project", "nix", "--json")
    assert project.error.error.code is ErrorCode.UNKNOWN_PROJECT
    broken = await cli("nodes", "list", "name: /[/", "--json")
    assert broken.code == 0, "there is no value yet that the regex could meet"
    (cli.directory / "ok.json").write_text('{"a": {}}')
    assert (await cli("nodes", "load", "ok.json")).code == 0
    broken = await cli("nodes", "list", "name: /[/", "--json")
    assert broken.error.error.code is ErrorCode.INVALID_SELECTOR
    two = await cli("nodes", "list", "--yaml", "--xml")
    assert two.code == 2


async def test_a_filter_is_tried_on_files_without_a_bus(tmp_path: Path) -> None:
    cli = Cli("nats://127.0.0.1:1", tmp_path)
    (tmp_path / "nodes.yaml").write_text(_NODES)
    (tmp_path / "more.json").write_text('{"db-1": {"tags": "web"}}')
    done = await cli("nodes", "filter", "--file", "nodes.yaml", "tags: web", "--exclude", "rank: 9")
    assert [line.split()[0] for line in narrow(done)[1:]] == ["web-1"]
    assert done.err == "1 of 5 nodes\n"
    both = await cli("nodes", "filter", "--file", "nodes.yaml", "--file", "more.json", "tags: web", "--json")
    assert [node.name for node in decode(both.out, NodeListReply).nodes] == ["db-1", "web-1", "web-2"]
    stdin = await cli("nodes", "filter", "--file", "-", "--file-format", "resourceyaml", "--yaml", "name: abc",
                      stdin=_NODES.encode())  # fmt: skip
    assert stdin.text == "abc:\n  nodename: abc\n  tags: odd\n"
    bad = await cli("nodes", "filter", "--file", "nodes.yaml", "name: /[/")
    assert (bad.code, bad.text) == (125, "")
    assert "not a valid regex" in bad.err
    none = await cli("nodes", "filter", "--file", "nodes.yaml", "name: nix")
    assert (none.code, none.err) == (0, "No node matches; there are 5.\n")


async def test_the_settings_of_a_project(system: System) -> None:
    cli = Cli.of(await started(system))
    assert (await cli("project", "create", "shop")).code == 0
    done = await cli(
        "project", "set", "shop", "--setting", "ssh-keypath=keys/shop/id=1", "--setting", "ssh-port=22",
        "--global", "base=https://x", "--dispatch", "automatic", "--json",
    )  # fmt: skip
    record = decode(done.out, ProjectRecord)
    assert record.settings == {"ssh-keypath": "keys/shop/id=1", "ssh-port": "22"}
    assert (record.globals, record.dispatch) == ({"base": "https://x"}, "automatic")
    changed = await cli("project", "set", "shop", "--unset", "ssh-port", "--unset", "globals.base")
    assert narrow(changed)[-1].split() == ["setting", "ssh-keypath", "=", "keys/shop/id=1"]
    shown = decode((await cli("project", "show", "shop", "--json")).out, ProjectRecord)
    assert (shown.settings, shown.globals, shown.dispatch) == ({"ssh-keypath": "keys/shop/id=1"}, {}, "automatic")
    assert (await cli("project", "set", "shop")).code == 2
    assert (await cli("project", "set", "shop", "--setting", "x")).code == 2
    missing = await cli("project", "show", "nix", "--json")
    assert missing.error.error.code is ErrorCode.UNKNOWN_PROJECT
    bad = await cli("project", "set", "shop", "--setting", "a b=c", "--json")
    assert bad.error.error.code is ErrorCode.INVALID_NAME


async def test_the_nodes_that_a_runner_serves(system: System) -> None:
    cli = Cli.of(await started(system))
    assert (await cli("runner", "create", "web-1", "--tags", "LINUX")).code == 0
    none = await cli("runner", "nodes", "web-1")
    assert "serves no nodes" in none.err
    reply = decode((await cli("runner", "nodes", "web-1", "--filter", "tags: web", "--json")).out, RunnerReply)
    assert reply.runner.node_filters == {"default": "tags: web"}
    assert facts(await cli("runner", "show", "web-1"))["nodes"] == "tags: web (project default)"
    assert facts(await cli("runner", "nodes", "web-1")) == {"default": "tags: web"}
    for words, code in (
        (("--filter", " "), ErrorCode.INVALID_SELECTOR),
        (("--filter", "a: b", "--project", "nix"), ErrorCode.UNKNOWN_PROJECT),
    ):
        refused = await cli("runner", "nodes", "web-1", *words, "--json")
        assert refused.error.error.code is code
    assert (await cli("runner", "nodes", "nix", "--none", "--json")).error.error.code is ErrorCode.UNKNOWN_RUNNER
    gone = decode((await cli("runner", "nodes", "web-1", "--none", "--json")).out, RunnerReply)
    assert gone.runner.node_filters == {}


async def test_the_service_is_started_by_the_command(system: System) -> None:
    cli = Cli.of(system)
    system.start_registry()
    running = await cli.start("service", "nodesource", "--log-format", "json")
    await running.says('"ready"')
    assert (await cli("nodes", "list")).code == 0
    running.process.terminate()
    assert (await running.end()).code == 0
