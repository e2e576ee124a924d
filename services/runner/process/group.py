"""A process group from outside: when its leader ended, reaping it, and ending all of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

REST_CHECK_S: Final = 0.02
"""How often the rest of a group is looked at between the leader's end and SIGKILL."""


class ProcessGroup:
    """The process that we started (the leader) and whatever it started in the same group.

    The leader's end is learnt through its pidfd: no thread, no signal handler, no child watcher. It is reaped in
    the same callback, whoever waits or does not, so there are no zombies. Not promised: processes that left the
    group (``setsid``) or became another user (``sudo``) are out of reach of signals.
    """

    def __init__(self, popen: subprocess.Popen[bytes], pidfd: int, *, on_change: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._popen = popen
        self._pidfd = pidfd
        self._on_change = on_change
        self._reaped: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._ending = False
        self._rest_done = False
        self._rest: set[int] = set()
        self.ended_at: float | None = None
        self._loop.add_reader(pidfd, self._leader_ended)

    @property
    def returncode(self) -> int | None:
        """As in ``subprocess``: negative for a signal, None while the leader lives."""
        return self._popen.returncode

    @property
    def over(self) -> bool:
        """The leader is reaped and, where the end was asked for, the rest of the group is gone or killed."""
        return self.ended_at is not None and (self._rest_done or not self._ending)

    def end(self, grace_s: float) -> bool:
        """SIGTERM to the group, after ``grace_s`` SIGKILL to those still there. False if the leader had ended."""
        if self._ending or self.ended_at is not None:
            return False
        if self._popen.poll() is not None:
            self._leader_ended()
            return False
        self._ending = True
        self._signal(signal.SIGTERM)
        self._timer = self._loop.call_later(grace_s, self.kill)
        return True

    def kill(self) -> None:
        """SIGKILL to the group. A fork under way cannot escape: the kernel fails it while a signal is pending."""
        self._ending = True
        self._signal(signal.SIGKILL)
        self._finish_rest()

    async def destroy(self, patience_s: float) -> None:
        """Kill what is not over and wait until the leader is reaped, even if cancelled meanwhile.

        A process that SIGKILL does not end within ``patience_s`` (stuck in the kernel, or another user's) is
        left; it is still reaped when it ends.
        """
        if self.over:
            return
        self.kill()
        deadline = self._loop.time() + patience_s
        cancelled: asyncio.CancelledError | None = None
        while not self._reaped.done() and (left := deadline - self._loop.time()) > 0:
            try:
                await asyncio.wait((self._reaped,), timeout=left)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled:
            raise cancelled

    def _leader_ended(self) -> None:
        if self.ended_at is not None or self._popen.poll() is None:
            return
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.ended_at = self._loop.time()
        self._reaped.set_result(None)
        if self._ending and not self._rest_done:
            self._check_rest(search=False)
        self._on_change()

    def _check_rest(self, *, search: bool = True) -> None:
        """Leave the others their grace: a shell dies of SIGTERM at once, its program may need to clean up.

        The group's number is not given to others while it has members, nor soon after: the looks follow so
        closely that the SIGKILL at the end cannot meet a stranger.
        """
        if self._rest_done:
            return
        if self._signal(0) and (not search or self._rest_lives()):
            self._loop.call_later(REST_CHECK_S, self._check_rest)
        else:
            self._finish_rest()

    def _rest_lives(self) -> bool:
        """Whether a member is more than a zombie: an init that reaps late, or never, must not cost the grace.

        The process table is searched (16 us for each of its entries) only when none of the members known from the
        last search lives, and not at the first look: most groups are gone by the second.
        """
        group = self._popen.pid
        self._rest = {pid for pid in self._rest if lives_in(group, pid)} or members_of(group)
        return bool(self._rest)

    def _finish_rest(self) -> None:
        self._rest_done = True
        if self._timer:
            self._timer.cancel()
        self._on_change()

    def _signal(self, number: int) -> bool:
        """Whether the group has members; not all of them need be ours to signal."""
        try:
            os.killpg(self._popen.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def members_of(group: int) -> set[int]:
    """The processes of a group that are more than zombies."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return {pid for pid in pids if lives_in(group, pid)}


def lives_in(group: int, pid: int) -> bool:
    """Whether a process is in the group, and more than a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    state, _parent, its_group, *_ = stat.rpartition(b")")[2].split()
    return int(its_group) == group and state not in (b"Z", b"X")
