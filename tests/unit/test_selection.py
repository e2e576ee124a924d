from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.selection import selector_of_run, tag_set_of
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition, RunnerSelector, SelectorMode
from schemas.tokens import TagSet

LOCAL = RunnerSelector()
LINUX = RunnerSelector(mode=SelectorMode.TAGS, filter="linux,dev")
SAME = RunnerSelector(mode=SelectorMode.FILTER, filter="DEV + Linux")
OTHER = RunnerSelector(mode=SelectorMode.FILTER, filter="windows")


def refusal(attempt: Callable[[], object]) -> RunbusError | None:
    """The error of an attempt that may fail with a ``RunbusError`` only, and None where it succeeds."""
    try:
        attempt()
    except RunbusError as error:
        return error
    return None


def job(runner: RunnerSelector | None, *, editable: bool = False) -> JobDefinition:
    return JobDefinition(
        uuid="u1", name="deploy", project="web", group="front", steps=[], runner=runner, runner_editable=editable
    )


@pytest.mark.parametrize(
    ("selector", "tags"),
    [
        (None, TagSet.local()),
        (LOCAL, TagSet.local()),
        (LINUX, TagSet(["dev", "linux"])),
        (SAME, TagSet(["dev", "linux"])),
    ],
)
def test_the_set_of_a_selector(selector: RunnerSelector | None, tags: TagSet) -> None:
    assert tag_set_of(selector) == tags


@pytest.mark.parametrize(
    ("mode", "text", "code"),
    [
        (SelectorMode.LOCAL, "dev", ErrorCode.INVALID_SELECTOR),
        (SelectorMode.TAGS, "", ErrorCode.INVALID_SELECTOR),
        (SelectorMode.FILTER, "  ", ErrorCode.INVALID_SELECTOR),
        (SelectorMode.FILTER, "dev,", ErrorCode.INVALID_TAG),
        (SelectorMode.TAGS, "local", ErrorCode.INVALID_TAG),
    ],
)
def test_a_selector_that_contradicts_itself_is_refused(mode: SelectorMode, text: str, code: ErrorCode) -> None:
    with pytest.raises(RunbusError) as refused:
        tag_set_of(RunnerSelector(mode=mode, filter=text))
    assert refused.value.code is code


@settings(deadline=None)
@given(st.sampled_from(SelectorMode), st.text(st.characters(), max_size=20))
def test_any_selector_gives_a_set_or_a_typed_error(mode: SelectorMode, text: str) -> None:
    selector = RunnerSelector(mode=mode, filter=text)
    if refused := refusal(lambda: tag_set_of(selector)):
        assert refused.code in {ErrorCode.INVALID_SELECTOR, ErrorCode.INVALID_TAG, ErrorCode.INVALID_NAME}
    else:
        assert tag_set_of(selector).is_local == (mode is SelectorMode.LOCAL)


@pytest.mark.parametrize(
    ("stored", "asked", "held"),
    [
        (None, None, None),
        (None, LINUX, LINUX),
        (job(None), None, None),
        (job(LINUX), None, LINUX),
        (job(LINUX), SAME, SAME),
        (job(None), LOCAL, LOCAL),
        (job(LINUX, editable=True), OTHER, OTHER),
        (job(LINUX, editable=True), LOCAL, LOCAL),
    ],
)
def test_the_selector_that_holds_for_a_run(
    stored: JobDefinition | None, asked: RunnerSelector | None, held: RunnerSelector | None
) -> None:
    assert selector_of_run(stored, asked) == held


@pytest.mark.parametrize(("own", "asked"), [(LINUX, OTHER), (LINUX, LOCAL), (None, LINUX), (LOCAL, LINUX)])
def test_a_job_that_does_not_allow_it_keeps_its_target(own: RunnerSelector | None, asked: RunnerSelector) -> None:
    with pytest.raises(RunbusError, match=r"'front/deploy'.*runnerSelectorEditable") as refused:
        selector_of_run(job(own), asked)
    assert refused.value.code is ErrorCode.RUNNER_CHANGE_REFUSED
    assert refused.value.details == {"job": "u1", "own": str(tag_set_of(own)), "asked": str(tag_set_of(asked))}
