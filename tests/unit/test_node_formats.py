"""Documents of nodes: the rules of the original's three formats, its own cases, and what hostile input does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.nodes.formats import (
    NAMES,
    format_of,
    parts,
    read_nodes,
    resourcejson,
    resourceyaml,
    write_nodes,
    yamlvalues,
)
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import Node

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "resource_formats.json"

each_format = pytest.mark.parametrize("name", NAMES)


def yaml(text: str) -> list[Node]:
    return read_nodes("resourceyaml", text)


def js(value: Any) -> list[Node]:
    return read_nodes("resourcejson", json.dumps(value))


def xml(nodes: str) -> list[Node]:
    return read_nodes("resourcexml", f"<project>\n{nodes}\n</project>")


def refused(format_name: str, text: bytes | str) -> RunbusError:
    with pytest.raises(RunbusError) as caught:
        read_nodes(format_name, text)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert caught.value.message.startswith(format_name)
    return caught.value


def node(name: str, /, *tags: str, **attributes: str) -> Node:
    return Node(name=name, attributes=attributes, tags=sorted(tags))


def test_the_originals_cases() -> None:
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS} is not here")
    for case in json.loads(VECTORS.read_text()):
        if case.get("error"):
            refused(case["format"], case["text"])
            continue
        nodes = read_nodes(case["format"], case["text"])
        found = {
            each.name: {"attributes": each.attributes | {"nodename": each.name}, "tags": each.tags} for each in nodes
        }
        assert found == case["expect"], case["id"]
        for name in NAMES:
            assert read_nodes(name, write_nodes(name, nodes)) == nodes, (case["id"], name)


def test_a_format_is_told_by_the_extension() -> None:
    assert [format_of(f"/a.b/nodes.{end}") for end in ("yaml", "yml", "JSON", "xml")] == [
        "resourceyaml",
        "resourceyaml",
        "resourcejson",
        "resourcexml",
    ]
    for call in (lambda: format_of("nodes"), lambda: read_nodes("ini", ""), lambda: write_nodes("ini", [])):
        with pytest.raises(RunbusError, match="name one of resourceyaml, resourcejson, resourcexml"):
            call()


# YAML


def test_yaml_maps_lists_and_documents() -> None:
    text = "b: {hostname: h, nodename: x}\n---\n- {nodename: a, tags: [t, ' s ', t]}\n---\njust text\n---\n"
    assert yaml(text) == [node("a", "s", "t"), node("b", hostname="h")]
    assert yaml("") == yaml("# nothing") == []


def test_yaml_the_last_of_one_name_counts() -> None:
    assert yaml("a: {x: 1}\n---\na: {y: 2}") == [node("a", y="2")]
    assert yaml("a: {x: 1, x: 2}\na: {x: 3}") == [node("a", x="3")]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(
            ("22", "22"),
            ("010", "8"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("1_000", "1000"),
            ("-1:30", "-90"),
            ("'010'", "010"),
        ),
        *(
            ("1.10", "1.1"),
            ("1e3", "1000.0"),
            ("1e10", "1.0E10"),
            ("-0.0001", "-1.0E-4"),
            ("12345678.5", "1.23456785E7"),
        ),
        *((".inf", "Infinity"), (".nan", "NaN"), ("1.", "1.0"), ("yes", "true"), ("Off", "false"), ("y", "y")),
        *(
            ("2024-01-02", "2024-01-02"),
            ("10.6.5", "10.6.5"),
            ("[a, 1, {b: null}]", "[a, 1, {b=null}]"),
            ("!!str 1", "1"),
        ),
    ],
)
def test_yaml_values_are_printed_as_the_original_prints_them(written: str, value: str) -> None:
    assert yaml(f"n: {{x: {written}}}") == [node("n", x=value)]


def test_yaml_what_is_dropped() -> None:
    dropped = "attributes: a, frameworkProject: p, class: c, name: m, x: null, y: ~"
    text = f"n: {{{dropped}, z: '', hostname: [h, i], username: []}}"
    assert yaml(text) == [node("n", z="", hostname="h")]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("a, b ,,a", ["a", "b"]),
        ("''", []),
        ("", []),
        ("[a, null, '', 5]", ["5", "a"]),
        ("5", ["5"]),
        ("true", ["true"]),
    ],
)
def test_yaml_tags(tags: str, expected: list[str]) -> None:
    assert yaml(f"n:\n  tags: {tags}")[0].tags == expected


def test_yaml_aliases_and_merges() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{y: 9}, *a]}\nd: *a"
    assert yaml(text) == [
        node("a", x="1", y="2"),
        node("b", x="1", y="3"),
        node("c", y="9", x="1"),
        node("d", x="1", y="2"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: {}\nb:\n", 2, "got nothing"),
        ("a: text", 1, "got 'text'"),
        ("- {nodename: a}\n- {x: y}", 2, "no 'nodename'"),
        ("- a", 1, "got 'a'"),
        ("a: {}\n22: {}", 2, "'22' is no text"),
        ("yes: {}", 1, "is no text"),
        ("a: {x: y,\n 1: y}", 2, "attribute name '1'"),
        ("a: {[b]: c}", 1, "cannot be a key"),
        ("a:\n  x: - y", 2, "not valid YAML"),
        ("a: {x: !!java.io.File [f]}", 1, "tag"),
        ("a: {x: !foo y}", 1, "tag"),
        ("a: {x: !!int y}", 1, ""),
        ("a: &a {x: *a}", 1, "alias"),
        ("a: {<<: 1}", 1, "maps only"),
        ("a: {x: " + "9" * 500 + "}", 1, "too many digits"),
        ("a: {x: " + "[" * 60 + "]" * 60 + "}", 1, "inside one another"),
        ("a: {x: '\x01'}", 0, "cannot stand in YAML"),
        ("a: {x: '\ud800'}", 0, "cannot stand in YAML"),
        (b"a: {}\n\xff", 2, "UTF-8"),
    ],
)
def test_yaml_errors_have_their_line(text: bytes | str, line: int, part: str) -> None:
    error = refused("resourceyaml", text)
    assert part in error.message
    assert error.details["line"] == line


def test_yaml_bombs_are_refused() -> None:
    lines = ["a: &a [" + ",".join(["lol"] * 10) + "]"]
    lines += [
        f"{new}: &{new} [" + ",".join([f"*{old}"] * 10) + "]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert "repeat too much" in refused("resourceyaml", "n:\n  " + "\n  ".join(lines)).message
    deep = "\n".join(f"- &a{n} " + "[" * 40 + f"*a{n - 1}" + "]" * 40 for n in range(1, 60))
    assert "too deep" in refused("resourceyaml", f"- nodename: x\n  y:\n  - &a0 z\n{indent(deep)}").message
    assert "split" in refused("resourceyaml", "x" * (parts.MAX_YAML_BYTES + 1)).message


def indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


# JSON


def test_json_maps_and_lists() -> None:
    entry = {"tags": "a, b,c", "x": 1, "y": 1.10, "z": True, "null": None, "list": [], "map": {}, "name": "m"}
    expected = {"x": "1", "y": "1.1", "z": "true", "name": "m"}
    assert js({"k": entry, "no": 1}) == [node("k", "a", "b", "c", **expected)]
    assert js({"k": entry | {"nodename": "n"}}) == js([entry | {"nodename": "n"}, entry, 1, None])
    assert js({"k": {"nodename": None}}) == [node("k")]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("a, b", ["a", "b"]),
        (" a,b ", [" a", "b "]),
        ("  ", []),
        ([" a ", None, 1], [" a ", "1"]),
        (5, ["5"]),
        ({}, []),
        (None, []),
    ],
)
def test_json_tags(tags: Any, expected: list[str]) -> None:
    assert js({"n": {"tags": tags}})[0].tags == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1", 1),
        ("null", 1),
        ('{"a":\n {"x": }}', 2),
        ("", 0),
        ("[" * 5_000, 0),
        ('[{"nodename": null}]', 0),
        ('{"a": {"tags": [[]]}}', 0),
        ('"\ud800"', 0),
        (b"{}\n\xff", 2),
    ],
)
def test_json_errors(text: bytes | str, line: int) -> None:
    assert refused("resourcejson", text).details["line"] == line


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab\\", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("nodename", max_size=8), inner, max_size=3),
)


@given(value=JSON, cut=st.integers(0, 60), text=st.text('{}[]":, \\a1', max_size=5))
def test_a_long_json_document_is_read_like_a_short_one(value: Any, cut: int, text: str) -> None:
    whole = json.dumps(value)
    document = whole[:cut] + text + whole[cut:]
    short = read_or_fault(document)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resourcejson, "_SLICE_BYTES", 1)
        assert read_or_fault(document) == short


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("as_map", [True, False])
def test_a_long_json_document_is_decoded_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch, indent: int | None, as_map: bool
) -> None:
    entries = [
        {"nodename": f"n{number:05}", "text": '"},"{[', "sub": {"a": {"b": {}}, "c": {}}, "tags": ["b", "a"]}
        for number in range(10_000)
    ]
    data = {f"key{number}": entry for number, entry in enumerate(entries)} if as_map else entries
    document = json.dumps(data, indent=indent).encode()
    decode, lengths = msgspec.json.decode, []

    def noted(piece: bytes) -> Any:
        lengths.append(len(piece))
        return decode(piece)

    monkeypatch.setattr(msgspec.json, "decode", noted)
    found = read_nodes("resourcejson", document)
    assert found == [node(f"n{number:05}", "a", "b", text='"},"{[') for number in range(10_000)]
    assert max(lengths) < 330_000 < len(document)


def read_or_fault(document: str) -> list[Node] | str:
    try:
        return read_nodes("resourcejson", document)
    except RunbusError as error:
        return error.message


# XML


def test_xml_nodes_and_attributes() -> None:
    text = """<node name="a" hostname="" x="1" tags="t, s,,"><attribute name="x" value="2"/>
    <attribute name="text"> two <b>no</b>words <![CDATA[& more]]></attribute><attribute name="empty"/>
    <attribute name="name" value="dropped"/><sub><attribute name="deep" value="no"/></sub></node>
    <node name="a" x="3"/><group><node name="no"/></group><other/>"""
    (found,) = xml(text)
    assert found == node("a", "t", "s", hostname="", x="3", text=" two words & more", empty="")


def test_xml_roots_encodings_and_namespaces() -> None:
    assert read_nodes("resourcexml", '<any><node name="a"/></any>') == [node("a")]
    latin = '<?xml version="1.0" encoding="ISO-8859-1"?><p><node name="é"/></p>'
    assert read_nodes("resourcexml", latin.encode("latin-1")) == [node("é")]
    assert read_nodes("resourcexml", latin) == [node("é")]
    assert xml('<node name="a" xml:lang="en"/><n:node xmlns:n="u" name="b"/>') == [node("a", lang="en")]
    doctype = '<!DOCTYPE project PUBLIC "-//DTO Labs Inc.//DTD Resources Document 1.0//EN" "project.dtd">'
    assert read_nodes("resourcexml", f'{doctype}<project><node name="a"/></project>') == [node("a")]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("<p>\n<node/></p>", 2, "no 'name'"),
        ('<p><node name="a">\n<attribute value="x"/></node></p>', 2, "no 'name'"),
        ("<p>\n<node</p>", 2, "not valid XML"),
        ("", 1, "no element found"),
        ('<!DOCTYPE p [\n<!ENTITY a "b">]><p>&a;</p>', 2, "entities are not read"),
        ('<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/hostname">]><p>&a;</p>', 1, "entities are not read"),
        ('<!DOCTYPE p [<!ENTITY % a SYSTEM "http://x/">%a;]><p/>', 1, "entities are not read"),
        ('<!DOCTYPE p SYSTEM "p.dtd"><p>&a;</p>', 1, "entities are not read"),
        ('<!DOCTYPE p [<!ATTLIST node x CDATA "1">]><p/>', 1, "declared values"),
        ("<p>&a;</p>", 1, "undefined entity"),
        ('<?xml version="1.0" encoding="no-such"?><p/>', 1, "encoding"),
        ("<p>\ud800</p>", 0, "half a character"),
    ],
)
def test_xml_errors_have_their_line(text: str, line: int, part: str) -> None:
    error = refused("resourcexml", text.encode() if "encoding" in text else text)
    assert part in error.message
    assert error.details["line"] == line


# Writing


def test_what_is_written() -> None:
    nodes = [node("b", "t", "s", hostname="h", **{"a:b": "&"}), node("a")]
    assert write_nodes("resourceyaml", nodes) == (
        "a:\n  nodename: a\n  tags: \"\"\nb:\n  nodename: b\n  a:b: '&'\n  hostname: h\n  tags: s, t\n"
    )
    assert json.loads(write_nodes("resourcejson", nodes)) == {
        "a": {"nodename": "a", "tags": ""},
        "b": {"nodename": "b", "a:b": "&", "hostname": "h", "tags": "s, t"},
    }
    assert write_nodes("resourcexml", nodes) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n\n<project>\n  <node name="a"/>\n'
        '  <node name="b" tags="s, t" hostname="h">\n    <attribute name="a:b" value="&amp;"/>\n'
        "  </node>\n</project>\n"
    )
    assert write_nodes("resourceyaml", []) == ""


@each_format
@pytest.mark.parametrize("where", ["name", "attribute", "value", "tag"])
def test_what_cannot_be_written_is_refused(name: str, where: str) -> None:
    bad = "x\ud800"
    nodes = {"name": node(bad), "attribute": node("n", **{bad: ""}), "value": node("n", x=bad), "tag": node("n", bad)}
    with pytest.raises(RunbusError, match=r"node '[nx]"):
        write_nodes(name, [nodes[where]])


def test_a_control_character_cannot_be_written_as_xml() -> None:
    with pytest.raises(RunbusError, match="cannot stand in XML"):
        write_nodes("resourcexml", [node("n", x="\x01")])


@each_format
def test_documents_are_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (parts, resourceyaml, yamlvalues):
        for limit in ("MAX_BYTES", "MAX_YAML_BYTES", "MAX_WEIGHT"):
            if hasattr(module, limit):
                monkeypatch.setattr(module, limit, 1 << 20)
    assert "split" in refused(name, b" " * (parts.MAX_BYTES + 1) * 64).message


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufffe\uffff"), max_size=12)
XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r"),
    max_size=12,
)
TAG = st.text("ab é:#'\"{[&*!1-", min_size=1, max_size=6).filter(lambda tag: tag == tag.strip())


def nodes_of(text: st.SearchStrategy[str]) -> st.SearchStrategy[list[Node]]:
    key = (text | st.sampled_from(["hostname", "osName", "a-b", "on", "1", "xmlns"])).filter(
        lambda name: name not in ("attributes", "frameworkProject", "class", "name", "nodename", "tags")
    )
    return st.lists(
        st.builds(
            Node,
            name=text,
            attributes=st.dictionaries(key, text, max_size=4),
            tags=st.lists(TAG, max_size=3, unique=True).map(sorted),
        ),
        max_size=4,
        unique_by=lambda each: each.name,
    )


@pytest.mark.parametrize(
    ("name", "text"), [("resourceyaml", TEXT), ("resourcejson", TEXT), ("resourcexml", XML_TEXT)]
)
def test_nodes_come_back(name: str, text: st.SearchStrategy[str]) -> None:
    @given(nodes_of(text))
    def check(nodes: list[Node]) -> None:
        found = read_nodes(name, write_nodes(name, nodes))
        assert sorted(found, key=lambda each: each.name) == sorted(nodes, key=lambda each: each.name)
        assert read_nodes(name, write_nodes(name, nodes).encode()) == found

    check()


PIECES = st.lists(
    st.sampled_from(
        ["a", ": ", "\n", "  ", "- ", "{", "}", "[", "]", "&a ", "*a", "<<", "!!int ", '"', "1", "~", "nodename"]
    )
    | st.sampled_from(
        ["<p>", "</p>", "<node ", 'name="x"', "/>", "<!DOCTYPE p [", "]>", "null", ",", ":", "\x00", "\ud800"]
    ),
    max_size=14,
).map("".join)


@each_format
def test_any_document_is_read_or_refused(name: str) -> None:
    @given(PIECES | st.text(max_size=20) | st.binary(max_size=20))
    def check(document: str | bytes) -> None:
        try:
            read_nodes(name, document)
        except RunbusError as error:
            assert error.code is ErrorCode.INVALID_MESSAGE

    check()


def test_a_moment_of_yaml_is_a_text_like_any_other() -> None:
    nodes = read_nodes("resourceyaml", b"n1: {d: 2020-01-01, tags: [2020-01-02], e: [2020-01-03]}\n")
    assert msgspec.json.decode(msgspec.json.encode(nodes))[0] == {
        "name": "n1", "attributes": {"d": "2020-01-01", "e": "[2020-01-03]"}, "tags": ["2020-01-02"],
    }  # fmt: skip
    plain = read_nodes("resourceyaml", b"n1:\n  d: 2020-01-01T10:00:00Z\n  tags: 2020-01-02\n")
    assert msgspec.json.decode(msgspec.json.encode(plain))[0]["attributes"] == {"d": "2020-01-01T10:00:00Z"}
