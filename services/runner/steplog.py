"""The log of one step on one node: lines, log filters, masking and the limit, in this order, before it is shipped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from domain.context.mask_command import AddMaskStream
from domain.context.masking import MAX_LEARNED, Masker, MaskStream
from domain.logs.chain import BuiltFilter, FilterChain
from domain.logs.levels import Level, kept_levels, level_of
from domain.logs.limit import LimitedStream, LogLimiter
from domain.logs.lines import LineCutter, LogLine, Meta
from services.runner.logship import LogLabel, LogShip

HOLD_S: Final = 0.05
"""How long half a line waits for its end where nodes write by turns."""
HELD_BYTES: Final = 64 * 1024
STDOUT: Final = "stdout"
REMARKS: Final = "runner"

OnData = Callable[[str, str, str], None]
"""Called with group, key and value of what a log filter captured, as soon as it was."""
Mark = tuple[Level, Meta]
"""What filters may change of a label."""


def _drop(_group: str, _key: str, _value: str) -> None:
    """Nobody wants captured data."""


class StepLog:
    """What one step on one node writes. Any number of them share a ship, and a limiter.

    ``label`` says where it is from; its stream, level and meta data are set for each piece. Without filters, secrets
    and limit, bytes go through as they come (a prompt is seen at once). With filters, only whole lines do. Where
    ``whole_lines`` (by default: where the label names a node), half a line waits for its end, for 50 ms at most.

    Lines of a level that ``log_level`` does not keep are not logged, as in the original. Remarks of the runner
    (stream ``runner``) are masked, and otherwise logged as they are.
    """

    def __init__(  # noqa: PLR0913  (each is one stage, and most have a default)
        self,
        ship: LogShip,
        label: LogLabel,
        *,
        masker: Masker,
        filters: Sequence[BuiltFilter] = (),
        limit: LogLimiter | None = None,
        on_data: OnData = _drop,
        log_level: str = "INFO",
        whole_lines: bool | None = None,
    ) -> None:
        self._ship = ship
        self._masker = masker
        self._limit = limit
        self._commands: dict[str, AddMaskStream] = {}
        self._chain = FilterChain(filters, masker) if filters else None
        self._on_data = on_data
        self._kept = kept_levels(log_level)
        self._holds = bool(label.node) if whole_lines is None else whole_lines
        self._labels = _Labels(label)
        self._outlets: dict[str, _Outlet] = {}
        self._cutters: dict[tuple[str, Level], LineCutter] = {}
        idle = self._chain is None and masker.is_idle and not self._holds
        streams = [REMARKS, *(each for each in (STDOUT, "stderr") if limit is None and level_of(each) in self._kept)]
        self._through = streams if idle else []

    async def write(self, stream: str, data: bytes, level: str = "") -> None:
        """Take output. ``level`` is one of ``Level`` where it is not what the stream says.

        Waits while too much is under way.
        """
        if stream != REMARKS:
            data = self._told_of(stream).feed(data)
            if not data:
                return
        if not level and stream in self._through and self._masker.is_idle:
            await self._ship.write(self._labels.of(stream, (level_of(stream), ())), data)
            return
        self._take(stream, data, Level(level) if level else level_of(stream))
        await self._ship.wait_for_room()

    async def finish(self) -> None:
        """The step has ended: let go of everything that was held back. What comes later is taken like the rest."""
        for stream, commands in self._commands.items():
            if rest := commands.finish():
                self._take(stream, rest, level_of(stream))
        for (stream, level), cutter in self._cutters.items():
            self._filter(stream, cutter.finish(), level)
        if self._chain is not None:
            self._chain.finish()
            self._deliver()
        for stream in [each for each in self._outlets if each != REMARKS]:
            self._outlet_remark(self._outlets[stream].finish())
        if REMARKS in self._outlets:
            self._outlets[REMARKS].finish()
        await self._ship.wait_for_room()

    def _told_of(self, stream: str) -> AddMaskStream:
        """What tells of secrets in the output itself, ``::add-mask::VALUE``, before anything else sees the line."""
        commands = self._commands.get(stream)
        if commands is None:
            commands = self._commands[stream] = AddMaskStream(self._learn)
        return commands

    def _learn(self, value: str) -> None:
        if not self._masker.learn([value]):
            self._outlet_remark(f"::add-mask:: has no effect any more: {MAX_LEARNED:,} values are masked already.")

    def _take(self, stream: str, data: bytes, level: Level) -> None:
        if self._chain is not None and stream != REMARKS:
            cutter = self._cutters.get((stream, level))
            if cutter is None:
                cutter = self._cutters[stream, level] = LineCutter()
            self._filter(stream, cutter.feed(data), level)
        elif level in self._kept or stream == REMARKS:
            self._put(stream, (level, ()), data)

    def _filter(self, stream: str, lines: Sequence[bytes], level: Level) -> None:
        """Run lines through the filters; those of one mark that stand together are passed on together."""
        chain = self._chain
        if chain is None:
            return
        ready: list[bytes] = []
        mark: Mark = (level, ())
        for raw in lines:
            line = LogLine.of(raw, level)
            chain.take(line)
            has_effects = chain.effects.captured or chain.effects.said
            if ready and (has_effects or mark != (line.level, line.meta)):
                self._put(stream, mark, b"".join(ready))
                ready.clear()
            if has_effects:
                self._deliver()
            mark = (line.level, line.meta)
            if line.level in self._kept:
                ready.append(line.encode())
        if ready:
            self._put(stream, mark, b"".join(ready))

    def _deliver(self) -> None:
        """Hand on what the filters captured, and log what they said."""
        if self._chain is None:
            return
        captured, said = self._chain.effects.take()
        for each in captured:
            self._on_data(*each)
        for line, is_output in said:
            if line.level in self._kept:
                self._put(STDOUT if is_output else REMARKS, (line.level, line.meta), line.encode())

    def _put(self, stream: str, mark: Mark, data: bytes) -> None:
        self._outlet_remark(self._outlet(stream).write(mark, data))

    def _outlet_remark(self, text: str) -> None:
        if text:
            self._outlet(REMARKS).write((Level.ERROR, ()), f"{text}\n".encode())

    def _outlet(self, stream: str) -> _Outlet:
        outlet = self._outlets.get(stream)
        if outlet is None:
            labels, ship = self._labels, self._ship
            outlet = self._outlets[stream] = _Outlet(
                lambda mark, data: ship.put(labels.of(stream, mark), data),
                mask=MaskStream(self._masker),
                limited=self._limit.open(labels.node) if self._limit and stream != REMARKS else None,
                tail=_Tail() if self._holds else None,
            )
        return outlet


class _Labels:
    """The labels of one step on one node, each made once."""

    def __init__(self, label: LogLabel) -> None:
        self.node = label.node
        self._first = label
        self._known: dict[tuple[str, Mark], LogLabel] = {}

    def of(self, stream: str, mark: Mark) -> LogLabel:
        label = self._known.get((stream, mark))
        if label is None:
            level, meta = mark
            shown = "" if level is level_of(stream) else level.value
            label = msgspec.structs.replace(self._first, stream=stream, level=shown, meta=meta)
            self._known[stream, mark] = label
        return label


class _Tail:
    """Half a line that waits for its end."""

    def __init__(self) -> None:
        self.data = b""
        self.mark: Mark = (Level.NORMAL, ())
        self.timer: asyncio.TimerHandle | None = None


class _Outlet:
    """The last part of the way of one stream: masking, the limit, and waiting for the end of a line."""

    def __init__(
        self,
        put: Callable[[Mark, bytes], None],
        *,
        mask: MaskStream,
        limited: LimitedStream | None,
        tail: _Tail | None,
    ) -> None:
        self._ship = put
        self._mask = mask
        self._limited = limited
        self._tail = tail
        self._mark: Mark = (Level.NORMAL, ())

    def write(self, mark: Mark, data: bytes) -> str:
        """Take output; returns a remark to log behind it, or nothing."""
        remark = ""
        held = self._mask.held
        data = self._mask.feed(data)
        if held and mark != self._mark and data.startswith(held):  # the end of the output before, and no secret
            remark = self._count(self._mark, held)
            data = data[len(held) :]
        self._mark = mark
        return self._count(mark, data) or remark

    def finish(self) -> str:
        """Let go of everything; returns a remark as ``write`` does."""
        remark = self._count(self._mark, self._mask.finish())
        if self._limited is not None:
            remark = self._limited.finish() or remark
        self._let_go()
        return remark

    def _count(self, mark: Mark, data: bytes) -> str:
        remark = ""
        if self._limited is not None:
            data, remark = self._limited.take(data)
        if self._tail is None:
            self._ship(mark, data)
        elif data:
            self._hold(self._tail, mark, data)
        if remark:
            self._let_go()
        return remark

    def _hold(self, tail: _Tail, mark: Mark, data: bytes) -> None:
        """Pass whole lines on; the rest waits."""
        if tail.data and tail.mark != mark:
            self._let_go()
        tail.mark = mark
        end = data.rfind(b"\n") + 1
        if end:
            self._ship(mark, tail.data + data[:end])
            tail.data = data[end:]
        else:
            tail.data += data
        if len(tail.data) >= HELD_BYTES:
            self._let_go()
        elif tail.data and tail.timer is None:
            tail.timer = asyncio.get_running_loop().call_later(HOLD_S, self._let_go)

    def _let_go(self) -> None:
        tail = self._tail
        if tail is None:
            return
        if tail.timer is not None:
            tail.timer.cancel()
            tail.timer = None
        if tail.data:
            self._ship(tail.mark, tail.data)
            tail.data = b""
