"""Values of a job's options, as a command line gives them. A secure one never stands in an argument."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from domain.calls import arguments_of
from domain.context.arguments import join_arguments
from schemas.errors import RunbusError
from schemas.jobs import JobDefinition

Values = dict[str, str | list[str]]

_HOW: Final = "asks for it, or reads a line of standard input"


def option_values(given: Iterable[str], secure: Iterable[str], words: Iterable[str]) -> Values:
    """``NAME=VALUE`` each, names of secure ones, and ``-name value`` words; a repeated name has several values.

    Raises a usage error for what has no name, and for a secure value that is no text.
    """
    values = values_in_clear(given, words)
    for each in secure:
        name, _, file = each.partition("=@")
        if not name or "=" in name:
            raise click.UsageError(
                "--secure-option takes a name, or NAME=@FILE: a secure value has no place in an argument, where "
                "others can see it."
            )
        values[name] = _text(name, _from_file(file) if file else _asked(name))
    return values


def values_in_clear(given: Iterable[str], words: Iterable[str]) -> Values:
    """Those that stand in the arguments, where other users of the machine, and the shell's history, have them."""
    values: Values = {}
    for number, each in enumerate(given, start=1):
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.UsageError(
                f"--option has to be NAME=VALUE: number {number} is not, and is not shown, as it may be a secret."
            )
        _add(values, name, value)
    for name, value in _pairs(list(words)):
        _add(values, name, value)
    return values


def require_fit(job: JobDefinition, values: Values, in_clear: Iterable[str]) -> None:
    """Look at values, before anything is sent, as far as the job tells what they are.

    Raises a usage error for a secure option among those ``in_clear``, and for what no process can be given.
    """
    from domain.options.fits import unfit_of  # noqa: PLC0415  (brings the regexes: only where options are given)

    options = {option.name: option for option in job.options}
    for name in in_clear:
        if name in options and options[name].secure:
            raise click.UsageError(
                f"option {name!r} is secure, and an argument is seen by others and kept by the shell: give it with "
                f"--secure-option {name}, which {_HOW}, or --secure-option {name}=@FILE. Nothing was run."
            )
    for name, value in values.items():
        text = value if isinstance(value, str) else "".join(value)
        if name in options and (fault := unfit_of(options[name], text)):
            raise click.UsageError(f"option {name!r} {fault}. Nothing was run.")


def say_how(error: RunbusError, values: Values) -> RunbusError:
    """A refused run's error, with how to give the secure options that are missing; others see it as it is."""
    problems = error.details.get("problems")
    named = [each.get("option", "") for each in problems if each.get("secure")] if isinstance(problems, list) else []
    missing = [name for name in named if not values.get(name)]
    if missing:
        error.message = "\n".join([error.message, *(f"--secure-option {name} {_HOW}." for name in missing)])
    return error


def _text(name: str, value: str) -> str:
    """A secure value, if it is text without a NUL: it is not shown."""
    from domain.options.fits import unfit_text  # noqa: PLC0415  (brings the regexes: only where one is given)

    if fault := unfit_text(value):
        raise click.UsageError(f"the secure option {name!r} {fault}.")
    return value


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


def _from_file(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n")
    except OSError as cause:
        raise click.UsageError(f"the file {file} cannot be read: {cause.strerror}.") from None


def _asked(name: str) -> str:
    """Typed without an echo on a terminal; elsewhere the next line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(name, hide_input=True, err=True))
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        raise click.UsageError(f"standard input is no text, and the secure option {name!r} has to be.") from None
    if not line:
        raise click.UsageError(f"standard input has no line left for the secure option {name!r}.")
    return line.removesuffix("\n")
