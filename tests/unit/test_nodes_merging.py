"""Nodes of several sources put together, and how two lists of one source differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.nodes.merging import Difference, difference, merged
from schemas.nodes import Node


def node(name: str, *tags: str, **attributes: str) -> Node:
    return Node(name=name, attributes=attributes, tags=sorted(tags))


def test_of_a_node_that_several_have_the_later_attributes_hold_and_all_tags() -> None:
    first = [node("a", "x", hostname="1", rack="r"), node("b")]
    second = [node("a", "y", hostname="2"), node("0")]
    assert merged([first, [], second]) == [node("0"), node("a", "x", "y", hostname="2", rack="r"), node("b")]
    assert merged([first, second], attributes=False) == [node("0"), node("a", "y", hostname="2"), node("b")]


def test_no_source_has_no_nodes_and_one_has_its_own() -> None:
    only = [node("a"), node("b")]
    assert (merged([]), merged([[], []]), merged([[], only])) == ([], [], only)


def test_the_difference_of_two_lists() -> None:
    before = [node("a"), node("b", rack="1"), node("c")]
    after = [node("b", rack="2"), node("c"), node("d"), node("e")]
    assert difference(before, after) == Difference(added=2, changed=1, gone=1)
    assert difference(before, before) == Difference()


LISTS = st.lists(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.builds(node, st.just("x"), st.sampled_from("tu"), k=st.sampled_from("12")),
        max_size=4,
    ),
    max_size=4,
)


@given(LISTS)
def test_merging_is_the_union_of_names_and_the_last_attribute(lists: list[dict[str, Node]]) -> None:
    named = [[node(name, *each.tags, **each.attributes) for name, each in sorted(one.items())] for one in lists]
    found = merged(named)
    assert [each.name for each in found] == sorted({name for one in lists for name in one})
    for each in found:
        having = [one[each.name] for one in lists if each.name in one]
        assert each.attributes == having[-1].attributes
        assert set(each.tags) == {tag for one in having for tag in one.tags}
