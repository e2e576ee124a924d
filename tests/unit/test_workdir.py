"""Work directories: lent again when they are empty and nobody is in them, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import ErrorCode, RunbusError
from services.runner import workdir
from services.runner.workdir import WorkDirs


@pytest.fixture
def dirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkDirs:
    monkeypatch.setattr(workdir, "LOOK_AT", 2)
    return WorkDirs(str(tmp_path))


@pytest.fixture
def two(dirs: WorkDirs) -> tuple[Path, Path]:
    """As many as are looked at together."""
    return dirs.lend(), dirs.lend()


@pytest.fixture
def daemon(two: tuple[Path, Path]) -> Iterator[subprocess.Popen[bytes]]:
    """In a session of its own, without any descriptor of its job's: in the first directory."""
    with subprocess.Popen(["sleep", "100"], cwd=two[0], start_new_session=True) as process:
        yield process
        process.kill()


def test_a_directory_is_empty_and_private(dirs: WorkDirs) -> None:
    directory = dirs.lend()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert not list(directory.iterdir())


def test_an_untouched_one_is_lent_again_after_a_look(dirs: WorkDirs, two: tuple[Path, Path]) -> None:
    for each in two:
        dirs.take_back(each)
    assert {dirs.lend(), dirs.lend()} == set(two)


def test_before_the_look_none_is_lent_again(dirs: WorkDirs, two: tuple[Path, Path]) -> None:
    dirs.take_back(two[0])
    assert dirs.lend() not in two


def test_one_that_a_daemon_is_in_is_not_lent_again(
    dirs: WorkDirs, two: tuple[Path, Path], daemon: subprocess.Popen[bytes]
) -> None:
    for each in two:
        dirs.take_back(each)
    assert {dirs.lend(), dirs.lend()} - {two[1]} != {two[0]}
    assert not two[0].exists()
    assert daemon.poll() is None


def test_one_that_somebody_wrote_into_after_its_job_is_not_lent_again(dirs: WorkDirs, two: tuple[Path, Path]) -> None:
    for each in two:
        dirs.take_back(each)
    (two[0] / "late").touch()
    lent = {dirs.lend(), dirs.lend()}
    assert two[0] not in lent
    assert not any(list(each.iterdir()) for each in lent)


@pytest.mark.parametrize("change", ["file", "mode"])
def test_one_that_came_back_changed_is_removed(dirs: WorkDirs, two: tuple[Path, Path], change: str) -> None:
    if change == "file":
        (two[0] / "a" / "b").mkdir(parents=True)
    else:
        two[0].chmod(0o755)
    dirs.take_back(two[0])
    assert not two[0].exists()


def test_a_parent_that_is_a_link_hides_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workdir, "LOOK_AT", 1)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    dirs = WorkDirs(str(tmp_path / "link"))
    directory = dirs.lend()
    with subprocess.Popen(["sleep", "100"], cwd=directory, start_new_session=True) as process:
        dirs.take_back(directory)
        assert dirs.lend() != directory
        process.kill()


def test_close_removes_everything(dirs: WorkDirs, two: tuple[Path, Path], tmp_path: Path) -> None:
    dirs.take_back(two[0])
    dirs.close()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_parent_that_is_missing_is_made(tmp_path: Path) -> None:
    parent = tmp_path / "a" / "b"
    workdir.require_writable(str(parent))
    assert parent.stat().st_mode & 0o777 == 0o700
    assert not list(parent.iterdir())
    workdir.require_writable("")


@pytest.mark.parametrize(
    ("parent", "reason"),
    [
        ("{file}/below", "Not a directory"),
        ("{file}", "File exists"),
        ("/proc", "No such file"),
        ("nul\0", "null byte"),
    ],
)
def test_one_that_cannot_be_used_is_told_at_the_start(parent: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = parent.format(file=tmp_path / "file")
    with pytest.raises(RunbusError) as caught:
        workdir.require_writable(path)
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert f"the work directory {path} of this runner cannot be used" in caught.value.message
    assert reason in caught.value.message
    assert "name another one with RUNBUS_WORK_DIR (--work-dir)." in caught.value.message


def test_one_that_is_gone_later_fails_the_job_with_the_same_words(tmp_path: Path) -> None:
    with pytest.raises(RunbusError, match=r"the work directory .*/none of this runner cannot be used"):
        WorkDirs(str(tmp_path / "none")).lend()


def test_a_runner_ends_at_its_start_and_says_why() -> None:
    env = {**os.environ, "RUNBUS_RUNNER_ID": "r1", "RUNBUS_WORK_DIR": "/proc", "RUNBUS_LOG_FORMAT": "json"}
    done = subprocess.run(
        [sys.executable, "-m", "services.runner"], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "the work directory /proc of this runner cannot be used" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
