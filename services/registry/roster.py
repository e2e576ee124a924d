"""The runners: records shared by all copies through a bucket, presence from the heartbeats each copy hears."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from bus.bucket import Bucket, StaleRevisionError
from domain.fleet import Clocks, Presence, status_of, view_of
from schemas.errors import ErrorCode, RunbusError
from schemas.runners import RunnerBeat, RunnerRecord, RunnerView
from schemas.states import RunnerStatus

_ATTEMPTS: Final = 5


class Roster:
    """What this copy of the registry knows of every runner."""

    def __init__(self, bucket: Bucket[RunnerRecord], clocks: Clocks) -> None:
        self._bucket = bucket
        self._clocks = clocks
        self._records: dict[str, RunnerRecord] = {}
        self._presence: dict[str, Presence] = {}
        self._statuses: dict[str, RunnerStatus] = {}
        self._watching_since = datetime.now(UTC)

    async def take_record(self, runner: str, record: RunnerRecord | None) -> None:
        """Take a change of the bucket over (None: removed)."""
        if record is None:
            self._records.pop(runner, None)
            self._presence.pop(runner, None)
            self._statuses.pop(runner, None)
        else:
            self._records[runner] = record

    def listen_anew(self) -> None:
        """The bus was away and is back: what was not heard meanwhile is nobody's silence."""
        self._watching_since = datetime.now(UTC)

    def take_beat(self, beat: RunnerBeat) -> RunnerRecord | None:
        """Take a heartbeat over; returns the record, or None of a runner that is not registered."""
        record = self._records.get(beat.runner)
        if record is None or record.instance != beat.instance:
            return None
        self._presence[beat.runner] = Presence.of(beat, datetime.now(UTC))
        return record

    @property
    def down_after_s(self) -> float:
        """How long a runner may be silent until it is Down."""
        return self._clocks.down_after_s

    def silent_s(self, record: RunnerRecord) -> float:
        """How long this copy has listened, and heard nothing of the record's instance; 0 before it registered."""
        now = datetime.now(UTC)
        presence = self._presence_of(record)
        heard_at = presence.seen_at if presence is not None else record.registered_at
        return (now - max(heard_at, self._watching_since)).total_seconds() if heard_at is not None else 0.0

    def has_left(self, record: RunnerRecord) -> bool:
        """Whether the record's instance is known to have ended in order, or there never was one."""
        presence = self._presence_of(record)
        never = record.registered_at is None
        return never or record.left_at is not None or (presence is not None and presence.leaving)

    def record(self, runner: str) -> RunnerRecord | None:
        """The record, if there is one."""
        return self._records.get(runner)

    def view(self, runner: str) -> RunnerView:
        """One runner. Raises ``unknown_runner``."""
        record = self._records.get(runner)
        if record is None:
            raise self.unknown(runner)
        return self._view(record)

    def unknown(self, runner: str) -> RunbusError:
        """The error for an id that nobody has."""
        count = len(self._records)
        hint = (
            f"'runbus runner list' shows the {count} that {'is' if count == 1 else 'are'} known."
            if count
            else "No runner is known yet: 'runbus runner start --id ID' starts one."
        )
        return RunbusError(
            ErrorCode.UNKNOWN_RUNNER,
            f"no runner has the id {runner[:80]!r}. {hint}",
            details={"runner": runner[:80], "known": count},
        )

    def views(self) -> list[RunnerView]:
        """All runners, by id."""
        return [self._view(self._records[runner]) for runner in sorted(self._records)]

    def changed_statuses(self) -> list[RunnerView]:
        """The runners whose status is another than at the last call."""
        changed = []
        for view in self.views():
            if self._statuses.get(view.id) is not view.status:
                self._statuses[view.id] = view.status
                changed.append(view)
        return changed

    async def update(self, runner: str, change: Callable[[RunnerRecord | None], RunnerRecord]) -> RunnerRecord:
        """Write a record changed by ``change``; where another copy wrote meanwhile, on what that wrote.

        ``change`` may raise to refuse.
        """
        for _ in range(_ATTEMPTS):
            found = await self._bucket.get(runner)
            before, revision = found or (None, 0)
            after = change(before)
            try:
                await self._bucket.write(runner, after, revision=revision)
            except StaleRevisionError:
                continue
            self._records[runner] = after
            return after
        raise RunbusError(ErrorCode.BUSY, f"runner {runner} is being changed by others: try again.")

    async def remove(self, runner: str) -> None:
        """Forget a runner."""
        await self._bucket.delete(runner)
        await self.take_record(runner, None)

    def _view(self, record: RunnerRecord) -> RunnerView:
        presence = self._presence_of(record)
        status = status_of(record, presence, datetime.now(UTC), self._clocks, watching_since=self._watching_since)
        return view_of(record, presence, status)

    def _presence_of(self, record: RunnerRecord) -> Presence | None:
        """What the heartbeats of the record's instance said last."""
        presence = self._presence.get(record.id)
        return presence if presence is not None and presence.instance == record.instance else None
