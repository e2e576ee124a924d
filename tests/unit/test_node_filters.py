"""Node filters: grammar, matching and selection, by the rules of the original and its own cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.nodes.filters import MAX_FILTER_CHARS, combined, parse_filter, tokens
from domain.nodes.selection import select_nodes
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import Node

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"


def cases(name: str) -> list[dict[str, Any]]:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    loaded: list[dict[str, Any]] = json.loads(path.read_text())
    return loaded


def node(name: str, *tags: str, **attributes: str) -> Node:
    return Node(name=name, attributes=attributes, tags=sorted(tags))


def names(nodes: list[Node], text: str, exclude: str = "", *, exclude_precedence: bool = True) -> list[str]:
    return [each.name for each in select_nodes(nodes, combined(text, exclude, exclude_precedence=exclude_precedence))]


def matches(text: str, *tags: str, **attributes: str) -> bool:
    return names([node("n", *tags, **attributes)], text) == ["n"]


# Grammar


def test_the_originals_cases_of_parsing() -> None:
    for case in cases("node_filter_parse.json"):
        found = parse_filter(case["filter"])
        assert (found.include, found.exclude) == (case["include"], case["exclude"]), case["id"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" ", []),
        ("  ", [""]),
        (" a  b ", ["a", "b"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("'it''s'", ["it's"]),
        ("it's", ["it's"]),
        ("'a'b", ["ab"]),
        ("'a'b'c d'", ["abc d"]),
        ("'open a", ["open a"]),
        ("''", [""]),
        ("'''", ["'"]),
        (r"a\ b", ["a\\", "b"]),
        ("a\x00b\u00a0c", ["a", "b\u00a0c"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "include", "exclude"),
    [
        ("!web1", {"name": "!web1"}, {}),
        ("tags:", {}, {}),
        ("web1 tags:", {"name": "web1"}, {}),
        ("name: tags: x", {"name": "tags:,x"}, {}),
        ("a:b:c", {"a": "b:c"}, {}),
        ("a:b: c", {"a:b": "c"}, {}),
        (":x", {"": "x"}, {}),
        ("!:x", {}, {"": "x"}),
        ("!a:x !a: y a:z", {"a": "z"}, {"a": "x,y"}),
        ("tags: ''", {"tags": ""}, {}),
    ],
)
def test_clauses(text: str, include: dict[str, str], exclude: dict[str, str]) -> None:
    found = parse_filter(text)
    assert (found.include, found.exclude) == (include, exclude)


def test_a_filter_that_is_too_long_is_refused() -> None:
    with pytest.raises(RunbusError, match="shorten it") as caught:
        parse_filter("x" * (MAX_FILTER_CHARS + 1))
    assert caught.value.code is ErrorCode.INVALID_SELECTOR
    assert len(caught.value.message) < 300


def test_filter_exclude_swaps_sides_and_replaces() -> None:
    found = combined("tags: a !tags: b", "tags: c !name: d")
    assert (found.include, found.exclude) == ({"tags": "a", "name": "d"}, {"tags": "c"})


# Matching


def test_the_originals_cases_of_matching() -> None:
    for case in cases("node_filters.json"):
        nodes = [
            Node(
                name=name,
                attributes={key: value for key, value in found.items() if key != "tags"},
                tags=found.get("tags", []),
            )
            for name, found in case["nodes"].items()
        ]
        asked = combined(
            case["filter"], case.get("filter_exclude", ""), exclude_precedence=case.get("exclude_precedence", True)
        )
        if case.get("error"):
            with pytest.raises(RunbusError):
                select_nodes(nodes, asked)
        else:
            assert [each.name for each in select_nodes(nodes, asked)] == case["expect"], case["id"]


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("a: x.z", {"a": "xyz"}),
        ("a: x.z,b.d", {"a": "b.d"}),
        ("a: 'x, y'", {"a": " y"}),
        ("a: ' x '", {"a": "x"}),
        ("a: web[", {"a": "web["}),
        ("a: *", {"a": "*"}),
        ("a: /x+/", {"a": "xx"}),
        ("a: '/ x+ /'", {"a": "xx"}),
        ("a: /a/", {"a": "/a/"}),
        ("a: (?!db).*", {"a": "web"}),
        ("a: (?i)WEB.*", {"a": "web1"}),
        ("nodename: n", {}),
        ("name: n", {}),
        ("os-family: unix", {"osFamily": "unix"}),
        ("osFamily: unix", {"osFamily": "unix"}),
        ("name: '' a: x", {"a": "x"}),
        ("!foo: x", {}),
        ("!foo: x", {"foo": " "}),
    ],
)
def test_a_value_matches(text: str, attributes: dict[str, str]) -> None:
    assert matches(text, **attributes)


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("a: x.z", {"a": "x\nz"}),
        ("a: x.z", {"a": "xyzz"}),
        ("a: x", {}),
        ("a: .*", {"a": "  "}),
        ("a: ''", {"a": ""}),
        ("a: '' name: n", {"a": "x"}),
        ("a: /x[/", {}),
        ("os-family: unix", {"os-family": "unix"}),
        ("tags: x", {"tags": "x"}),
        ("type: Node", {}),
        ("", {}),
        ("name: ''", {}),
    ],
)
def test_a_value_does_not_match(text: str, attributes: dict[str, str]) -> None:
    assert not matches(text, **attributes)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("a+b", True),
        ("a+z", False),
        ("z, a + b", True),
        ("a.*", True),
        ("/[ab]/", True),
        ("z+", False),
        ("+", True),
        (",", False),
        ("x,,y", False),
        ("' a'", True),
    ],
)
def test_tags(selector: str, expected: bool) -> None:
    quoted = selector if selector.startswith("'") else f"'{selector}'"
    assert matches(f"tags: {quoted}", "a", "b") is expected
    assert not matches(f"tags: {quoted}")


def test_which_side_wins() -> None:
    nodes = [node("b", env="prod"), node("a", env="prod"), node("c", env="dev"), node("d")]
    assert names(nodes, "env: prod !name: a") == ["b"]
    assert names(nodes, "env: prod !name: [abc]") == []
    assert names(nodes, "env: prod !name: [abc]", exclude_precedence=False) == ["a", "b", "d"]
    assert names(nodes, "!env: prod") == ["c", "d"]
    assert names(nodes, "!env: prod", exclude_precedence=False) == ["c", "d"]
    assert names(nodes, "env: .*", "name: a") == ["b", "c"]


@pytest.mark.parametrize("text", ["name: /[/", "!name: /[/", "name: z !name: /[/", "tags: /(/"])
def test_a_fault_between_slashes_is_an_error(text: str) -> None:
    with pytest.raises(RunbusError, match="not a valid regex") as caught:
        names([node("n", "t")], text)
    assert caught.value.code is ErrorCode.INVALID_SELECTOR


def test_a_clause_behind_one_that_does_not_match_is_not_asked() -> None:
    nodes = [node("n", "t", osFamily="unix", x="y")]
    assert names(nodes, "name: z tags: /[/") == []
    assert names(nodes, "tags: z os-family: /[/") == []
    assert names(nodes, "os-family: z x: /[/") == []


def test_a_list_of_many_names_with_dots_needs_no_regex() -> None:
    nodes = [node(f"host-{index}.example.com") for index in range(3_000)]
    assert len(names(nodes, "name: " + ",".join(each.name for each in nodes))) == 3_000


@pytest.mark.slow
def test_a_regex_that_would_not_end_is_an_error() -> None:
    with pytest.raises(RunbusError, match="simplify it"):
        matches("a: (a|aa)+b", a="a" * 60)


ANY_NODE = st.builds(
    Node,
    name=st.text(max_size=8),
    attributes=st.dictionaries(st.sampled_from(["hostname", "osFamily", "x"]), st.text(max_size=8), max_size=3),
    tags=st.lists(st.text(max_size=5), max_size=3),
)
FILTER = st.lists(
    st.sampled_from(["name:", "!tags:", "tags:", "x:", "!x:", "os-family:", " ", "'", '"', "/", ",", "+", "!"])
    | st.text(alphabet=r"ab.*+?()[]{}|^$\,&-:!/QEdpL<=", max_size=6),
    max_size=8,
).map("".join)


@given(nodes=st.lists(ANY_NODE, max_size=4), text=FILTER | st.text(max_size=20), exclude=FILTER, first=st.booleans())
def test_a_filter_selects_or_raises_the_typed_error(nodes: list[Node], text: str, exclude: str, first: bool) -> None:
    try:
        found = select_nodes(nodes, combined(text, exclude, exclude_precedence=first))
    except RunbusError as error:
        assert error.code is ErrorCode.INVALID_SELECTOR
    else:
        assert all(each in nodes for each in found)


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4))
def test_quoted_words_come_back(words: list[str]) -> None:
    assert tokens(" ".join("'" + word.replace("'", "''") + "'" for word in words)) == words
