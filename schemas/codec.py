"""Bytes to messages and back. JSON, so that any language and any pair of eyes can read the bus."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec

from schemas.decodefaults import fault_of
from schemas.errors import ErrorCode, RunbusError

T = TypeVar("T")

_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Nesting too deep for the decoder is a fault of the data, too."""
_TYPE: Final = re.compile(r"[a-z]+(\.[a-z_]{1,40}){1,3}\.v[0-9]{1,4}")
"""What is shown of a ``type`` that nobody knows: ours of another version, or of others who name theirs alike."""
_encoder: Final = msgspec.json.Encoder()


class _Typed(msgspec.Struct):
    type: str = ""


_peek: Final = msgspec.json.Decoder(_Typed)


@cache
def _decoder(message_type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(message_type)


def encode(message: msgspec.Struct) -> bytes:
    """One message as JSON bytes, with its ``type``."""
    return _encoder.encode(message)


def decode(data: bytes, message_type: type[T]) -> T:
    """Read one message of a type, or of a union of types.

    Raises ``unsupported_version`` if the data bears a ``type`` that is not expected here, else
    ``invalid_message`` with the place of the fault, and what may stand there. The data itself is not in it, nor in
    what a traceback tells of it: it may hold a secret, and what is refused is told in a stream.
    """
    try:
        result: T = _decoder(cast("Any", message_type)).decode(data)
    except _UNDECODABLE as cause:
        raise _decode_error(data, message_type, cause) from None
    return result


def _decode_error(data: bytes, message_type: Any, cause: Exception) -> RunbusError:
    expected = message_names(message_type)
    try:
        found = _peek.decode(data).type
    except _UNDECODABLE:
        found = ""
    if found and found not in expected:
        shown = found if _TYPE.fullmatch(found) else ""
        which = f"type {shown!r}" if shown else "what stands as its type (it is no name of one, and not shown)"
        return RunbusError(
            ErrorCode.UNSUPPORTED_VERSION,
            f"{which} is not understood here: send {' or '.join(expected)}.",
            details={"found": shown, "expected": expected},
        )
    return RunbusError(
        ErrorCode.INVALID_MESSAGE,
        f"not a valid {' or '.join(expected)} message: {fault_of(cause, message_type)}.",
        details={"expected": expected},
    )


def message_names(message_type: Any) -> list[str]:
    """The ``type`` of a message, or of each member of a union."""
    members = getattr(message_type, "__args__", None) or (message_type,)
    return [str(member.__struct_config__.tag) for member in members]
