"""What a message that is refused tells of itself: the place and what may stand there, nothing that came."""

from __future__ import annotations

import json
import traceback
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from schemas.api import RunRequest
from schemas.codec import decode
from schemas.errors import ErrorCode, ErrorReply, RunbusError
from schemas.keys import KeyPutRequest

SECRET = "hunter2-is-no-enum"
PLACED = f"{SECRET} - at `$.mode`"
"""Looks like the end of a text of the decoder."""


class Colour(StrEnum):
    """What a field takes."""

    RED = "red"
    BLUE = "blue"


class Leaf(msgspec.Struct, forbid_unknown_fields=True):
    """A part."""

    colour: Colour = Colour.RED
    mode: Literal["fast", "slow"] = "fast"


class Whole(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="test.whole.v1"):
    """A message with each way to come to a part."""

    leaf: Leaf | None = None
    leaves: list[Leaf] = []
    named: dict[str, Leaf] = {}
    by_colour: dict[Colour, int] = {}
    pair: tuple[int, Colour] = (0, Colour.RED)
    count: int = 0
    short: Annotated[str, msgspec.Meta(max_length=3)] = ""
    again: list[Whole] = []


def refused(data: bytes, message_type: Any) -> RunbusError:
    with pytest.raises(RunbusError) as caught:
        decode(data, message_type)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in f"{caught.value.message} {caught.value.details} {shown}"
    return caught.value


@pytest.mark.parametrize("value", [SECRET, PLACED, f"{SECRET}\n'", f"`{SECRET}`"])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ('{"leaf":{"colour":%s}}', "expected red or blue - at `$.leaf.colour`"),
        ('{"leaf":{"mode":%s}}', "expected fast or slow - at `$.leaf.mode`"),
        ('{"leaves":[{},{"colour":%s}]}', "expected red or blue - at `$.leaves[1].colour`"),
        ('{"named":{"x":{"colour":%s}}}', "expected red or blue - at `$.named[...].colour`"),
        ('{"by_colour":{%s:1}}', "expected red or blue - at `key` in `$.by_colour`"),
        ('{"pair":[1,%s]}', "expected red or blue - at `$.pair[1]`"),
        ('{"again":[{"leaf":{"colour":%s}}]}', "expected red or blue - at `$.again[0].leaf.colour`"),
    ],
)
def test_a_value_that_is_none_of_those_allowed(shape: str, expected: str, value: str) -> None:
    error = refused((shape % json.dumps(value)).encode(), Whole)
    assert error.code is ErrorCode.INVALID_MESSAGE
    assert error.message == f"not a valid test.whole.v1 message: Invalid value (it is not shown), {expected}."


def test_the_key_type_of_a_key_that_is_stored() -> None:
    data = {"path": "keys/db", "sealed": "x", "key_type": SECRET}
    message = refused(json.dumps(data).encode(), KeyPutRequest).message
    assert message.endswith("expected password or privateKey or publicKey - at `$.key_type`.")


def test_a_code_of_an_error() -> None:
    data = json.dumps({"error": {"code": SECRET, "message": ""}}).encode()
    message = refused(data, ErrorReply).message
    assert "expected invalid_message or " in message
    assert message.endswith(" - at `$.error.code`.")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({SECRET: 1}, "an unknown field (it is not shown), fields are leaf, leaves, named,"),
        ({"leaf": {SECRET: 1}}, "an unknown field (it is not shown), fields are colour, mode - at `$.leaf`."),
        ({"leaf": {f"{SECRET}` - at `$.leaves": 1}}, "fields are colour, mode - at `$.leaf`."),
        ({"leafs": 1}, "Object contains unknown field `leafs`."),
        ({"leaf": {"color": "red"}}, "Object contains unknown field `color` - at `$.leaf`."),
        ({"count": SECRET}, "Expected `int`, got `str` - at `$.count`."),
        ({"short": SECRET}, "Expected `str` of length <= 3 - at `$.short`."),
        ({"leaves": SECRET}, "Expected `array`, got `str` - at `$.leaves`."),
        ({"type": SECRET}, "what stands as its type (it is no name of one, and not shown) is not understood here"),
        ({"type": "test.whole.v2"}, "type 'test.whole.v2' is not understood here: send test.whole.v1."),
    ],
)
def test_other_faults(data: dict[str, Any], text: str) -> None:
    assert text in refused(json.dumps(data).encode(), Whole).message


def test_no_text_at_all_and_no_end_of_it() -> None:
    assert refused(SECRET.encode() + b"\xff", RunRequest).message.startswith("not a valid runbus.run.v1 message: ")
    assert "no UTF-8 text" in refused(b'{"job":"\xff' + SECRET.encode() + b'"}', RunRequest).message
    deep = b'{"error":{"code":"busy","message":"","details":{"x":' + b'{"x":' * 200_000
    assert "too deeply" in refused(deep, ErrorReply).message
