"""The note of what runs, and ending what is noted and nobody looks after any more."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from services.runner.process import Fate, GroupFile, Noted, end_group
from services.runner.process.groupfile import SLOT_BYTES, realm
from tests.support.processes import alive

JOB = ("default", "e1", "1")
IGNORE_TERM = "trap '' TERM; "

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "groups"


@pytest.fixture
def start() -> Iterator[Start]:
    """Shells as the runner starts them; each says a word when it has come so far."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(script: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True,
            env={"PATH": os.environ["PATH"], "RD_JOB_EXECID": "e1"},
        )  # fmt: skip
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process

    yield start_one
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]


def noted(group: int, *, at_s: float | None = None, where: str | None = None) -> Noted:
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return Noted(
        group=group, at_s=now_s if at_s is None else at_s, realm=realm() if where is None else where, job=JOB
    )


def test_what_runs_is_left_for_the_next_and_what_ended_is_not(path: Path) -> None:
    killed = GroupFile.open(path)
    with killed.noting(JOB) as note:
        note(11)
    with killed.noting(JOB) as note, killed.noting(("p", "e2", "1")) as other:
        note(12)
        note(13)
        other(14)
        os.close(killed._fd or 0)  # as SIGKILL does
        found = GroupFile.open(path)
        assert sorted((each.group, each.job[1]) for each in found.left) == [(12, "e1"), (13, "e1"), (14, "e2")]
        found.forget_left()
        found.close()
        killed._fd = None
    assert not path.exists()


def test_a_slot_is_used_again(path: Path) -> None:
    groups = GroupFile.open(path)
    for number in range(50):
        with groups.noting(JOB) as note:
            note(number)
    assert path.stat().st_size == SLOT_BYTES
    groups.close()


def test_the_file_of_a_living_runner_is_left_alone(path: Path) -> None:
    living = GroupFile.open(path)
    with living.noting(JOB) as note:
        note(11)
        second = GroupFile.open(path)
        assert second.left == []
        with second.noting(JOB) as other:
            other(12)
        second.close()
        assert path.exists()
    living.close()


@pytest.mark.parametrize("what", ["nowhere", "directory", "link", "fifo"])
def test_where_it_cannot_be_kept_work_goes_on(path: Path, tmp_path: Path, what: str) -> None:
    if what == "nowhere":
        path = tmp_path / "none" / "groups"
    elif what == "directory":
        path.mkdir()
    elif what == "link":
        (tmp_path / "other").touch()
        path.symlink_to("other")
    else:
        os.mkfifo(path)
    groups = GroupFile.open(path)
    with groups.noting(JOB) as note:
        note(11)
    groups.close()
    assert not (tmp_path / "other").exists() or (tmp_path / "other").read_bytes() == b""


def test_a_damaged_line_does_not_hide_the_others(path: Path) -> None:
    path.write_bytes(b"{bad}\n" + msgspec.json.encode(noted(11)) + b"\n\0\0\n")
    groups = GroupFile.open(path)
    assert [each.group for each in groups.left] == [11]
    groups.close()
    assert path.exists(), "it is not dealt with yet"


async def test_a_group_is_ended_with_sigterm(start: Start) -> None:
    process = start("sleep 100 & echo; wait")
    assert await end_group(noted(process.pid), 5.0) is Fate.TERMINATED
    assert process.wait() == -signal.SIGTERM


async def test_what_ignores_sigterm_is_killed_after_the_grace(start: Start) -> None:
    process = start(IGNORE_TERM + "echo; while :; do sleep 0.01; done")
    assert await end_group(noted(process.pid), 0.1) is Fate.KILLED
    assert process.wait() == -signal.SIGKILL


async def test_what_has_ended_is_gone(start: Start) -> None:
    process = start("echo")
    process.wait()
    assert await end_group(noted(process.pid), 5.0) is Fate.GONE


async def test_a_stranger_that_has_the_number_by_now_is_spared(start: Start) -> None:
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME) - 0.1
    process = start("echo; sleep 100")
    assert await end_group(noted(process.pid, at_s=before_s), 5.0) is Fate.GONE
    assert process.poll() is None


async def test_a_number_of_another_boot_means_nothing(start: Start) -> None:
    process = start("echo; sleep 100")
    assert await end_group(noted(process.pid, where="another boot"), 5.0) is Fate.GONE
    assert process.poll() is None


@pytest.mark.parametrize("marked", [True, False])
async def test_without_its_leader_a_group_is_told_by_the_execution_it_works_for(start: Start, marked: bool) -> None:
    process = start(f"{'' if marked else 'RD_JOB_EXECID=other '}sleep 100 & echo $!")
    process.wait()
    rest = Path("/proc").glob("[0-9]*/stat")
    (pid,) = [int(each.parent.name) for each in rest if _group_of(each) == process.pid]
    fate = await end_group(noted(process.pid), 5.0)
    assert fate is (Fate.TERMINATED if marked else Fate.LEFT)
    assert alive(pid) is not marked


def _group_of(stat: Path) -> int:
    try:
        return int(stat.read_bytes().rpartition(b")")[2].split()[2])
    except OSError:
        return 0
