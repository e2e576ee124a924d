"""What a dry run tells of keys: which are read where, and who could not. Paths only: nobody is asked for a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from domain.fleet import TAKES_WORK, why_nobody
from domain.keys.needs import KeyNeed, refuse_or_warn
from domain.keystorages import told_of_runners
from runbus.cli.context import Options
from schemas.errors import RunbusError
from schemas.tokens import TagSet


class PlannedKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An option that takes its value from a key."""

    option: str
    path: str
    read_by: str
    """In words: whoever reads it, and from where."""
    required: bool = False
    place: str = ""
    """The step that calls the job whose option it is; empty: it is the job's own."""
    job: str = ""


def planned_keys(needs: Sequence[KeyNeed], tags: TagSet) -> list[PlannedKey]:
    """All of them, the job's own first."""
    return [
        PlannedKey(
            option=need.option, path=need.path, read_by=_reader(need, tags), required=need.required, place=need.place,
            job=need.job,
        )
        for need in needs
    ]  # fmt: skip


def key_lines(keys: Sequence[PlannedKey]) -> Iterator[str]:
    """One line for each."""
    for key in keys:
        of_job = f" of {key.job}, step {key.place}" if key.place else ""
        yield f"{key.option}{of_job}: {key.path} ({'required; ' if key.required else ''}{key.read_by})"


def key_notes(needs: Sequence[KeyNeed], tags: TagSet) -> list[str]:
    """What files cannot tell."""
    if tags.is_local or not any(need.is_of_runner for need in needs):
        return []
    return [f"which runners of {tags} have a key storage for these keys is not in the files: --fleet looks."]


def fleet_warnings(options: Options, project: str, needs: Sequence[KeyNeed], tags: TagSet) -> list[str]:
    """What a run would be refused for, or warned of, with the runners that are connected now.

    Asks the registry. Raises ``unavailable`` where it does not answer.
    """
    from runbus.cli.session import Session, connected  # noqa: PLC0415  (the bus: only where it is asked)
    from schemas import catalog  # noqa: PLC0415
    from schemas.api import MatchReply, MatchRequest  # noqa: PLC0415

    async def work(session: Session) -> MatchReply:
        return await session.call(catalog.MATCH, MatchRequest(project=project, tags=list(tags)))

    reply = connected(options, work)
    takers = [runner for runner in reply.runners if runner.status in TAKES_WORK]
    if not takers:
        return [f"it could not run now. {why_nobody(project, tags, reply)}"]
    try:
        return refuse_or_warn(told_of_runners(needs, tags, takers))
    except RunbusError as error:
        return [f"it could not run now. {error.message}"]


def _reader(need: KeyNeed, tags: TagSet) -> str:
    if need.is_of_runner:
        who = "the Local Runner" if tags.is_local else f"the runner of {tags} that claims the job"
        return f"read by {who}, in its key storage"
    who = "the Local Runner" if tags.is_local else "the runner that claims the job"
    return f"read at the centre, and sealed to {who}"
