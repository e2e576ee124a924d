"""Nodes as they leave a runner: without secrets, whatever they stand in."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.context.masking import Masker
from domain.discovery import listed as module
from domain.discovery.listed import listed
from domain.nodes.selection import by_name
from schemas.nodes import Node

SECRETS = ["hunter2hunter2", "first line\nsecond line\n", "with\0zero-in-it", "p@ss w0rd/with&signs"]
ENCODED = [base64.b64encode(secret.encode()).decode() for secret in SECRETS]
PIECES = [
    *SECRETS,
    *ENCODED,
    *map(quote, SECRETS),
    "first line",
    "second line",
    "\n",
    "\0",
    "\n\0\n",
    "hunter2",
    "a",
    " ",
    "",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=3).map("".join)
NODES = st.builds(
    lambda name, tags, attributes: Node(name=name, tags=sorted(set(tags)), attributes=attributes),
    TEXTS,
    st.lists(TEXTS, max_size=3),
    st.dictionaries(TEXTS, TEXTS, max_size=3),
)


def hidden(node: Node, masker: Masker) -> Node:
    mask = masker.mask
    return Node(
        name=mask(node.name),
        tags=sorted({mask(tag) for tag in node.tags}),
        attributes={mask(key): mask(value) for key, value in node.attributes.items()},
    )


@given(st.lists(NODES, max_size=5), st.lists(st.sampled_from(SECRETS), max_size=4), st.sampled_from([1, 2, 500]))
def test_looked_through_at_once_they_are_what_they_are_one_by_one(
    nodes: list[Node], secrets: list[str], at_once: int
) -> None:
    masker = Masker(secrets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLICE", at_once)
        found, _ = listed(nodes, [], masker)
    expected = {each.name: each for each in (hidden(node, masker) for node in nodes)}
    assert found == by_name(expected.values())


def test_nodes_without_a_secret_are_the_same() -> None:
    nodes = [Node(name=f"n{number:04}", attributes={"rank": str(number)}, tags=["web"]) for number in range(1200)]
    nodes[700].attributes["password"] = SECRETS[0]
    found, _ = listed(nodes, [], Masker(SECRETS))
    assert found[0] is nodes[0]
    assert found[1199] is nodes[1199]
    assert found[700] == Node(name="n0700", attributes={"rank": "700", "password": "[SECURE]"}, tags=["web"])
