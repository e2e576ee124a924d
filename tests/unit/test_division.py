"""Nodes divided among runners by their node filters."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.workflow.division import divide
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import Node
from schemas.runners import RunnerView
from schemas.states import RunnerStatus


def runner(name: str, node_filter: str = "", **fields: Any) -> RunnerView:
    given_fields: dict[str, Any] = {"status": RunnerStatus.HEALTHY, "running": 0, "local": False} | fields
    return RunnerView(
        id=name, tags=[], projects=["p"], description="", version="", instance="", plugins=[], max_running=50,
        uptime_s=None, created_at=None, last_seen_at=None, node_filters={"p": node_filter} if node_filter else {},
        **given_fields,
    )  # fmt: skip


def nodes(*names: str) -> list[Node]:
    return [Node(name=name, attributes={"zone": name[0]}) for name in names]


def test_each_node_goes_to_the_runner_whose_filter_matches_it_and_the_rest_to_the_local_runner() -> None:
    runners = [runner("ra", "zone: a"), runner("Rb", "zone: b"), runner("none")]
    assert divide(nodes("a1", "b1", "c1", "a2"), runners, "p") == {
        "=40ra": ["a1", "a2"], "=40Rb": ["b1"], "local": ["c1"]
    }  # fmt: skip
    assert divide(nodes("a1"), runners, "q") == {"local": ["a1"]}, "a filter is of one project"


@pytest.mark.parametrize("status", [RunnerStatus.UNKNOWN, RunnerStatus.DOWN, RunnerStatus.NEW])
def test_a_runner_that_is_not_connected_gets_none(status: RunnerStatus) -> None:
    runners = [runner("ra", "zone: a", status=status), runner("rb", "zone: a")]
    assert divide(nodes("a1"), runners, "p") == {"=40rb": ["a1"]}
    assert divide(nodes("a1"), runners[:1], "p") == {"local": ["a1"]}


def test_where_filters_overlap_the_less_busy_gets_more() -> None:
    runners = [runner("ra", "name: .*", running=3), runner("rb", "name: .*")]
    divided = divide(nodes(*(f"a{number}" for number in range(9))), runners, "p")
    assert {token: len(names) for token, names in divided.items()} == {"=40ra": 3, "=40rb": 6}


def test_a_node_that_is_a_runner_itself_goes_to_that_runner() -> None:
    itself = runner("ra", node=Node(name="a1"))
    assert divide(nodes("a1", "a2"), [itself, runner("rb", "name: .*")], "p") == {"=40ra": ["a1"], "=40rb": ["a2"]}


def test_a_broken_filter_is_an_error() -> None:
    with pytest.raises(RunbusError) as caught:
        divide(nodes("a1"), [runner("ra", "name: /(/")], "p")
    assert caught.value.code is ErrorCode.INVALID_SELECTOR


@settings(deadline=None, max_examples=80)
@given(
    names=st.lists(st.from_regex(r"[abc][0-9]{1,2}", fullmatch=True), unique=True, max_size=30),
    filters=st.lists(st.sampled_from(["zone: a", "zone: b", "name: .*", "!zone: c", "name: x"]), max_size=5),
)
def test_every_node_goes_to_exactly_one_set_in_its_order(names: list[str], filters: list[str]) -> None:
    runners = [runner(f"r{number}", text) for number, text in enumerate(filters)]
    divided = divide(nodes(*names), runners, "p")
    assert Counter(name for those in divided.values() for name in those) == Counter(names)
    for those in divided.values():
        assert those
        assert those == sorted(those, key=names.index)
