"""Asking a runner for the keys it can see: which one, and what it answers. Paths and metadata, never a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from bus.connection import Bus
from bus.sets import SetsInUse, ask_set
from domain.fleet import TAKES_WORK, least_busy, no_runner
from domain.keystorages import disagreements, fingerprint, usual_storage
from domain.selection import tag_set_of
from runbus.plugin import KeyFailure
from schemas import catalog
from schemas.api import MatchRequest
from schemas.catalog import Endpoint
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import RunnerSelector
from schemas.keys import KeyBrowseRequest, KeyList, KeyLookRequest, KeyShown
from schemas.runners import RunnerView
from schemas.subjects import Subjects
from schemas.tokens import TagSet, own_tag

ANSWER_WITHIN_S: Final = 5.0
"""On top of the provider's own time: for the way there and back."""

_RUNNER: Final = "runner"
"""Begins the origin of a runner's errors; its id follows."""

RequestT = TypeVar("RequestT", KeyBrowseRequest, KeyLookRequest)
ReplyT = TypeVar("ReplyT", KeyList, KeyShown)


class Chosen(NamedTuple):
    """Whom to ask, and what to warn of."""

    tags: TagSet
    warnings: list[str]
    runner: str = ""
    """The one that answers, if any does; empty: any of several."""


def answered_by(error: RunbusError) -> str:
    """The runner that answered with this error; empty: none did."""
    service, _, runner = error.origin.partition(" ")
    return runner[:80] if service == _RUNNER else ""


class Asker:
    """Asks one runner of a selection: any of them where all have the same key storage, else one like most."""

    def __init__(self, bus: Bus, subjects: Subjects, sets: SetsInUse) -> None:
        self._bus = bus
        self._subjects = subjects
        self._sets = sets

    async def choose(self, project: str, selector: RunnerSelector) -> Chosen:
        """Raises ``no_runner``; ``key_unavailable`` where none of the connected ones has a key storage."""
        tags = tag_set_of(selector)
        reply = await self._bus.call(self._subjects, catalog.MATCH, MatchRequest(project=project, tags=list(tags)))
        connected = [runner for runner in reply.runners if runner.status in TAKES_WORK]
        if not connected:
            raise no_runner(project, tags, reply)
        return _chosen(tags, connected)

    async def ask(self, chosen: Chosen, endpoint: Endpoint[RequestT, ReplyT], request: RequestT) -> ReplyT:
        """What the runner answers, and what its choice warned of. Raises what it raises."""
        await self._sets.ensure(request.project, chosen.tags)
        subject = self._subjects.keys_of_set(request.project, chosen.tags, endpoint.verb)
        answer: ReplyT = await ask_set(
            self._bus, subject, request, endpoint.reply, timeout_s=request.timeout_s + ANSWER_WITHIN_S
        )
        return msgspec.structs.replace(answer, warnings=[*chosen.warnings, *answer.warnings])


def _chosen(tags: TagSet, connected: Sequence[RunnerView]) -> Chosen:
    having = [runner for runner in connected if runner.key_storage]
    if not having:
        names = ", ".join(runner.id for runner in connected[:5])
        raise RunbusError(
            ErrorCode.KEY_UNAVAILABLE,
            f"no connected runner of {tags} has a key storage ({names}): start them with RUNBUS_KEY_STORAGE, a file "
            "that says where their keys are.",
            details={"tags": list(tags), "reason": KeyFailure.NO_KEY_STORAGE},
        )
    warnings = disagreements(connected)
    if not warnings:
        return Chosen(tags, warnings, connected[0].id if len(connected) == 1 else "")
    usual = usual_storage(having)
    alike = [runner for runner in having if fingerprint(runner.key_storage) == usual]
    answering = [runner for runner in alike if not any(each.problem for each in runner.key_storage)] or alike
    runner = least_busy(answering).id
    return Chosen(TagSet((own_tag(runner),)), warnings, runner)
