"""What ``runbus keys`` is given: whose keys, which key, and a value, which is never an argument."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from domain.keys.values import doubts_of, refusal_of
from runbus.cli.context import SharedCommand
from runbus.cli.jobcheck import print_warnings
from runbus.cli.values import chosen_tags, selector_of
from schemas.jobs import RunnerSelector
from schemas.keys import KeyType

CENTRE: Final = "keys/"
RUNNER: Final = "runner/"
MAX_VALUE_BYTES: Final = 512 << 10
"""Sealed, and in base64, more is too large for a message."""


class PutCommand(SharedCommand):
    """What is typed behind the path may be the value: it is refused, and not repeated."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As ever, but for arguments that are too many."""
        ctx.allow_extra_args = True
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.possibilities:  # mistyped; else it may be a private key, which begins with dashes
                raise
            raise _too_many(ctx) from None
        if rest and not ctx.resilient_parsing:
            raise _too_many(ctx)
        return rest


def _too_many(ctx: click.Context) -> click.UsageError:
    return click.UsageError(
        "there is more than PATH and options (it is not shown: it may be the value). A value is never an argument: "
        "it is asked for, or read from stdin or with --file FILE.",
        ctx,
    )


def selector_for(path: str, given: dict[str, Any]) -> RunnerSelector | None:
    """Whose keys; None: the centre's, which the Local Runner uses. The path may say it, too, and must agree."""
    path = path.removeprefix("/")
    tags = chosen_tags(given["tags"])
    selector = None if given["local"] else selector_of(tags, given["filter_text"], local=False)
    if given["local"] and (tags or given["filter_text"]):
        raise click.UsageError("--local means the centre; --tags and --filter mean a runner: give one of them.")
    if f"{path}/".startswith(RUNNER) and selector is None:
        raise click.UsageError(f"{path!r} is a key of a runner: say which with --tags.")
    if f"{path}/".startswith(CENTRE) and selector is not None:
        raise click.UsageError(
            f"{path!r} is a key of the centre: leave --tags away, or write runner/{path[len(CENTRE) :]}."
        )
    return selector


def centre_name(path: str) -> str:
    """``keys/folder/name`` of what was typed. The service looks whether it is a path."""
    path = path.removeprefix("/")
    if path.rstrip("/") in ("", CENTRE[:-1], RUNNER[:-1]):
        raise click.UsageError(f"{path!r} is no key: write keys/folder/name.")
    if path.startswith(RUNNER):
        raise click.UsageError(f"{path!r} is a key of a runner: it is changed where it is kept, not through Runbus.")
    return path if path.startswith(CENTRE) else f"{CENTRE}{path}"


def below_root(path: str, selector: RunnerSelector | None) -> str:
    """What stands behind ``keys/``, or ``runner/``; empty: the root. The service looks whether it is a path."""
    path = path.removeprefix("/")
    root = CENTRE if selector is None else RUNNER
    return "" if path.rstrip("/") == root[:-1] else path.removeprefix(root).removesuffix("/")


def value_for(path: str, file: str | None) -> bytes:
    """The value; the newline that ends a typed or piped line is no part of it, a file's content stays as it is."""
    if file is not None:
        data = _read(file)
    elif sys.stdin.isatty():
        data = str(click.prompt(f"Value of {path}", hide_input=True, confirmation_prompt=True, err=True)).encode(
            "utf-8", "surrogateescape"
        )
    else:
        data = sys.stdin.buffer.read(MAX_VALUE_BYTES + 2)
        data = data.removesuffix(b"\n") if data.count(b"\n") == 1 else data
    if not data:
        raise click.UsageError("the value is empty: nothing was stored.")
    if len(data) > MAX_VALUE_BYTES:
        raise click.UsageError(f"the value is longer than {MAX_VALUE_BYTES >> 10} KiB: nothing was stored.")
    return data


def check_value(value: bytes, key_type: KeyType | None) -> None:
    """Refuse a value that no job could be given; warn of one that may be of no use, before it is stored."""
    if why := refusal_of(value, key_type):
        raise click.UsageError(f"the value {why}: nothing was stored.")
    print_warnings([f"the value {why}." for why in doubts_of(value)])


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MAX_VALUE_BYTES + 1)
    except OSError as cause:
        raise click.UsageError(f"the file {file} cannot be read: {cause.strerror or cause}.") from None
