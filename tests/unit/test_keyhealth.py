"""A key storage with a problem is a warning in the log, once for each change."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import structlog

from schemas.keys import KeyStorageInfo
from services.runner.keyhealth import tell
from tests.support.keydirs import own_keys

WELL = KeyStorageInfo(type="vault", digest="d")
ILL = KeyStorageInfo(type="vault", digest="d", problem="sealed")
OTHER = KeyStorageInfo(type="file", path="local", digest="e", problem="no directory")
GOOD = KeyStorageInfo(type="file", path="local", digest="e")


def told(*looks: list[KeyStorageInfo]) -> list[tuple[str, list[str]]]:
    """The level of what is logged from look to look, and the problems in it."""
    with structlog.testing.capture_logs() as logs:
        changes = [tell(before, now) for before, now in pairwise(looks)]
    assert len(logs) == changes.count(True)
    return [(each["log_level"], [one.get("problem", "") for one in each["storages"]]) for each in logs]


def test_a_problem_is_a_warning_and_its_end_is_none() -> None:
    assert told([WELL], [ILL], [ILL], [ILL], [WELL], [WELL]) == [("warning", ["sealed"]), ("info", [""])]


def test_what_has_not_changed_is_not_told_again() -> None:
    assert told([WELL, GOOD], [ILL, GOOD], [ILL, OTHER], [ILL, GOOD]) == [
        ("warning", ["sealed"]), ("warning", ["no directory"]), ("info", [""]),
    ]  # fmt: skip


async def test_a_directory_that_goes_and_comes(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    keys = own_keys(directory, "r1")._own
    looks = [keys.infos]
    for there in (True, False, False, True):
        if there != directory.exists():
            directory.mkdir() if there else directory.rmdir()
        await keys.check()
        looks.append(keys.infos)
    (level, (problem,)), (again, _) = told(*looks)
    assert (level, again) == ("warning", "info")
    assert str(directory) in problem
