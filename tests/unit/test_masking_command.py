"""Secrets that a step tells of while it runs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.context.mask_command import MAX_VALUE_BYTES, AddMaskStream
from domain.context.masking import Masker, MaskStream

PROPERTY = settings(deadline=None, max_examples=100)

lines = st.lists(
    st.sampled_from(
        [
            b"::add-mask::",
            b"::ADD-mask::",
            b"value",
            b"\n",
            b"\r\n",
            b" ",
            b"\t",
            b":",
            b"::",
            b"::add-",
            b"mask::",
            b"%0A",
            b"\xff",
            b"\x1b",
            b"\x1b[",
            b"\x1b[0m",
            b"1;2m",
        ]
    ),
    max_size=20,
).map(b"".join)


def taken(data: bytes, size: int) -> tuple[bytes, list[str]]:
    told: list[str] = []
    stream = AddMaskStream(told.append)
    pieces = [stream.feed(data[start : start + size]) for start in range(0, len(data), size)]
    return b"".join([*pieces, stream.finish()]), told


@pytest.mark.parametrize(
    ("data", "shown", "told"),
    [
        (b"::add-mask::hunter2\n", b"::add-mask::[SECURE]\n", ["hunter2"]),
        (b"a\n  ::add-mask::hunter 2 \r\nb", b"a\n  ::add-mask::[SECURE]\r\nb", ["hunter 2 "]),
        (b"::add-mask::one\n::add-mask::two", b"::add-mask::[SECURE]\n::add-mask::[SECURE]", ["one", "two"]),
        (b"::add-mask::a%0Ab%0d%25%250A", b"::add-mask::[SECURE]", ["a\nb\r%%0A"]),
        (b"::add-mask::a::add-mask::b\n", b"::add-mask::[SECURE]\n", ["a::add-mask::b"]),
        (b"::add-mask::\xff\xc3\xa9\n", b"::add-mask::[SECURE]\n", ["\udcffé"]),
        (b"5%\r::add-mask::x\n", b"5%\r::add-mask::[SECURE]\n", ["x"]),
        (b"::Add-Mask::x1\n\t::ADD-MASK::y\r\n", b"::Add-Mask::[SECURE]\n\t::ADD-MASK::[SECURE]\r\n", ["x1", "y"]),
        (b"\x1b[31m::add-mask::x1\x1b[0m\n", b"\x1b[31m::add-mask::[SECURE]\x1b[0m\n", ["x1"]),
        (
            b"\x1b[m \x1b[1;38:5:9m\x1b[K::add-mask::\x1b[4mx\x1b[m1\x1b[m\x1b[K",
            b"\x1b[m \x1b[1;38:5:9m\x1b[K::add-mask::\x1b[4m[SECURE]\x1b[m\x1b[K",
            ["x\x1b[m1"],
        ),
        (b"\x1b[31m::add-mask::\x1b[0m\n", b"\x1b[31m::add-mask::\x1b[0m\n", []),
        (b"\x1b[2J::add-mask::x1\n\x1b[3", b"\x1b[2J::add-mask::x1\n\x1b[3", []),
        (b"see ::add-mask::hunter2\n", b"see ::add-mask::hunter2\n", []),
        (b"::add-mask::\n::add-mask:: \t\n", b"::add-mask::\n::add-mask:: \t\n", []),
        (b"::add-mask:hunter2\n::debug::x\n:", b"::add-mask:hunter2\n::debug::x\n:", []),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 13, 1000])
def test_values_are_taken_out_of_their_lines(data: bytes, shown: bytes, told: list[str], size: int) -> None:
    assert taken(data, size) == (shown, told)


@PROPERTY
@given(lines, st.integers(1, 30))
def test_it_does_not_matter_how_the_stream_is_cut(data: bytes, size: int) -> None:
    assert taken(data, size) == taken(data, len(data) + 1)


@PROPERTY
@given(st.binary() | lines, st.integers(1, 30))
def test_all_else_goes_through_unchanged(data: bytes, size: int) -> None:
    clean = re.sub(b"::add-mask::", b"::add--mask::", data, flags=re.IGNORECASE)

    assert taken(clean, size) == (clean, [])


def test_only_the_start_of_a_command_is_held_back() -> None:
    stream = AddMaskStream(list[str]().append)

    assert stream.feed(b"time: 10:") == b"time: 10:"
    assert stream.feed(b"\n  ::add") == b"\n  "
    assert stream.feed(b"itional") == b"::additional"
    assert stream.feed(b"::add-mask::") == b"::add-mask::"
    assert stream.finish() == b""
    assert stream.feed(b"red\x1b[3") == b"red\x1b[3"
    assert stream.feed(b"1m\n\x1b[3") == b"1m\n"
    assert stream.feed(b"1m::ADD") == b"\x1b[31m"
    assert stream.feed(b"ed") == b"::ADDed"


def test_a_value_full_of_colours_takes_no_time() -> None:
    colours = b"\x1b[m" * 10_000

    assert taken(b"::add-mask::" + colours + b"x1" + colours, 4096)[1] == ["x1"]
    assert taken(b"::add-mask::a" + colours + b"x1", 4096)[1] == ["a" + colours.decode() + "x1"]


def test_a_value_without_end_takes_bounded_memory_and_is_not_shown() -> None:
    shown, told = taken(b"::add-mask::" + b"abcdefgh" * 100_000 + b"\nnext", 4096)

    assert shown == b"::add-mask::[SECURE]\nnext"
    assert [len(value) for value in told] == [MAX_VALUE_BYTES]


def test_what_is_told_is_masked_from_there_on_in_every_stream() -> None:
    masker = Masker([])
    out, err = MaskStream(masker), MaskStream(masker)
    commands = AddMaskStream(lambda value: masker.learn([value]))

    def printed(data: bytes) -> bytes:
        return b"".join(out.feed(commands.feed(bytes([byte]))) for byte in data)

    assert printed(b"hunter2 or not\n") == b"hunter2 or not\n"
    assert err.feed(b"hunter2\n") == b"hunter2\n"
    assert printed(b"::add-mask::hunter2\nit is hunter2.\n") == b"::add-mask::[SECURE]\nit is [SECURE].\n"
    assert err.feed(b"hunter2\n") == b"[SECURE]\n"
