"""What a notification tells, from the events of its execution; and the references that texts may hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from domain.context.arguments import join_arguments
from domain.context.groups import JobFacts, job_context
from domain.context.scopes import DataContext
from schemas.api import ExecutionView
from schemas.events import ExecutionQueued
from schemas.jobs import Step, Trigger
from schemas.notices import Notice
from schemas.states import ExecutionState

SUMMARY_CHARS: Final = 200
OPTION_BYTES: Final = 64 * 1024
"""Of all options together: a notification is no place for a file."""
NODES: Final = 1000
"""Names of nodes in each list."""
_EVENT_STATUS: Final = {
    "aborted": "KILLED",
    "failed": "FAILURE",
    "running": "STARTING",
    "succeeded": "SUCCESS",
    "timedout": "TIMEDOUT",
    "missed": "MISSED",
    "failed-with-retry": "FAILED WITH RETRY",
}
_AVERAGE_EXCEEDED: Final = "AVERAGE DURATION EXCEEDED"


def notice_of(  # noqa: PLR0913 (all there is to know)
    trigger: Trigger,
    queued: ExecutionQueued,
    view: ExecutionView,
    *,
    at: datetime,
    job_description: str = "",
    average_s: float | None = None,
    server_url: str = "",
) -> Notice:
    """The notice of a trigger that fired ``at``, from the execution as it then was.

    ``server_url`` is where people see executions, if they do.
    """
    nodes = view.nodes
    retry = queued.retry
    again = retry is not None and retry.attempt > 0
    aborted = view.state is ExecutionState.ABORTED
    base = f"{server_url.rstrip('/')}/project/{queued.project}" if server_url else ""
    return Notice(
        trigger=trigger, execution=queued.execution, project=queued.project, state=view.state, at=at,
        user=queued.user, execution_type=queued.execution_type,
        started_at=view.started_at or queued.at, ended_at=view.finished_at,
        duration_s=view.duration_s, summary=summary_of(queued.steps), job=queued.job,
        job_description=job_description, options=_options_of(queued), status=view.status,
        globals=queued.context.get("globals", {}),
        succeeded_nodes=nodes.get("succeeded", [])[:NODES], failed_nodes=nodes.get("failed", [])[:NODES],
        average_duration_s=average_s or None, aborted_by=(view.abort_requested_by or view.user) if aborted else "",
        error=view.error.message if view.error else "", error_code=view.error.code if view.error else "",
        retry_attempt=retry.attempt if retry else 0, retry_initial=retry.initial if retry and again else "",
        retry_previous=retry.previous if retry and again else "",
        href=f"{base}/execution/show/{queued.execution}" if base else "",
        job_href=f"{base}/job/show/{queued.job.uuid}" if base and queued.job else "",
    )  # fmt: skip


def summary_of(steps: list[Step]) -> str:
    """The first step in one line, and how many there are."""
    if not steps:
        return "[Empty workflow]"
    config = steps[0].config
    text = config.get("command") or config.get("exec") or config.get("script") or config.get("file")
    lines = [line for line in str(text or "").splitlines() if line.strip() and not line.startswith("#!")]
    first = (steps[0].description or (lines[0] if lines else steps[0].plugin))[:SUMMARY_CHARS]
    return f"{first} [... {len(steps)} steps]" if len(steps) > 1 else first


def trigger_name(trigger: Trigger) -> str:
    """The original's short name: ``onsuccess`` → ``success``."""
    return trigger.value.removeprefix("on")


def status_of(notice: Notice) -> str:
    """The status in the original's words, which knows no lost executions: they failed."""
    state = ExecutionState.FAILED if notice.state is ExecutionState.LOST else notice.state
    return state.value


def argstring_of(notice: Notice) -> str:
    """``-name value`` for each option that has one."""
    return join_arguments(word for name, value in notice.options.items() for word in (f"-{name}", value))


def event_status_of(notice: Notice) -> str:
    """How subjects of mails name it: ``SUCCESS``, ``FAILURE``, ``KILLED`` and so on."""
    if notice.trigger is Trigger.AVERAGE_DURATION:
        return _AVERAGE_EXCEEDED
    status = status_of(notice)
    return _EVENT_STATUS.get(status, notice.status.upper() or "FAILURE")


def context_of(notice: Notice) -> DataContext:
    """``job``, ``option``, ``globals``, ``execution`` (also as ``exec``) and ``notification``, for references."""
    execution = _execution_group(notice)
    return DataContext.of(
        {
            "job": _job_group(notice),
            "option": notice.options,
            "globals": notice.globals,
            "execution": execution,
            "exec": execution,
            "notification": {"trigger": trigger_name(notice.trigger), "eventStatus": event_status_of(notice)},
        }
    )


def unix_ms(at: datetime) -> int:
    """Milliseconds since the epoch."""
    return int(at.timestamp() * 1000)


def w3c(at: datetime) -> str:
    """``2025-01-31T12:00:00Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _job_group(notice: Notice) -> dict[str, str]:
    job = notice.job
    facts = JobFacts(
        execid=notice.execution, project=notice.project, username=notice.user,
        name=job.name if job else notice.summary, group=job.group if job else "", id=job.uuid if job else "",
        url=notice.href or None, execution_type=notice.execution_type, retry_attempt=notice.retry_attempt,
        retry_initial_exec_id=notice.retry_initial or "0", retry_prev_exec_id=notice.retry_previous or "0",
    )  # fmt: skip
    average_s = notice.average_duration_s
    return {
        **job_context(facts),
        "href": notice.job_href,
        "description": notice.job_description,
        "averageDuration": str(int(average_s * 1000)) if average_s else "",
    }


def _execution_group(notice: Notice) -> dict[str, str]:
    times: dict[str, Any] = {"dateStarted": notice.started_at, "dateEnded": notice.ended_at}
    group = {
        "id": notice.execution,
        "href": notice.href,
        "status": status_of(notice),
        "user": notice.user,
        "description": notice.job_description,
        "argstring": argstring_of(notice),
        "project": notice.project,
        "failedNodeListString": ",".join(notice.failed_nodes),
        "succeededNodeListString": ",".join(notice.succeeded_nodes),
        "abortedby": notice.aborted_by,
    }
    for name, at in times.items():
        if at is not None:
            group |= {name: w3c(at), f"{name}Unixtime": str(unix_ms(at)), f"{name}W3c": w3c(at)}
    return group


def _options_of(queued: ExecutionQueued) -> dict[str, str]:
    """The options, without the delimiters that stand beside those of several values; very large ones are cut."""
    known = queued.context.get("option", {})
    beside = {f"{name}.delimiter" for name in known}
    options = {name: value for name, value in known.items() if name not in beside}
    if sum(len(value) for value in options.values()) <= OPTION_BYTES:
        return options
    each = max(1, OPTION_BYTES // len(options))
    return {name: value[:each] for name, value in options.items()}
