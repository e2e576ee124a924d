from __future__ import annotations

import pytest

from domain.calls import arguments_of


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("", []),
        ("-a 1 -b 'two words'", [("a", "1"), ("b", "two words")]),
        ("-a -b c", [("a", "-b")]),
        ("-a", []),
        ("word -a 1 word", [("a", "1")]),
        ("- x -a ''", [("a", "")]),
        ('-a "${option.x} y"', [("a", "${option.x} y")]),
        ("-a 1 -a 2", [("a", "1"), ("a", "2")]),
        ("--long v", [("-long", "v")]),
    ],
)
def test_the_arguments_of_a_call(line: str, pairs: list[tuple[str, str]]) -> None:
    assert arguments_of(line) == pairs
