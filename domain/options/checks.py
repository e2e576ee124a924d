"""Judges the value of one option; a secure value is never repeated in what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from domain.nodes.javaregex.pattern import JavaPattern
from domain.nodes.javaregex.source import PatternError, TooCostlyError
from domain.options.fits import unfit_of
from schemas.options import Option

_MAX_SHOWN: Final = 20
_MAX_SHOWN_CHARS: Final = 80


def problem_of(option: Option, value: str | Sequence[str] | None, allowed: Sequence[str]) -> str | None:
    """What is wrong with a value, ``None`` where nothing is; ``allowed`` are the values of an enforced option.

    The order is the original's: several values where one is allowed, required, then regex or allowed values. An
    empty value is only ever wrong because it is required.
    """
    if value is not None and not isinstance(value, str):
        if not option.multivalued:
            return f"takes one value, not a list of {len(value)}: give one, or set 'multivalued: true' in the job"
        given = [part for part in value if part]
    else:
        given = _split(option, value or "")
    if not given:
        return "is required: give it a value" if option.required and not option.is_stored else None
    if unfit := unfit_of(option, value if isinstance(value, str) else option.separator.join(given)):
        return unfit
    if option.enforced:
        return _outside(option, given, allowed)
    return _unmatched(option, given) if option.regex else None


def _split(option: Option, value: str) -> list[str]:
    if option.multivalued:
        return option.parts(value)
    return [value] if value else []


def _outside(option: Option, given: Sequence[str], allowed: Sequence[str]) -> str | None:
    """With no allowed values, as when the URL that has them gave none, the original lets any value pass."""
    if not allowed:
        return None
    return _refused(option, given, frozenset(allowed).__contains__, f"is not one of {_shown(allowed)}")


def _unmatched(option: Option, given: Sequence[str]) -> str | None:
    try:
        pattern = JavaPattern(option.regex or "")
        return _refused(option, given, pattern.matches, f"does not match the regex {_short(option.regex or '')}")
    except PatternError as error:
        return f"has a regex that is not valid, {_short(option.regex or '')}: {error}; correct it in the job"
    except TooCostlyError as error:
        return f"cannot be checked: {error}"


def _refused(option: Option, given: Sequence[str], fits: Callable[[str], bool], reason: str) -> str | None:
    refused = [part for part in given if not fits(part)]
    if not refused:
        return None
    if option.secure:
        return f"has a value that {reason}" if not option.enforced else "has a value that is not allowed"
    return f"has the value {_shown(refused)}, which {reason}"


def _shown(values: Sequence[str]) -> str:
    shown = ", ".join(map(_short, values[:_MAX_SHOWN]))
    return f"{shown} and {len(values) - _MAX_SHOWN} more" if len(values) > _MAX_SHOWN else shown


def _short(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…")
