"""What is wrong with a setting of a key storage, in plain words that hold no value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from runbus.plugin import KeyStorage

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`\Z")
_BOUNDS: Final = (("ge", "{} or more"), ("gt", "more than {}"), ("le", "{} at most"), ("lt", "less than {}"))


def fault_of(said: str, plugin: type[KeyStorage], secrets: Sequence[str]) -> tuple[list[str], str]:
    """The settings that msgspec's text of a wrong one is about, as far as it names any, and what is wrong."""
    text, _, place = said.partition(" - at `$.")
    name = place.removesuffix("`")
    fields = {field.encode_name: field for field in msgspec.structs.fields(plugin.config_type)}
    if name in plugin.secret_settings or any(value and value in said for value in secrets):
        return [name], f"a setting that holds a secret is not valid{f' (setting {name})' if name else ''}"
    if missing := _MISSING.match(said):
        return [], f"{missing['name']} is missing"
    if name in fields and (kind := _kind(fields[name].type)):
        return [name], f"{name} has to be {kind}"
    which = f" (setting {name})" if name else ""
    named = [word for word in _WORD.findall(text) if word in fields]
    return [name, *named], f"{text[:1].lower() if which else text[:1]}{text[1:]}{which}"


def _kind(type_: Any) -> str:
    """What a value has to be; empty: there are no words for it."""
    info = msgspec.inspect.type_info(type_)
    kinds = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    found = [words for each in kinds if (words := _words(each))]
    return " or ".join(found)


def _words(info: msgspec.inspect.Type) -> str:
    if isinstance(info, msgspec.inspect.BoolType):
        return "true or false"
    if isinstance(info, msgspec.inspect.IntType):
        return "a whole number" + _bounds(info)
    if isinstance(info, msgspec.inspect.FloatType):
        return "a number" + _bounds(info)
    if isinstance(info, msgspec.inspect.EnumType):
        return f"one of {', '.join(str(each.value) for each in info.cls)}"
    if isinstance(info, msgspec.inspect.LiteralType):
        return f"one of {', '.join(str(each) for each in info.values)}"
    return ""


def _bounds(info: msgspec.inspect.IntType | msgspec.inspect.FloatType) -> str:
    told = [text.format(f"{at:g}") for name, text in _BOUNDS if (at := getattr(info, name)) is not None]
    return f", {' and '.join(told)}" if told else ""
