"""What a secret of AWS holds: a key, or a folder of fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.keys.paths import is_path
from services.runner.keystorage.aws.config import Behaviour


class Content(msgspec.Struct, frozen=True):
    """Exactly one of the three, or none: then there is no value that is text."""

    value: str | None = None
    fields: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"Content({'a key' if self.value is not None else 'fields' if self.fields else 'nothing'})"


def content_of(answer: Mapping[str, Any], behaviour: Behaviour) -> Content:
    """From an answer with ``SecretString`` or ``SecretBinary``. Binary that is UTF-8 is a key, whatever it holds."""
    text = answer.get("SecretString")
    if not isinstance(text, str):
        return _binary(answer.get("SecretBinary"))
    if behaviour is Behaviour.PLAIN:
        return Content(text) if text else Content()
    fields = _fields(text)
    if fields is None:
        return Content(text) if text else Content()
    if len(fields) == 1:
        return Content(_text(next(iter(fields.values()))))
    told = {name: value for name, field in fields.items() if (value := _text(field)) is not None}
    return Content(fields={name: value for name, value in told.items() if "/" not in name and is_path(name)})


def _binary(data: object) -> Content:
    if not isinstance(data, bytes) or not data:
        return Content()
    try:
        return Content(data.decode())
    except UnicodeDecodeError:
        return Content()


def _fields(text: str) -> dict[str, Any] | None:
    """None: it is no JSON object, or an empty one."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return found if isinstance(found, dict) and found else None


def _text(field: object) -> str | None:
    """A field's value: text as it is, anything else as JSON writes it; None: there is none."""
    if isinstance(field, str):
        return field or None
    return None if field is None else msgspec.json.encode(field).decode()
