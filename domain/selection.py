"""Which runners a job reaches: from what a job or a run says to a tag set (the original's points 1 to 3)."""

from __future__ import annotations

from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition, RunnerSelector, SelectorMode
from schemas.tokens import TagSet


def tag_set_of(selector: RunnerSelector | None) -> TagSet:
    """The tag set of a selector; no selector means the Local Runner.

    Raises ``invalid_selector`` where mode and filter contradict each other, ``invalid_tag`` for a bad tag.
    """
    if selector is None:
        return TagSet.local()
    if selector.mode is SelectorMode.LOCAL:
        if selector.filter:
            raise RunbusError(
                ErrorCode.INVALID_SELECTOR,
                f"the selector says LOCAL and also has a filter, {selector.filter[:80]!r}: "
                "drop the filter, or use mode TAGS or FILTER.",
            )
        return TagSet.local()
    if not selector.filter.strip():
        raise RunbusError(
            ErrorCode.INVALID_SELECTOR,
            f"the selector says {selector.mode} but its filter is empty: name at least one tag, or use mode LOCAL.",
        )
    return TagSet.parse(selector.filter)


def selector_of_run(job: JobDefinition | None, asked: RunnerSelector | None) -> RunnerSelector | None:
    """The selector that holds for a run: the run's where there is no job or the job allows it, else the job's.

    Raises ``runner_change_refused`` where the run changes the target and the job does not allow that
    ("Runnerset Can be Changed at Runtime"). Naming the job's own target again is no change.
    """
    if job is None or asked is None:
        return asked if job is None else job.runner
    if job.runner_editable or tag_set_of(asked) == tag_set_of(job.runner):
        return asked
    raise RunbusError(
        ErrorCode.RUNNER_CHANGE_REFUSED,
        f"job {job.ref.path!r} runs on {tag_set_of(job.runner)} and does not allow another target at run time. "
        "Leave the target out, or set 'runnerSelectorEditable: true' in the job.",
        details={"job": job.uuid, "own": str(tag_set_of(job.runner)), "asked": str(tag_set_of(asked))},
    )
