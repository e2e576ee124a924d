"""YAML read entry by entry comes to what the parser makes of the whole: the same nodes, the same errors and lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.nodes import sample
from domain.nodes.formats import read_document, read_nodes, resourceyaml, write_nodes, yamlentries, yamlvalues
from domain.nodes.formats.parts import Document
from schemas.errors import RunbusError
from schemas.nodes import Node

LINES = r"""
a:|b:|a b: |no:|22:|'q':|"q":|a: {x: y}|a: {}|a:b:|é:|x/y:|<<: {a: {x: 2}}|a: &n {x: 1}|b: *n|---|--- |...|%YAML 1.1
  x: 1|  x: text|  y: 010|  y:|  z: ~|  yes: 1|    x: 1|   x: 1| x: 1|x: 1|  <<: {x: 3}|  x: &r 1|  y: *r|  x: !!str 1
  x: 1 # c|  x: a#b|  x: 'it''s'|  x: "a\tb"|  x: 'a: b'|  x: a: b|  x: -1|  x: - 1|  attributes: 1|  class: c
  tags: a, b|  tags: [a, b ,c]|  tags: []|  tags: [a, [b]]|  tags:|  tags: [|  ]|  hostname:|  nodename: n|? b|: c|?
  - a|  - b|    - a|    - b: c|    - a b|   - a|- a|- nodename: a|    -|- |[|]|{|}|| |# c|  x: !t 1|  # c
  x: "open|shut"|  x: 'open|shut'|  x: >-|  x: |1|    text|  text|text|  x: 中文
""".replace("\n", "|").split("|")
CHARACTERS = ["\x01", "  x: a\x85  b", "  x: a\u2028b", "\ufeff", "  x: \U0001f600", "  x: |1"]
LINES += ["  x: |", "  x: |+", "\t", "  x: a\tb", "  x: y\r", f"  x: {'9' * 401}", *CHARACTERS]
DOCUMENTS = st.builds(
    lambda between, lines, end: between.join(lines) + end,
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.lists(st.sampled_from(LINES), max_size=9),
    st.sampled_from(["\n", "", "\n\n", " ", "\r\n"]),
)
PARTS = st.text(st.sampled_from(" abn1:.,-#\"'[]{}&*!|>%@`?\\<=~\t+_/\n\x7f\xa0é\u3000"), max_size=7)
WORDS = st.text(st.sampled_from("ab:#-,.[ "), max_size=7)


def outcome(text: str) -> Document | str:
    try:
        return read_document("resourceyaml", text)
    except RunbusError as error:
        return error.message


def check(text: str) -> None:
    """Compare with what is read while no entry is taken as simple."""
    found = outcome(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resourceyaml, "entries", as_a_whole)
        assert found == outcome(text)


def as_a_whole(_text: str) -> list[str]:
    raise yamlentries.NotPlainError


@given(DOCUMENTS)
def test_any_lines(text: str) -> None:
    check(text)


@given(st.lists(DOCUMENTS, max_size=3), st.sampled_from(["a:\n  x: 1\n", "a:\n    - b\n", "b:\n  tags: [a, b]\n"]))
def test_any_lines_between_simple_entries(texts: list[str], simple: str) -> None:
    check(simple + simple.join(texts) + simple)


@given(PARTS | WORDS, PARTS | WORDS, st.sampled_from(["", " ", "  ", "\n", " #", "\nb:\n  x: y\n"]))
def test_any_attribute(key: str, value: str, end: str) -> None:
    for text in (f"a:\n  {key}: {value}{end}", f"a:\n  x: {value}{end}", f"{key}:\n  x: {value}{end}"):
        check(text)


@given(PARTS | WORDS, PARTS | WORDS)
def test_any_list(one: str, other: str) -> None:
    for text in (
        f"a:\n  x: [{one},{other}]\n",
        f"a:\n  x:\n  - {one}\n  - {other}\n  y: z",
        f"a:\n  x:\n    - {one}",
    ):
        check(text)


@given(DOCUMENTS, st.integers(50, 400))
def test_the_same_documents_are_too_large(text: str, max_weight: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yamlvalues, "MAX_WEIGHT", max_weight)
        check(text)


def test_simple_entries_are_read_without_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = sample(600)
    text = "# inventory\n---\n" + write_nodes("resourceyaml", nodes)
    lists = "n:\n    tags:\n    - a\n    - b.c\n    o: [x, 1]\n    empty:  \n    quoted: 'a: b'\n# end\n"
    expected = Node(name="n", attributes={"o": "[x, 1]", "quoted": "a: b"}, tags=["a", "b.c"])
    monkeypatch.setattr(yamlvalues, "LOADER", None)
    assert outcome(text + lists) == Document([*nodes, expected], [])


def test_a_single_odd_entry_does_not_make_the_rest_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    text = write_nodes("resourceyaml", sample(100))
    odd = "odd:\n  x: {a: b}\n  text: |\n    more\n    lines\n"
    seen: list[str] = []
    documents = yamlvalues.documents

    def noted(part: str, name: str) -> Iterator[tuple[Any, int]]:
        seen.append(part)
        return documents(part, name)

    monkeypatch.setattr(yamlvalues, "documents", noted)
    assert len(read_nodes("resourceyaml", text + odd + text.replace("host", "next"))) == 201
    assert seen == [odd]


def test_a_key_given_again_and_again_is_weighed_each_time() -> None:
    text = "a:\n" + "  x: [a, b, c, d, e, f, g, h]\n" * 20
    (entry,) = yamlentries.entries(text)
    assert isinstance(entry, yamlentries.Entry)
    parsed = sum(weight for _, weight in yamlvalues.documents(text, "resourceyaml"))
    assert entry.weight >= parsed
    check(text)
