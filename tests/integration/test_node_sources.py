"""Node sources on the whole path: nodesource, tag subject, runner, plugin, reply, inventory, filter, a job."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from bus.nodes import find_nodes
from schemas import catalog
from schemas.api import ProjectSetRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import NodeDispatch, RunnerSelector, SelectorMode
from schemas.nodes import NodeListReply, NodeListRequest
from schemas.sources import (
    DiscoverRequest,
    Discovery,
    SourceDefinition,
    SourceListRequest,
    SourcePutRequest,
    SourceRefreshRequest,
    SourceRemoveRequest,
    SourceReply,
    SourceState,
    SourceTestRequest,
    SourceView,
)
from schemas.states import ExecutionState
from schemas.tokens import TagSet
from services.nodesource.refreshing import MERGE_SETTING
from tests.integration.test_copies import asked_all
from tests.integration.test_nodes import load
from tests.support.parts import Part
from tests.support.system import System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

LAB = RunnerSelector(mode=SelectorMode.TAGS, filter="lab")


def script_source(path: Path, text: str, name: str = "lab", **fields: Any) -> SourceDefinition:
    """A source that runs this script, on request unless told otherwise."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    config = {"file": str(path), "interpreter": "/bin/sh", "format": "resourceyaml"}
    return SourceDefinition(
        name=name, type="script", config=config, **{"runner": LAB, "interval_s": 0.0, "timeout_s": 20.0, **fields}
    )


def nodes_script(path: Path, *names: str, **attributes: str) -> str:
    """A script's line that prints nodes from a file beside it, so that a test can change them."""
    listed = path.with_suffix(".yaml")
    given = {"hostname": "127.0.0.1", "node-executor": "local", "tags": "found", **attributes}
    inner = ", ".join(f"{key}: {value}" for key, value in given.items())
    listed.write_text("".join(f"{name}: {{{inner}}}\n" for name in names), encoding="utf-8")
    return f"cat {listed}"


async def put(system: System, source: SourceDefinition, **fields: Any) -> SourceReply:
    return await system.bus.call(system.subjects, catalog.SOURCE_PUT, SourcePutRequest(source=source, **fields))


async def refresh(system: System, name: str = "lab", *, timeout_s: float = 30.0) -> SourceState:
    request = SourceRefreshRequest(name=name)
    reply = await system.bus.call(system.subjects, catalog.SOURCE_REFRESH, request, timeout_s=timeout_s)
    return reply.state


async def view(system: System, name: str = "lab") -> SourceView:
    request = SourceListRequest(name=name)
    return (await system.bus.call(system.subjects, catalog.SOURCE_LIST, request)).sources[0]


async def listed(system: System, text: str | None = None) -> NodeListReply:
    return await find_nodes(system.bus, system.subjects, NodeListRequest(filter=text))


async def names(system: System, text: str | None = None) -> list[str]:
    return [node.name for node in (await listed(system, text)).nodes]


class Lab(NamedTuple):
    """What a test may stop."""

    nodesources: list[Part]
    runner: Part


async def with_lab(system: System, *, copies: int = 1, **settings: Any) -> Lab:
    """A centre, and one runner, of the lab; the settings are the runner's."""
    await system.up()
    parts = await nodesources(system, copies)
    runner = system.start_runner("r1", "lab", **settings)
    await system.runners_ready("r1")
    return Lab(parts, runner)


async def nodesources(system: System, copies: int = 1) -> list[Part]:
    """So many copies, once all of them answer."""
    parts = [system.start_nodesource() for _ in range(copies)]

    async def answer() -> bool:
        system.check()
        try:
            await listed(system)
        except RunbusError as error:
            assert error.code is ErrorCode.UNAVAILABLE, error.message
            return False
        return len(await asked_all(system.bus, "$SRV.INFO.runbus-nodesource")) == copies

    await eventually(answer, within_s=20.0, what=f"{copies} copies of the nodesource answer")
    return parts


async def here_on(system: System, filter_text: str, node: str) -> None:
    """A job that this filter sends to this one node succeeds there."""
    run = await system.run("echo here $RD_NODE_NAME", "lab", nodes=NodeDispatch(filter=filter_text))
    assert run.state is ExecutionState.SUCCEEDED, run.error
    assert await system.output(run.id) == f"here {node}\n".encode()


async def state_where(
    system: System, holds: Callable[[SourceState], bool], what: str, name: str = "lab"
) -> SourceState:
    async def found() -> SourceState | None:
        state = (await view(system, name)).state
        return state if holds(state) else None

    state = await eventually(found, within_s=20.0, what=what)
    assert state is not None
    return state


async def test_from_a_source_to_a_job_on_one_of_its_nodes(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    text = nodes_script(tmp_path / "lab.sh", "web1", "web2")
    reply = await put(system, script_source(tmp_path / "lab.sh", text))
    assert (reply.created, reply.source.bearers[0].runner) == (True, "r1")
    assert reply.source.bearers[0].version
    state = await refresh(system)
    assert (state.runner, state.count, state.error) == ("r1", 2, None)
    assert await names(system, "tags: found") == ["web1", "web2"]
    await here_on(system, "name: web2", "web2")


async def test_a_refresh_tells_what_has_changed_and_leaves_what_has_not_alone(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    await put(system, script_source(tmp_path / "lab.sh", nodes_script(tmp_path / "lab.sh", "a", "b", "c")))
    first = await refresh(system)
    revision = (await listed(system)).revision
    same = await refresh(system)
    assert (same.added, same.changed, same.gone, same.digest) == (0, 0, 0, first.digest)
    assert (await listed(system)).revision == revision
    nodes_script(tmp_path / "lab.sh", "b", "c", "d", rack="9")
    changed = await refresh(system)
    assert (changed.added, changed.changed, changed.gone, changed.count) == (1, 2, 1, 3)
    assert await names(system) == ["b", "c", "d"]


async def test_a_source_that_fails_keeps_its_last_good_nodes_and_says_so(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    await put(system, script_source(tmp_path / "lab.sh", nodes_script(tmp_path / "lab.sh", "a")))
    await refresh(system)
    await put(system, script_source(tmp_path / "lab.sh", "echo 'a: {' ; exit 0"))
    malformed = await refresh(system)
    assert malformed.error is not None
    assert malformed.error.details["reason"] == "malformed"
    await put(system, script_source(tmp_path / "lab.sh", "echo the disk is gone >&2; exit 3"))
    failed = await refresh(system)
    assert failed.error is not None
    assert "the disk is gone" in failed.error.message
    assert "3" in failed.error.message
    found = await view(system)
    assert (found.state.failures, found.state.count, found.age_s is not None) == (2, 1, True)
    assert await names(system) == ["a"]


async def test_a_source_that_hangs_delays_no_other(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    await put(system, script_source(tmp_path / "slow.sh", "exec sleep 600", name="slow", timeout_s=3.0))
    await put(system, script_source(tmp_path / "quick.sh", nodes_script(tmp_path / "quick.sh", "a"), name="quick"))
    hanging = asyncio.ensure_future(refresh(system, "slow"))
    assert (await refresh(system, "quick", timeout_s=3.0)).count == 1
    assert not hanging.done()
    late = await hanging
    assert late.error is not None
    assert late.error.details["reason"] == "timeout"


async def test_sources_are_merged_in_their_order_behind_what_was_loaded(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    await load(system, "a: {hostname: loaded, rack: '1', tags: old}")
    for name in ("one", "two"):
        text = nodes_script(tmp_path / f"{name}.sh", "a", hostname=name, tags=name)
        await put(system, script_source(tmp_path / f"{name}.sh", text, name=name))
        await refresh(system, name)
    (node,) = (await listed(system)).nodes
    assert (node.attributes["hostname"], node.attributes["rack"], node.tags) == ("two", "1", ["old", "one", "two"])
    one = (await view(system, "one")).definition
    await put(system, one, position=2)
    assert (await listed(system)).nodes[0].attributes["hostname"] == "one"
    await put(system, msgspec.structs.replace(one, enabled=False))
    assert (await listed(system)).nodes[0].attributes["hostname"] == "two"
    for name in ("one", "two"):
        await system.bus.call(system.subjects, catalog.SOURCE_REMOVE, SourceRemoveRequest(name=name))
    assert (await listed(system)).nodes[0].attributes["hostname"] == "loaded"
    await refused(ErrorCode.UNKNOWN_SOURCE, lambda: view(system, "one"))


async def test_how_nodes_are_put_together_holds_from_when_it_is_set(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    await load(system, "a: {hostname: loaded, rack: '1', tags: old}")
    await put(system, script_source(tmp_path / "lab.sh", nodes_script(tmp_path / "lab.sh", "a", hostname="lab")))
    await refresh(system)
    for merged, tags in (("false", ["found"]), ("true", ["found", "old"])):
        request = ProjectSetRequest(project="default", settings={MERGE_SETTING: merged})
        await system.bus.call(system.subjects, catalog.PROJECT_SET, request)

        async def is_so(wanted: list[str] = tags) -> bool:
            (node,) = (await listed(system)).nodes
            return list(node.tags) == wanted and ("rack" in node.attributes) == ("old" in wanted)

        await eventually(is_so, within_s=10.0, what=f"{MERGE_SETTING}={merged} holds")


async def test_a_list_that_no_message_holds(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    echo = 'echo "n$i: {hostname: host-$i.example.org, osFamily: unix}"'
    line = f"i=0; while [ $i -lt 30000 ]; do {echo}; i=$((i+1)); done"
    await put(system, script_source(tmp_path / "lab.sh", line, timeout_s=60.0))
    assert (await refresh(system, timeout_s=60.0)).count == 30_000
    assert await names(system, "name: n2999[89]") == ["n29998", "n29999"]
    info = await system.bus.js.stream_info(system.subjects.parcels_bucket)
    assert info.state.messages == 0, "the parcel of the answer is removed"


async def test_what_nobody_bears_is_refused_in_the_original_s_words(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    source = SourceDefinition(name="dd", type="datadog-resource-model", runner=LAB)
    exact = (
        "Reason: The datadog-resource-model plugin was not found on Runner ID = r1. "
        "You may need to upgrade your Runner or select a different Runner."
    )
    for call in (
        lambda: put(system, source),
        lambda: system.bus.call(system.subjects, catalog.SOURCE_TEST, SourceTestRequest(source=source)),
    ):
        assert (await refused(ErrorCode.PLUGIN_NOT_FOUND, call)).message == exact
    await refused(ErrorCode.UNKNOWN_SOURCE, lambda: view(system, "dd"))
    # and by the runner itself, to whoever asks it straight away
    await put(system, script_source(tmp_path / "lab.sh", nodes_script(tmp_path / "lab.sh", "a")))
    await refresh(system)
    subject = system.subjects.nodes_of_set("default", TagSet.parse("lab"), catalog.DISCOVER.verb)
    asked = DiscoverRequest(source="dd", plugin="datadog-resource-model")
    error = await refused(ErrorCode.PLUGIN_NOT_FOUND, lambda: system.bus.request(subject, asked, Discovery))
    assert error.message == exact


async def test_a_test_stores_nothing(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    source = script_source(tmp_path / "lab.sh", nodes_script(tmp_path / "lab.sh", *(f"n{i:02}" for i in range(15))))
    tested = await system.bus.call(system.subjects, catalog.SOURCE_TEST, SourceTestRequest(source=source))
    assert (tested.count, len(tested.sample), tested.sample[0].name, tested.runner) == (15, 10, "n00", "r1")
    assert await names(system) == []
    await refused(ErrorCode.UNKNOWN_SOURCE, lambda: view(system))


async def test_of_several_copies_one_asks_at_a_time(system: System, tmp_path: Path) -> None:
    await with_lab(system, copies=3)
    held = tmp_path / "held"
    text = f"mkdir {held} || touch {tmp_path}/overlap; {nodes_script(tmp_path / 'lab.sh', 'a')}; rmdir {held}"
    await put(system, script_source(tmp_path / "lab.sh", text))
    states = await asyncio.gather(*(refresh(system) for _ in range(12)))
    assert [state.count for state in states] == [1] * 12
    assert not (tmp_path / "overlap").exists()
    assert (await view(system)).state.refreshing_by == ""


async def test_what_is_due_is_asked_by_itself_and_after_a_restart_not_at_once_again(
    system: System, tmp_path: Path
) -> None:
    lab = await with_lab(system)
    text = f"echo x >> {tmp_path}/times; {nodes_script(tmp_path / 'lab.sh', 'a')}"
    await put(system, script_source(tmp_path / "lab.sh", text, interval_s=3600.0))
    await state_where(system, lambda state: state.count == 1, "asked without a request")
    await system.stop(lab.nodesources[0])
    await nodesources(system)
    assert await names(system) == ["a"]
    assert (tmp_path / "times").read_text() == "x\n"


async def test_a_source_that_nobody_could_be_asked_for_is_asked_once_a_runner_comes(
    system: System, tmp_path: Path
) -> None:
    lab = await with_lab(system)
    await put(system, script_source(tmp_path / "lab.sh", nodes_script(tmp_path / "lab.sh", "a"), interval_s=3600.0))
    await state_where(system, lambda state: state.count == 1, "asked for the first time")
    off = script_source(tmp_path / "off.sh", f"touch {tmp_path}/asked", name="off")
    await put(system, off)
    await system.stop(lab.runner)
    assert (await refresh(system, "off")).error is not None
    (tmp_path / "asked").unlink(missing_ok=True)
    await put(system, msgspec.structs.replace(off, enabled=False))
    alone = await refresh(system)
    assert alone.error is not None
    assert alone.error.code is ErrorCode.NO_RUNNER
    assert await names(system) == ["a"]
    nodes_script(tmp_path / "lab.sh", "a", "b")
    system.start_runner("r1", tags="LAB")
    await state_where(system, lambda state: state.error is None and state.count == 2, "asked again by itself")
    assert (await view(system, "off")).state.error is not None, "one that is disabled is not, and was due before"
    assert not (tmp_path / "asked").exists()


async def test_a_secret_is_refused_where_it_is_written(system: System) -> None:
    await system.up()
    await nodesources(system)
    source = SourceDefinition(name="k", type="kubernetes", config={"token": "swordfish"})
    error = await refused(ErrorCode.INVALID_SOURCE, lambda: put(system, source))
    assert "swordfish" not in error.message


async def test_a_job_on_a_host_of_an_ansible_inventory(system: System, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    if not (programs / "ansible-inventory").exists():
        pytest.skip("ansible-core is not installed")
    await with_lab(system)
    (tmp_path / "hosts").write_text("[shop]\nweb1 ansible_host=127.0.0.1\n")
    config = {"ansible-inventory": str(tmp_path / "hosts"), "ansible-binaries-dir-path": str(programs)}
    await load(system, "web1: {node-executor: local}")
    await put(system, SourceDefinition(name="lab", type="ansible", config=config, runner=LAB, interval_s=0.0))
    assert (await refresh(system)).error is None
    await here_on(system, "tags: shop", "web1")


async def test_a_disabled_source_that_is_asked_by_name_leaves_nothing_behind(system: System, tmp_path: Path) -> None:
    await with_lab(system)
    one = script_source(tmp_path / "one.sh", nodes_script(tmp_path / "one.sh", "n1"), enabled=False)
    await put(system, one)
    state = await refresh(system, "lab")
    assert (state.count, state.error) == (1, None)
    assert await system.count(system.subjects.inventories_bucket) == 0
    nodes_script(tmp_path / "one.sh", "n1", "n2")
    await put(system, msgspec.structs.replace(one, enabled=True))
    await refresh(system, "lab")
    assert await names(system) == ["n1", "n2"]
