"""Who has a runner id: whoever answers under it; where silence tells nothing, whoever was heard of late."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from bus.connection import Bus
from bus.presence import nobody_listens, nobodys_token, not_asked, overheard, unanswered
from schemas import catalog
from schemas.api import PingRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.runners import RunnerRecord
from schemas.subjects import Subjects
from services.registry.roster import Roster

ANSWER_WITHIN_S: Final = 2.0
_SUBSCRIBED_WITHIN_S: Final = 1.0
"""How long after its registration a runner may not listen yet; it does within milliseconds."""
_ASK_AGAIN_S: Final = 0.05
_MISSED_BEATS: Final = 2

log = structlog.get_logger("registry")


class Holders:
    """Refuses an id that a living instance has; one that is gone holds nothing.

    An instance that answers has its id. Where the server says that nobody listens, it is free. Where no answer comes
    and the server cannot say so (somebody is subscribed to everything), heartbeats decide: one that was not heard for
    two of them, and does not answer, is gone; until then the runner that asks is told to ask again. Where the server
    could say so and did not, somebody does listen, and stands still: the id is his until he is Down.
    """

    def __init__(self, bus: Bus, subjects: Subjects, roster: Roster, *, beat_interval_s: float) -> None:
        self._bus = bus
        self._subjects = subjects
        self._roster = roster
        self._gone_after_s = _MISSED_BEATS * beat_interval_s

    async def require_free(
        self, runner: str, instance: str, record: RunnerRecord | None, *, fresh: bool = False
    ) -> None:
        """Return where ``instance`` may have the id.

        ``fresh``: the record was written a moment ago, and its instance may not listen yet. Raises
        ``runner_id_taken``, and ``unavailable`` where that cannot be told yet.
        """
        holder = record.instance if record is not None else "unknown"
        try:
            holder = await self._answering(runner, within_s=_SUBSCRIBED_WITHIN_S if fresh else 0.0)
        except RunbusError as error:
            if nobody_listens(error):
                return
            if unanswered(error):
                if record is not None and holder != instance and not self._roster.has_left(record):
                    await self._require_gone(record)
                return
            if not_asked(error):
                raise
            log.warning("runner.answered_badly", runner=runner, code=error.code, error=error.message)
        if holder != instance:
            raise _taken(runner, holder)

    async def _answering(self, runner: str, *, within_s: float) -> str:
        """The instance that answers a ping; while nobody listens it is asked again until the time is over."""
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + within_s
        while True:
            try:
                pong = await self._bus.call(
                    self._subjects, catalog.PING, PingRequest(), runner=runner, timeout_s=ANSWER_WITHIN_S
                )
            except RunbusError as error:
                if not nobody_listens(error) or loop.time() >= give_up_s:
                    raise
            else:
                return pong.instance
            await asyncio.sleep(_ASK_AGAIN_S)

    async def _require_gone(self, record: RunnerRecord) -> None:
        """Of one that does not answer, and did not say that it leaves."""
        silent_s = self._roster.silent_s(record)
        if silent_s >= self._roster.down_after_s:
            return
        if not await overheard(self._bus, catalog.PING.subject(self._subjects, nobodys_token())):
            raise _taken(record.id, record.instance)
        if silent_s < self._gone_after_s:
            raise _not_known_yet(record, silent_s, self._gone_after_s)
        log.warning("runner.superseded", runner=record.id, instance=record.instance, silent_s=round(silent_s, 1))


def _taken(runner: str, holder: str) -> RunbusError:
    return RunbusError(
        ErrorCode.RUNNER_ID_TAKEN,
        f"the runner id {runner!r} is taken: another runner is connected under it "
        f"(instance {holder}). Stop that one, or start this one with another --id.",
        details={"runner": runner, "instance": holder},
    )


def _not_known_yet(record: RunnerRecord, silent_s: float, gone_after_s: float) -> RunbusError:
    return RunbusError(
        ErrorCode.UNAVAILABLE,
        f"another runner was connected under the id {record.id!r} (instance {record.instance}) and does not answer; "
        f"whether it still runs is known once it has been silent for {gone_after_s:g} s, in "
        f"{max(0.0, gone_after_s - silent_s):.1f} s. The server cannot tell who listens while somebody is subscribed "
        "to every subject (such as nats sub '>').",
        details={"runner": record.id, "instance": record.instance, "reason": "not known yet"},
    )
