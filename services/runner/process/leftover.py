"""Ending a process group that an earlier run of the runner started and did not see the end of."""

from __future__ import annotations

import asyncio
import os
import signal
from enum import IntEnum
from pathlib import Path
from typing import Final

from services.runner.process.group import REST_CHECK_S, lives_in, members_of
from services.runner.process.groupfile import Noted, realm

_KILLED_WITHIN_S: Final = 2.0
_STARTED_AT: Final = 19
"""Field of /proc/PID/stat, counted after the program's name: ticks between boot and start."""


class Fate(IntEnum):
    """What became of it, the worst last."""

    GONE = 0
    TERMINATED = 1
    KILLED = 2
    LEFT = 3
    """It cannot be ended (another user's, stuck in the kernel), or cannot be told from a stranger's."""


async def end_group(noted: Noted, grace_s: float) -> Fate:
    """SIGTERM to the group, after ``grace_s`` SIGKILL. Never to another group that has its number by now."""
    if noted.realm != realm() or not members_of(noted.group):
        return Fate.GONE
    ours = _is_ours(noted)
    if ours is None:
        return Fate.LEFT
    if not ours:
        return Fate.GONE
    for number, within_s, fate in (
        (signal.SIGTERM, grace_s, Fate.TERMINATED),
        (signal.SIGKILL, _KILLED_WITHIN_S, Fate.KILLED),
    ):
        _signal(noted.group, number)
        if await _ended(noted.group, within_s):
            return fate
    return Fate.LEFT


def _is_ours(noted: Noted) -> bool | None:
    """Whether the group is the one that was noted; None if that cannot be told.

    Its number is nobody else's while it has members. A leader that started after the note is a stranger, and the
    group with it. Without its leader the group is told by its members' environment.
    """
    leader = Path(f"/proc/{noted.group}/stat")
    try:
        started_ticks = int(leader.read_bytes().rpartition(b")")[2].split()[_STARTED_AT])
    except (FileNotFoundError, ProcessLookupError):
        return True if any(_works_for(pid, noted) for pid in members_of(noted.group)) else None
    return started_ticks / os.sysconf("SC_CLK_TCK") <= noted.at_s


def _works_for(pid: int, noted: Noted) -> bool:
    try:
        env = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"RD_JOB_EXECID={noted.job[1]}".encode() in env


async def _ended(group: int, within_s: float) -> bool:
    deadline_s = asyncio.get_running_loop().time() + within_s
    rest = members_of(group)
    while rest := {pid for pid in rest if lives_in(group, pid)} or members_of(group):
        if asyncio.get_running_loop().time() > deadline_s:
            return False
        await asyncio.sleep(REST_CHECK_S)
    return True


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
