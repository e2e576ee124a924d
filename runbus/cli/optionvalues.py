"""Values of a job's options, as a command line gives them. A secure one never stands in an argument."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from domain.calls import arguments_of
from domain.context.arguments import join_arguments

Values = dict[str, str | list[str]]


def option_values(given: Iterable[str], secure: Iterable[str], words: Iterable[str]) -> Values:
    """``NAME=VALUE`` each, names of secure ones, and ``-name value`` words; a repeated name has several values.

    Raises a usage error for what has no name.
    """
    values: Values = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--option {each[:40]!r} has to be NAME=VALUE.")
        _add(values, name, value)
    for name, value in _pairs(list(words)):
        _add(values, name, value)
    for each in secure:
        name, _, file = each.partition("=@")
        if not name or "=" in name:
            raise click.UsageError(
                "--secure-option takes a name, or NAME=@FILE: a secure value has no place in an argument, where "
                "others can see it."
            )
        values[name] = _from_file(file) if file else _asked(name)
    return values


def _add(values: Values, name: str, value: str) -> None:
    before = values.get(name)
    if before is None:
        values[name] = value
    else:
        values[name] = [*([before] if isinstance(before, str) else before), value]


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    """The original's own form; words that belong to no name are a mistake here."""
    if not words:
        return []
    pairs = arguments_of(join_arguments(words))
    if 2 * len(pairs) != len(words):
        raise click.UsageError("behind '--' options are given as the original writes them: -name value -other value.")
    return pairs


def _from_file(name: str) -> str:
    try:
        return Path(name).read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as cause:
        raise click.UsageError(f"the file {name} cannot be read as text: {cause}.") from None


def _asked(name: str) -> str:
    """Typed without an echo on a terminal; elsewhere the next line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(name, hide_input=True, err=True))
    line = sys.stdin.readline()
    if not line:
        raise click.UsageError(f"standard input has no line left for the secure option {name!r}.")
    return line.removesuffix("\n")
