"""Jobs that stay until they are let go, and are counted while they are inside."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import TracebackType
from typing import Self


class Gate:
    """``command`` says that it is in, how many are, and waits until the gate is open."""

    def __init__(self, directory: Path) -> None:
        self._rooms = directory / "inside"
        self._seen = directory / "seen"
        self._opened = directory / "open"
        self._rooms.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.open()

    @property
    def command(self) -> str:
        rooms, seen, opened = (shlex.quote(str(path)) for path in (self._rooms, self._seen, self._opened))
        return (
            f"echo $$ > {rooms}/$RD_JOB_EXECID; ls {rooms} | wc -l >> {seen}; "
            f"until [ -e {opened} ]; do sleep 0.02; done; rm {rooms}/$RD_JOB_EXECID"
        )

    @property
    def inside(self) -> dict[str, int]:
        """Execution and process id of every job that is in."""
        found = {path.name: path.read_text().strip() for path in self._rooms.iterdir()}
        return {name: int(pid) for name, pid in found.items() if pid}

    @property
    def entered(self) -> int:
        return len(self._counts)

    @property
    def most_inside(self) -> int:
        """The most that were in at a time, by their own counting."""
        return max(self._counts, default=0)

    @property
    def _counts(self) -> list[int]:
        return [int(line) for line in self._seen.read_text().split()] if self._seen.exists() else []

    def open(self) -> None:
        self._opened.touch()
