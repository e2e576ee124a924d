"""Values of keys that nobody could be given: told where a key is stored, not by the job that reads it one night."""

from __future__ import annotations

from domain.keys.metadata import key_type_of
from domain.options.fits import unfit_text, unfit_variable
from schemas.keys import KeyType

_NO_TEXT = "is no UTF-8 text, which is all that a job can be given"


def type_of(value: bytes, key_type: KeyType | None) -> KeyType:
    """The type that a value is stored under: the one that was said, else as it looks."""
    return key_type or key_type_of(value.decode("utf-8", "replace"))


def refusal_of(value: bytes, key_type: KeyType | None) -> str | None:
    """Why a value is not stored, ``None`` where it is: a password that no process could be given. It is not repeated.

    Keys of other types are stored as they are; :func:`doubts_of` has what to say of them.
    """
    if type_of(value, key_type) is not KeyType.PASSWORD:
        return None
    text = _text_of(value)
    return f"{_NO_TEXT}: save it as UTF-8, or encode it, as base64" if text is None else unfit_text(text)


def doubts_of(value: bytes) -> list[str]:
    """What will not work with a value that is stored all the same; it is not repeated."""
    text = _text_of(value)
    if text is None:
        return [f"{_NO_TEXT}: no job can use it. Store a key in its text form (PEM), anything else in base64"]
    if fault := unfit_text(text):
        return [f"{fault}. No step can be given it"]
    if fault := unfit_variable("x", text, secure=True):
        return [f"{fault}. No script can be given it as the value of an option"]
    return []


def _text_of(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
