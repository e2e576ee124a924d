"""Nodes: loaded, listed by filter, by any copy of the service, however many there are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from bus.bucket import Bucket
from bus.nodes import find_nodes, load_nodes
from bus.parcels import Parcels
from schemas import catalog
from schemas.api import ProjectRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import (
    Inventory,
    Node,
    NodeFormat,
    NodeListReply,
    NodeListRequest,
    NodeLoadReply,
    NodeLoadRequest,
    RankOrder,
)
from tests.integration.test_copies import asked_all
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

_NODES = """\
web-1: {hostname: 10.0.0.1, osFamily: unix, rank: 10, tags: "web, prod"}
web-2: {hostname: 10.0.0.2, osFamily: unix, rank: 9, tags: "web, dev"}
db-1: {hostname: 10.0.0.3, osFamily: windows, tags: db}
"""


async def started(system: System, *, copies: int = 1) -> System:
    system.start_registry()
    for _ in range(copies):
        system.start_nodesource()

    async def answers() -> bool:
        system.check()
        try:
            await listed(system)
        except RunbusError as error:
            assert error.code in (ErrorCode.UNAVAILABLE, ErrorCode.UNKNOWN_PROJECT), error.message
            return False
        infos = await asked_all(system.bus, "$SRV.INFO.runbus-nodesource")
        subject = catalog.NODE_LIST.subject(system.subjects)
        return sum(any(each["subject"] == subject for each in info["endpoints"]) for info in infos) == copies

    await eventually(answers, within_s=20.0, what=f"{copies} copies of the nodesource answer")
    return system


async def load(system: System, text: str, form: str = "resourceyaml", **fields: Any) -> NodeLoadReply:
    request = NodeLoadRequest(format=NodeFormat(form), text=text, **fields)
    return await load_nodes(system.bus, system.subjects, request)


async def listed(system: System, filter_text: str | None = None, **fields: Any) -> NodeListReply:
    return await find_nodes(system.bus, system.subjects, NodeListRequest(filter=filter_text, **fields))


def names(reply: NodeListReply) -> list[str]:
    return [node.name for node in reply.nodes]


def many(count: int) -> str:
    nodes = {
        f"host-{number:06}": {"hostname": f"10.{number}", "rank": str(number % 100), "tags": f"z{number % 10}"}
        for number in range(count)
    }
    return json.dumps(nodes)


async def parked(system: System) -> int:
    info = await system.bus.js.stream_info(system.subjects.parcels_bucket)
    return info.state.messages


async def test_nodes_are_loaded_and_listed_by_filter(system: System) -> None:
    await started(system)
    nothing = await listed(system)
    assert (nothing.nodes, nothing.total, nothing.revision, nothing.loaded_at) == ([], 0, 0, None)
    loaded = await load(system, _NODES)
    assert (loaded.count, loaded.previous_count, loaded.project) == (3, 0, "default")

    whole = await listed(system)
    assert names(whole) == ["db-1", "web-1", "web-2"]
    assert whole.nodes[1] == Node(
        name="web-1", attributes={"hostname": "10.0.0.1", "osFamily": "unix", "rank": "10"}, tags=["prod", "web"]
    )
    assert (whole.total, whole.matched, whole.revision) == (3, 3, loaded.revision)
    assert whole.loaded_at == loaded.loaded_at
    assert 0 <= (whole.age_s or 0) < 60

    assert names(await listed(system, "tags: web+prod")) == ["web-1"]
    assert names(await listed(system, "!os-family: unix")) == ["db-1"]
    assert names(await listed(system, filter_exclude="name: web-.*")) == ["db-1"]
    assert names(await listed(system, "tags: web", filter_exclude="tags: dev")) == ["web-1"]
    both = {"filter_exclude": "name: .*", "exclude_precedence": False}
    assert names(await listed(system, "tags: web", **both)) == ["web-1", "web-2"]
    assert names(await listed(system, "")) == []


async def test_an_order_and_a_part_of_it(system: System) -> None:
    await started(system)
    await load(system, _NODES)
    assert names(await listed(system, rank_attribute="rank")) == ["web-2", "web-1", "db-1"]
    down = RankOrder.DESCENDING
    assert names(await listed(system, rank_attribute="rank", rank_order=down)) == ["db-1", "web-1", "web-2"]
    page = await listed(system, limit=1, offset=1, names_only=True)
    assert (page.nodes, page.matched, page.total) == ([Node(name="web-1")], 3, 3)
    with pytest.raises(RunbusError, match="below 0"):
        await listed(system, limit=-1)


async def test_a_load_replaces_all(system: System) -> None:
    await started(system)
    first = await load(system, _NODES)
    second = await load(system, '<project><node name="x" hostname="h"/></project>', "resourcexml")
    assert (second.count, second.previous_count) == (1, 3)
    assert second.revision > first.revision
    assert names(await listed(system)) == ["x"]
    await load(system, "{}", "resourcejson")
    assert (await listed(system)).total == 0
    info = await system.bus.js.stream_info(system.subjects.inventories_bucket, subjects_filter=">")
    assert len(info.state.subjects or {}) == 1, "what was replaced is removed"


async def test_projects_have_their_own_nodes(system: System) -> None:
    await started(system)
    with pytest.raises(RunbusError, match="'shop' is not known") as caught:
        await listed(system, project="shop")
    assert caught.value.code is ErrorCode.UNKNOWN_PROJECT
    with pytest.raises(RunbusError, match="'shop' is not known"):
        await load(system, _NODES, project="shop")
    await system.client.call(catalog.PROJECT_CREATE, ProjectRequest(project="shop"))
    await load(system, _NODES, project="shop")
    assert (await listed(system, project="shop")).total == 3
    assert (await listed(system)).total == 0


@pytest.mark.parametrize(
    ("form", "text", "place"),
    [
        ("resourceyaml", "a: {x: 1}\nb:\n  c: [", "nodes.x: resourceyaml, line 3: "),
        ("resourceyaml", "a: {x: 1}\nb: null", "nodes.x: resourceyaml, line 2: "),
        ("resourcejson", '{"a": {},\n "b": }', "nodes.x: resourcejson, line 2: "),
        ("resourcexml", "<p>\n<node/></p>", "nodes.x: resourcexml, line 2: "),
    ],
)
async def test_a_document_with_a_fault_changes_nothing(system: System, form: str, text: str, place: str) -> None:
    await started(system)
    await load(system, _NODES)
    with pytest.raises(RunbusError) as caught:
        await load(system, text, form, file="nodes.x")
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert caught.value.message.startswith(place)
    assert caught.value.details["file"] == "nodes.x"
    assert (await listed(system)).total == 3


async def test_filters_that_cannot_be_used_are_refused(system: System) -> None:
    await started(system)
    await load(system, "n: {a: " + "a" * 60 + "}")
    for bad in ("a: /[/", "a: (a|aa)+b"):
        with pytest.raises(RunbusError) as caught:
            await listed(system, bad)
        assert caught.value.code is ErrorCode.INVALID_SELECTOR


async def test_others_are_answered_while_a_regex_goes_astray(system: System) -> None:
    await started(system)
    await load(system, "n: {a: " + "a" * 60 + "}")
    astray = asyncio.ensure_future(listed(system, "a: (a|aa)+b"))
    quick = 0
    while not astray.done():
        assert (await listed(system)).total == 1
        quick += 1
    with pytest.raises(RunbusError, match="simplify it"):
        await astray
    assert quick > 20


async def test_twenty_thousand_nodes_come_and_go_as_parcels(system: System) -> None:
    await started(system)
    text = many(20_000)
    assert len(text) > system.bus.max_payload_bytes
    loaded = await load(system, text, "resourcejson", file="many.json")
    assert loaded.count == 20_000

    request = NodeListRequest(filter="name: host-.*", rank_attribute="rank")
    raw = await system.client.call(catalog.NODE_LIST, request, timeout_s=20)
    assert raw.parcel
    assert not raw.nodes
    assert (raw.matched, raw.total) == (20_000, 20_000)
    await Parcels(system.bus, system.subjects.parcels_bucket).remove(raw.parcel)

    found = await listed(system, "name: host-.*", rank_attribute="rank")
    assert not found.parcel
    assert [node.name for node in found.nodes[:2]] == ["host-000000", "host-000100"]
    assert len(set(names(found))) == 20_000
    assert await parked(system) == 0, "whoever asked has removed the parcels"
    few = await system.client.call(catalog.NODE_LIST, NodeListRequest(filter="tags: z3", limit=10))
    assert (len(few.nodes), few.matched, few.parcel) == (10, 2_000, "")


async def test_a_parcel_that_is_not_there_cannot_be_loaded(system: System) -> None:
    await started(system)
    request = NodeLoadRequest(format=NodeFormat.RESOURCEYAML, parcel=f"{1:08x}-{1:016x}-{1:032x}")
    with pytest.raises(RunbusError) as caught:
        await system.client.call(catalog.NODE_LOAD, request)
    assert caught.value.code is ErrorCode.PARCEL_LOST
    with pytest.raises(RunbusError, match="both a text and a parcel"):
        await system.client.call(
            catalog.NODE_LOAD, NodeLoadRequest(format=NodeFormat.RESOURCEYAML, parcel="x", text="a: {}")
        )


async def test_two_copies_answer_the_same_and_nothing_old(system: System) -> None:
    await started(system, copies=2)
    for count in range(1, 15):
        loaded = await load(system, "\n".join(f"n{number}: {{x: {count}}}" for number in range(count)))
        replies = await asyncio.gather(*(listed(system) for _ in range(8)))
        assert {reply.revision for reply in replies} == {loaded.revision}
        assert {tuple(names(reply)) for reply in replies} == {tuple(sorted(f"n{n}" for n in range(count)))}


async def test_one_of_two_loads_at_once_holds_and_is_whole(system: System) -> None:
    await started(system, copies=2)

    def document(mark: int) -> str:
        return "\n".join(f"n{number}: {{mark: {mark}}}" for number in range(mark + 1))

    replies = await asyncio.gather(*(load(system, document(mark)) for mark in range(3)))
    last = max(replies, key=lambda reply: reply.revision)
    found = await listed(system)
    assert found.revision == last.revision
    assert marks(found.nodes) == {str(last.count - 1)}
    assert found.total == last.count


def marks(nodes: Iterable[Node]) -> set[str]:
    return {node.attributes["mark"] for node in nodes}


async def test_a_new_copy_knows_what_was_loaded(system: System) -> None:
    await started(system)
    loaded = await load(system, _NODES)
    for part in list(system._parts):
        await system.stop(part)
    await started(system)
    found = await listed(system)
    assert (found.revision, found.total) == (loaded.revision, 3)


async def test_nodes_that_are_gone_from_the_store_are_said_to_be(system: System) -> None:
    await started(system)
    await load(system, _NODES)
    for part in list(system._parts):
        await system.stop(part)
    records = await Bucket.open(system.bus, system.subjects.nodes_bucket, Inventory)
    found = await records.get("default")
    assert found is not None
    await Parcels(system.bus, system.subjects.inventories_bucket).remove(found[0].sources[0].parcel)
    system.start_registry()
    system.start_nodesource()

    async def refused() -> bool:
        try:
            await listed(system)
        except RunbusError as error:
            return error.code is ErrorCode.PARCEL_LOST and "runbus nodes load" in error.message
        return False

    await eventually(refused, within_s=20.0, what="it says that the nodes are gone")
    await load(system, _NODES)
    assert (await listed(system)).total == 3
