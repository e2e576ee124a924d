"""Values that no process can be given, told where they are first known and not by the process that does not start."""

from __future__ import annotations

from typing import Final

from schemas.options import Option

MAX_VARIABLE_BYTES: Final = 131_071
"""Of one ``NAME=value``: Linux takes 128 KiB with the NUL behind it (MAX_ARG_STRLEN)."""
_PLAIN: Final = "RD_OPTION_"
_SECURE: Final = "RD_SECUREOPTION_"
"""Where a secure value stands a second time; the longer of its names."""


def unfit_text(value: str) -> str | None:
    """Why a value is no text that anybody could be given, ``None`` where it is one. It is not repeated."""
    if "\x00" in value:
        return "holds a NUL character, which neither arguments nor the environment can: leave it out"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is no UTF-8 text, which is all that arguments and the environment can hold: encode it, as base64"
    return None


def unfit_of(option: Option, value: str) -> str | None:
    """Why a value of an option is of no use, ``None`` where it is; only what scripts see has to fit a variable."""
    if fault := unfit_text(value):
        return fault
    return unfit_variable(option.name, value, secure=option.secure) if is_seen(option) else None


def is_seen(option: Option) -> bool:
    """Whether scripts see its value, in their environment."""
    return not option.secure or option.value_exposed


def unfit_variable(name: str, value: str, *, secure: bool) -> str | None:
    """Why the environment of a process cannot hold a text as the value of this option, ``None`` where it can."""
    size = len(value.encode())
    most = MAX_VARIABLE_BYTES - len(f"{_SECURE if secure else _PLAIN}{name}=".encode(errors="backslashreplace"))
    if size <= most:
        return None
    return f"has {size:,} bytes, and a process can be given {most:,} in a variable: shorten it, or name a file in it"
