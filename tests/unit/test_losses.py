from __future__ import annotations

import itertools

import pytest

from domain.losses import Evidence, is_suspect, why_lost
from schemas.runners import RunnerView
from schemas.states import RunnerStatus
from tests.support.centre import runner_view

HERE = runner_view(instance="i1")
DOWN = runner_view(RunnerStatus.DOWN, instance="i1")
EARLIER = runner_view(instance="i0")
EARLIER_DOWN = runner_view(RunnerStatus.DOWN, instance="i0")
LATER = runner_view(instance="i2")
SEEN = (None, HERE, DOWN, EARLIER, EARLIER_DOWN, LATER)
EVERYTHING = list(itertools.product(SEEN, (None, "i0", "i1", "i2")))


def judged(seen: RunnerView | None, recorded: str | None, answering: str = "") -> str:
    return why_lost("a1", Evidence(instance="i1", seen=seen, recorded=recorded, answering=answering))


@pytest.mark.parametrize(
    ("seen", "suspect"),
    [(None, True), (HERE, False), (DOWN, True), (EARLIER, True), (EARLIER_DOWN, True), (LATER, True)],
)
def test_what_is_looked_into(seen: RunnerView | None, *, suspect: bool) -> None:
    assert is_suspect("i1", seen) is suspect


@pytest.mark.parametrize("status", [status for status in RunnerStatus if status is not RunnerStatus.DOWN])
def test_a_runner_that_is_not_down_is_not_looked_into(status: RunnerStatus) -> None:
    assert not is_suspect("i1", runner_view(status, instance="i1"))


@pytest.mark.parametrize(
    ("seen", "recorded", "text"),
    [
        (LATER, "i2", "restarted"),
        (EARLIER_DOWN, "i2", "restarted"),
        (DOWN, "i2", "restarted"),
        (None, "i2", "restarted"),
        (None, None, "removed"),
        (EARLIER, None, "removed"),
        (DOWN, "i1", "went down"),
    ],
)
def test_what_is_lost_and_why(seen: RunnerView | None, recorded: str | None, text: str) -> None:
    assert f"runner a1 was {text}" in judged(seen, recorded) or f"runner a1 {text}" in judged(seen, recorded)


@pytest.mark.parametrize("seen", [None, HERE, EARLIER, EARLIER_DOWN, LATER])
def test_a_record_that_bears_the_claimant_outweighs_every_copy_that_shows_another(seen: RunnerView | None) -> None:
    """``LATER`` cannot be: it would have been stored first. Were it there, one more look decides."""
    assert judged(seen, "i1") == ""


@pytest.mark.parametrize(("seen", "recorded"), EVERYTHING)
def test_a_claimant_that_answers_has_lost_nothing(seen: RunnerView | None, recorded: str | None) -> None:
    assert judged(seen, recorded, answering="i1") == ""


@pytest.mark.parametrize(("seen", "recorded"), EVERYTHING)
def test_the_answer_of_another_instance_decides_nothing(seen: RunnerView | None, recorded: str | None) -> None:
    assert judged(seen, recorded, answering="i2") == judged(seen, recorded)
