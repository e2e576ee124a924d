"""The settings ``mapping``, ``attributes`` and ``tags`` of node sources."""

from __future__ import annotations

import pytest

from domain.discovery.mapping import (
    Default,
    Rules,
    Selector,
    SettingError,
    apply,
    parse_attributes,
    parse_mapping,
    parse_tags,
    tags_of,
)

FACTS = {
    "docker:Id": "3f4e",
    "docker:Name": "/web",
    "docker:Config.Image": "redis:7.2",
    "docker:IPAddress": "",
    "default:labels": "app:web,env:prod",
    "osFamily": "windows",
    "vm.dataCenter": "east",
    "hostname": "3f4e",
}


def _attributes(text: str) -> dict[str, str]:
    return apply(parse_mapping(text), FACTS)[0]


def _tags(text: str) -> list[str]:
    return apply(parse_mapping(text), FACTS)[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("nodename.selector=docker:Name,hostname.selector=docker:Id", {"nodename": "/web", "hostname": "3f4e"}),
        ("nodename.selector=docker:Name\nhostname.selector=docker:Id", {"nodename": "/web", "hostname": "3f4e"}),
        (" , a.selector=docker:Id ,, \n ", {"a": "3f4e"}),
        ("a.selector=docker:Id b.selector=docker:Name", {"a": "3f4e", "b": "/web"}),
        ("a.b.selector=docker:Id", {"a.b": "3f4e"}),
        ("a.selector=docker:Unknown", {}),
        ("a.selector=docker:IPAddress", {}),
        ("a.selector=", {}),
        ("a.selector=docker:Id,a.selector=docker:Name", {"a": "/web"}),
        ("a.selector=docker:Id,a.selector=docker:IPAddress", {"a": "3f4e"}),
        ("a.selector=vm.name,vm.dataCenter,docker:Id", {"a": "east"}),
        ("a.selector=vm.name, vm.dataCenter", {"a": "east"}),
        ("a.selector=vm.name,vm.dataCenter,b.selector=docker:Id", {"a": "east", "b": "3f4e"}),
    ],
)
def test_a_selector_takes_the_first_fact_that_is_not_empty(text: str, expected: dict[str, str]) -> None:
    assert _attributes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.default=x", {"a": "x"}),
        ("a.default=", {"a": ""}),
        ("a.default=x,a.default=y", {"a": "x"}),
        ("hostname.default=x", {"hostname": "x"}),
        ("a.default=x,a.selector=docker:Id", {"a": "3f4e"}),
        ("a.selector=docker:Id,a.default=x", {"a": "3f4e"}),
        ("a.selector=docker:IPAddress,a.default=x", {"a": "x"}),
        ("a.default=x,a.redis:7.2.default=y", {"a": "y"}),
        ("a.redis:7.2.default=y,a.default=x", {"a": "y"}),
        ("a.<redis:7.2>.default=y", {"a": "y"}),
        ("a.nginx.default=y", {}),
        ("username.windows.default=Administrator,username.linux.default=root", {"username": "Administrator"}),
        ("a.selector=docker:Id,a.windows.default=y", {"a": "y"}),
        ("a.windows.default=y,a.selector=docker:Id", {"a": "3f4e"}),
        ("a.default=k=v", {"a": "k=v"}),
        ("a.default=one,two,b.default=x", {"a": "one,two", "b": "x"}),
        ("a.default=a box here", {"a": "a box here"}),
    ],
)
def test_a_default_fills_in_and_that_of_a_value_overrides(text: str, expected: dict[str, str]) -> None:
    assert _attributes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tags.selector=docker:Config.Image", ["redis:7.2"]),
        ("tag.selector=docker:Config.Image", ["redis:7.2"]),
        ("tags.selector=vm.dataCenter,osFamily,docker:IPAddress", ["east", "windows"]),
        ("tags.selector=vm.dataCenter,tags.selector=vm.dataCenter", ["east"]),
        ("tags.selector=default:labels", ["app:web", "env:prod"]),
        ("tags.default=a,b", ["a", "b"]),
        ("tags.default=a,tags.selector=osFamily", ["windows"]),
        ("tags.windows.default=win,tags.linux.default=lin", ["win"]),
    ],
)
def test_tags_of_a_mapping_are_added_up(text: str, expected: list[str]) -> None:
    assert _tags(text) == expected
    assert _attributes(text) == {}


def test_a_selector_reaches_deeper_only_for_what_is_no_fact() -> None:
    asked = []

    def deeper(name: str) -> str | None:
        asked.append(name)
        return "running" if name == "State.Status" else None

    mapping = parse_mapping("a.selector=docker:Id,b.selector=Nothing,State.Status,c.selector=docker:IPAddress")
    assert apply(mapping, FACTS, deeper) == ({"a": "3f4e", "b": "running"}, [])
    assert asked == ["Nothing", "State.Status"]


def test_entries_of_no_kind_are_named() -> None:
    mapping = parse_mapping("username=root,a.selector=x,b.selectr=docker:Id,y")
    assert mapping.entries == (Selector("a", ("x",)),)
    assert mapping.ignored == ("username", "b.selectr")
    assert Rules(mapping, {}, ()).warnings() == [
        "mapping: 'username' ends neither in .selector nor in .default, and is left out",
        "mapping: 'b.selectr' ends neither in .selector nor in .default, and is left out",
    ]


def test_rules_know_the_facts_they_name() -> None:
    rules = Rules.parse(mapping="a.selector=x,y,b.default=z,tags.selector=t", tags="tag.selector=s,plain")
    assert rules.facts() == {"x", "y", "t", "s"}


def test_a_default_of_a_value_is_told_from_a_plain_one() -> None:
    assert parse_mapping("a.default=x,b.c.d.default=y").entries == (Default("a", "x"), Default("b", "y", "c.d"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("docker:Name", "'docker:Name' is not ATTR.selector=FACT"),
        ("=x", "'=x' names no attribute"),
        (".selector=x", "'.selector' names no attribute"),
        (".default=x", "'.default' names no attribute"),
        ("..default=x", "'..default' names no attribute"),
    ],
)
def test_a_mapping_that_cannot_be_read_is_refused(text: str, part: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_mapping(text)
    assert str(caught.value).startswith(f"mapping: {part}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("username=root osFamily=unix", {"username": "root", "osFamily": "unix"}),
        ("a='x y' b=\"p=q\" c=", {"a": "x y", "b": "p=q", "c": ""}),
        ("a=x,y a=z", {"a": "z"}),
        (r"a=x\ y", {"a": "x y"}),
    ],
)
def test_attributes_are_split_as_a_shell_does(text: str, expected: dict[str, str]) -> None:
    assert parse_attributes(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [("root", "'root' is not NAME=TEXT"), ("=x", "'=x' is not NAME=TEXT"), ("a='x", '"a=\'x" has an open quote')],
)
def test_attributes_that_cannot_be_read_are_refused(text: str, part: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_attributes(text)
    assert str(caught.value).startswith(f"attributes: {part}")


@pytest.mark.parametrize(
    ("text", "is_spaced", "expected"),
    [
        ("", False, []),
        (" , ", False, []),
        ("a, b ,a", False, ["a", "b"]),
        ("a b", False, ["a b"]),
        ("a b", True, ["a", "b"]),
        ("a b,c", True, ["a b", "c"]),
        ("tag.selector=vm.dataCenter, tag.selector=osFamily, x", False, ["east", "windows", "x"]),
        ("tags.selector=docker:Config.Image docker", True, ["redis:7.2", "docker"]),
        ("tag.selector=default:labels", False, ["app:web", "env:prod"]),
        ("tag.selector=docker:Unknown,tag.selector=docker:IPAddress,tag.selector=", False, []),
    ],
)
def test_tags(text: str, is_spaced: bool, expected: list[str]) -> None:
    assert tags_of(parse_tags(text, is_spaced=is_spaced), FACTS) == expected


def test_what_sets_a_thing_last_holds() -> None:
    rules = Rules.parse(
        mapping="nodename.selector=docker:Name,hostname.selector=vm.dataCenter,username.default=root,tags.default=m",
        attributes="username=admin tags=x,y",
        tags="docker,tag.selector=osFamily",
    )
    node = rules.node("3f4e", {"hostname": "3f4e", "docker:Id": "3f4e", "tags": "old"}, ["docker"], facts=FACTS)
    assert node.name == "/web"
    assert node.attributes == {"hostname": "east", "docker:Id": "3f4e", "username": "admin"}
    assert node.tags == ["docker", "m", "windows", "x", "y"]


def test_attributes_hold_over_the_mapping_of_a_name_and_a_blank_name_is_not_taken() -> None:
    assert Rules.parse(mapping="nodename.default=a", attributes="nodename=b").node("c", {}, []).name == "b"
    assert Rules.parse(mapping="nodename.default=").node("c", {}, []).name == "c"


def test_without_settings_a_node_is_what_was_found() -> None:
    node = Rules.parse().node("3f4e", {"hostname": "3f4e", "nodename": "x"}, ["pods"])
    assert (node.name, node.attributes, node.tags) == ("x", {"hostname": "3f4e"}, ["pods"])
