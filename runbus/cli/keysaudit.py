"""``runbus keys audit``: who did what with which key, through which runner, and what came of it."""

from __future__ import annotations

import asyncio
from typing import Final

import click
import msgspec

from bus.follow import Follower
from bus.lifecycle import Background
from bus.pull import Delivery
from runbus.cli.context import Options, SharedCommand
from runbus.cli.failure import clean, paint
from runbus.cli.render import moment, print_json_line
from runbus.cli.session import Session, connected
from schemas.codec import decode
from schemas.keys import KeyAccess

_OK: Final = "ok"
_OUTCOME_CHARS: Final = 14
"""``already_exists``; few are longer."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be printed, and how."""

    path: str = ""
    """What paths begin with."""
    last: int = 100
    follow: bool = False
    as_json: bool = False


@click.command(cls=SharedCommand)
@click.option("--path", default="", metavar="PATH", help="Only keys whose path begins so: keys/db.")
@click.option("--last", type=click.IntRange(1, 100_000), default=100, metavar="N", help="Look at the last N.  [100]")
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.pass_obj
def audit(options: Options, /, *, path: str, last: int, follow: bool) -> None:
    """Print accesses to keys, oldest first; with --json a line each."""
    wanted = Wanted(path=path, last=last, follow=follow, as_json=options.as_json)
    connected(options, lambda session: _print(session, wanted))


async def _print(session: Session, wanted: Wanted) -> None:
    bus, subjects = session.client.bus, session.client.subjects

    async def take(delivery: Delivery) -> None:
        access = decode(delivery.data, KeyAccess)
        if access.path.startswith(wanted.path):
            print_json_line(access) if wanted.as_json else click.echo(line_of(access))

    newest_seq = await bus.last_seq(subjects.audit_stream)
    follower = Follower(
        bus, subjects.audit_stream, subjects.key_access("*"), on_message=take,
        after_seq=max(0, newest_seq - wanted.last),
    )  # fmt: skip
    async with Background(follower.run()):
        await follower.caught_up.wait()
        if wanted.follow:
            await asyncio.Event().wait()


def line_of(access: KeyAccess) -> str:
    """One access on a line: when, what came of it, what, by whom, on which runner, for what."""
    outcome = paint(f"{access.outcome:<{_OUTCOME_CHARS}}", "green" if access.outcome == _OK else "red")
    said = {
        "by": access.user,
        "on": access.runner,
        "for": access.execution,
        "for source": access.source,
        "in": access.project,
    }
    words = " ".join(f"{word} {clean(value)}" for word, value in said.items() if value)
    return f"{moment(access.at)} {outcome} {access.action:<6} {clean(access.path)} {words}".rstrip()
