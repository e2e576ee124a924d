"""Telling what went wrong, in one sentence or as JSON."""

from __future__ import annotations

import os
import re
import sys
import traceback
from typing import Final

import click
import msgspec

from runbus.cli import exits
from runbus.cli.context import Options
from schemas.errors import ErrorCode, ErrorInfo, ErrorReply, RunbusError

ORIGIN: Final = "cli"
_REASON: Final = re.compile(r"[a-z][a-z0-9_]{1,39}")
"""A word of a list; other reasons are sentences, which the text has already."""


def report(error: BaseException, options: Options) -> int:
    """Print an error, and return the exit code. Only what nobody foresaw has a traceback, and only with --debug."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return report(error.exceptions[0], options)
    if isinstance(error, UnicodeEncodeError):
        print_error(_not_text(error).info(ORIGIN), options)
        return exits.USAGE
    if not isinstance(error, RunbusError | OSError):
        if options.debug:
            traceback.print_exception(error)
        error = _unforeseen(error)
    elif isinstance(error, OSError):
        error = RunbusError(ErrorCode.UNAVAILABLE, f"{error.strerror or error}{_place(error)}.")
    print_error(error.info(ORIGIN), options)
    return exits.ERROR


def print_error(info: ErrorInfo, options: Options) -> None:
    """On stderr for people; with ``--json`` on stdout for programs."""
    if options.as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(ErrorReply(error=info)), indent=2))
        return
    message = "\n".join(map(clean, info.message.split("\n")))
    if "\n" in message:
        click.echo(f"{paint('Error', 'red', bold=True)} {paint(reference(info), dim=True)}:\n{message}", err=True)
    else:
        click.echo(f"{paint('Error:', 'red', bold=True)} {message} {paint(reference(info), dim=True)}", err=True)


def reference(info: ErrorInfo) -> str:
    """``(key_unavailable: not_found, id 0a1b2c)``: what to ask for and to look up, the reason as manuals list it.

    What only this command knows stands in no log, and has no id.
    """
    reason = info.details.get("reason")
    why = f": {reason}" if isinstance(reason, str) and _REASON.fullmatch(reason) else ""
    looked_up = info.error_id and info.origin != ORIGIN
    return f"({info.code}{why}, id {info.error_id})" if looked_up else f"({info.code}{why})"


def clean(text: str) -> str:
    """One line without control characters: what comes from others could command the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def paint(text: str, colour: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
    """Coloured, unless NO_COLOR says not to; ``click.echo`` takes colours away where no terminal shows them."""
    if os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=colour, bold=bold or None, dim=dim or None)


def _not_text(error: UnicodeEncodeError) -> RunbusError:
    shown = str(error.object).encode(errors="backslashreplace").decode()[:80]
    return RunbusError(ErrorCode.INVALID_MESSAGE, f"'{shown}' is not valid UTF-8 text, and cannot be sent.")


def _place(error: OSError) -> str:
    return f": {error.filename}" if error.filename else ""


def _unforeseen(error: BaseException) -> RunbusError:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    return RunbusError(
        ErrorCode.INTERNAL,
        f"a fault of the runbus command: {type(error).__name__}: {str(error)[:200]}{place}. "
        "--debug shows all of it: please report it.",
        details={"python": sys.version.split()[0]},
    )
