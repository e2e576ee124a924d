"""The order of dispatch, by the rules of the original and its own cases."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.nodes.ordering import ordered_nodes
from domain.nodes.selection import attribute, by_name
from schemas.nodes import Node

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "node_ordering.json"


def names(ranks: dict[str, str | None], *, attribute: str | None = "rank", ascending: bool = True) -> list[str]:
    nodes = [Node(name=name, attributes={} if rank is None else {"rank": rank}) for name, rank in ranks.items()]
    return [each.name for each in ordered_nodes(nodes, rank_attribute=attribute, ascending=ascending)]


def test_the_originals_cases() -> None:
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS} is not here")
    for case in json.loads(VECTORS.read_text()):
        nodes = [Node(name=name, attributes=attributes) for name, attributes in case["nodes"].items()]
        found = ordered_nodes(nodes, rank_attribute=case["rank_attribute"], ascending=case["ascending"])
        assert [each.name for each in found] == case["expect"], case["id"]


def test_integers_are_numbers_and_all_else_is_text() -> None:
    assert names({"a": "10", "b": "9", "c": "-1"}) == ["c", "b", "a"]
    assert names({"a": "1.5", "b": "1.10"}) == ["b", "a"]
    assert names({"a": str(1 << 63), "b": "9" * 30}) == ["a", "b"]
    assert names({"a": "b", "b": "a"}) == ["b", "a"]
    assert names({"a": "5", "b": "1a"}) == ["b", "a"]


def test_equal_numbers_are_compared_as_texts_and_equal_texts_by_name() -> None:
    assert names({"c": "1", "a": "1", "b": "01"}) == ["b", "a", "c"]


def test_missing_is_last_and_descending_reverses_all() -> None:
    ranks = {"a": None, "b": "1", "c": "2", "d": None}
    assert names(ranks) == ["b", "c", "a", "d"]
    assert names(ranks, ascending=False) == ["d", "a", "c", "b"]
    mixed = {"a": None, "b": "x", "c": "2", "d": None}
    assert names(mixed) == ["c", "b", "a", "d"]
    assert names(mixed, ascending=False) == ["d", "a", "b", "c"]


def test_without_a_rank_names_are_ranked_numbers_too() -> None:
    ranks: dict[str, str | None] = {"10": None, "9": None, "8": None}
    assert names(ranks, attribute=None) == names(ranks, attribute="") == ["8", "9", "10"]
    assert names({"b": None, "a": None}, attribute="nodename") == ["a", "b"]


def test_a_contradiction_has_one_result() -> None:
    ranks = {"a": "9", "b": "10", "c": "1a"}
    results = {tuple(names(dict(each))) for each in itertools.permutations(ranks.items())}
    # the original's sort begins with the order of the names, and finds nothing to change
    assert results == {("a", "b", "c")}


def test_texts_are_compared_by_utf16_units() -> None:
    nodes = [Node(name="\uffff"), Node(name="\U0001f600"), Node(name="a")]
    assert [each.name for each in by_name(nodes)] == ["a", "\U0001f600", "\uffff"]


def test_tags_and_the_name_are_attributes() -> None:
    node = Node(name="n", tags=["a", "b"])
    assert (attribute(node, "nodename"), attribute(node, "tags"), attribute(node, "x")) == ("n", "a, b", None)
    assert attribute(Node(name="n"), "tags") is None


INTEGERS = st.integers(-(1 << 65), 1 << 65).map(str) | st.sampled_from(["01", "+1", "1", "001"])
TEXTS = st.text(max_size=3).filter(lambda text: not text.strip().lstrip("+-").isdigit())


@pytest.mark.parametrize(
    "values", [st.integers(-20, 20).map(str) | st.sampled_from(["01", "+1"]), TEXTS], ids=["int", "text"]
)
def test_it_is_a_total_order(values: st.SearchStrategy[str]) -> None:
    @given(ranks=st.dictionaries(st.text(max_size=3), st.none() | values, max_size=6))
    def check(ranks: dict[str, str | None]) -> None:
        whole = names(ranks)
        assert names(ranks, ascending=False) == whole[::-1]
        place = {name: index for index, name in enumerate(whole)}
        for left, right in itertools.combinations(ranks, 2):
            first, _ = names({left: ranks[left], right: ranks[right]})
            assert place[first] == min(place[left], place[right])

    check()


@given(
    st.dictionaries(st.text(max_size=3), st.none() | INTEGERS | TEXTS, max_size=6), st.randoms(use_true_random=False)
)
def test_the_result_depends_on_the_nodes_and_not_on_their_order(ranks: dict[str, str | None], random: object) -> None:
    shuffled = sorted(ranks.items(), key=lambda _: random.random())  # type: ignore[attr-defined]
    assert names(dict(shuffled)) == names(ranks)
    assert sorted(names(ranks)) == sorted(ranks)
