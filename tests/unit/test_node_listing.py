"""What a request for nodes asks of a list of them, and the lines in which they are stored."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.nodes import SLICE, lines_of, nodes_of
from domain.nodes import sorting
from domain.nodes.listing import listed_nodes
from domain.nodes.ordering import ordered_nodes
from domain.nodes.selection import by_name
from domain.nodes.sorting import sorted_places
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import Node, NodeListRequest, RankOrder

NODES = [
    Node(name="a", attributes={"rank": "10", "env": "prod"}, tags=["web"]),
    Node(name="b", attributes={"rank": "9"}, tags=["web", "db"]),
    Node(name="c", attributes={"env": "prod"}, tags=["db"]),
]


def listed(request: NodeListRequest) -> list[str]:
    return [node.name for node in listed_nodes(NODES, request)[0]]


def test_no_filter_selects_all_and_an_empty_one_none() -> None:
    assert listed(NodeListRequest()) == ["a", "b", "c"]
    assert listed(NodeListRequest(filter="")) == []
    assert listed(NodeListRequest(filter=None, filter_exclude="tags: db")) == ["a"]


def test_both_sides_and_which_wins() -> None:
    request = NodeListRequest(filter="tags: web", filter_exclude="rank: 9")
    assert listed(request) == ["a"]
    wins = NodeListRequest(filter="tags: web", filter_exclude="rank: 9", exclude_precedence=False)
    assert listed(wins) == ["a", "b", "c"]


def test_order_and_part() -> None:
    assert listed(NodeListRequest(rank_attribute="rank")) == ["b", "a", "c"]
    assert listed(NodeListRequest(rank_order=RankOrder.DESCENDING)) == ["c", "b", "a"]
    part, matched = listed_nodes(NODES, NodeListRequest(offset=1, limit=1, names_only=True))
    assert (part, matched) == ([Node(name="b")], 3)
    assert listed(NodeListRequest(offset=5)) == []
    for bad in (NodeListRequest(limit=-1), NodeListRequest(offset=-1)):
        with pytest.raises(RunbusError) as caught:
            listed_nodes(NODES, bad)
        assert caught.value.code is ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize("count", [0, 1, SLICE, SLICE + 1, SLICE * 2 + 7])
def test_lines_come_back_as_the_same_nodes(count: int) -> None:
    nodes = [Node(name=f"n{number}", attributes={"x": "a\nb"}, tags=["t"]) for number in range(count)]
    data = b"".join(lines_of(nodes))
    assert data.count(b"\n") == -(-count // SLICE)
    with asyncio.Runner() as runner:
        assert runner.run(nodes_of(data)) == nodes
        assert runner.run(nodes_of(data.removesuffix(b"\n"))) == nodes


def test_what_is_no_list_of_nodes_is_refused() -> None:
    with asyncio.Runner() as runner, pytest.raises(RunbusError) as caught:
        runner.run(nodes_of(b'{"type":"runbus.node_list.v1","nodes":[]}\n{"nodes":'))
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


@given(keys=st.lists(st.integers(0, 5), max_size=60), size=st.integers(1, 9))
def test_sorting_in_slices_is_sorting(keys: list[int], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "SLICE", size)
        assert sorted_places(len(keys), keys.__getitem__) == sorted(range(len(keys)), key=keys.__getitem__)


def test_a_long_list_is_ordered_like_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [Node(name=f"n{number * 7 % 100:02}", attributes={"rank": str(number % 7)}) for number in range(100)]
    whole, named = ordered_nodes(nodes, rank_attribute="rank"), by_name(nodes)
    monkeypatch.setattr(sorting, "SLICE", 8)
    assert ordered_nodes(nodes, rank_attribute="rank") == whole
    assert ordered_nodes(nodes, rank_attribute="rank", ascending=False) == whole[::-1]
    assert by_name(nodes) == named
