"""The setting ``filter``, as of ``docker ps --filter``."""

from __future__ import annotations

import shlex


class FilterError(ValueError):
    """A filter that cannot be read; the text has the part at fault, and what to write."""


def parse_filter(text: str) -> dict[str, list[str]]:
    """Filters by name, each with its values in order: ``label=a=b,label=c`` is ``{"label": ["a=b", "c"]}``.

    Commas separate filters; one in quotes is text. Which names there are the engine knows. Raises
    :class:`FilterError`.
    """
    found: dict[str, list[str]] = {}
    for item in _items(text):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name:
            raise FilterError(f"filter: {item!r} is not NAME=VALUE, such as status=running")
        values = found.setdefault(name.lower(), [])
        if value not in values:
            values.append(value)
    return found


def _items(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace, lexer.whitespace_split = ",\n", True
    # A filter may be a regular expression.
    lexer.commenters = lexer.escape = ""
    try:
        return [item.strip() for item in lexer if item.strip()]
    except ValueError as cause:
        raise FilterError(f"filter: {text!r} has an open quote ({cause})") from None
