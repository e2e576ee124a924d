"""Notifications on their way: what there is to tell, and to whom, on ``rb.<project>.notify.<execution>.…``."""

from __future__ import annotations

import msgspec

from schemas.jobs import JobRef, Notification, Trigger
from schemas.states import ExecutionState, Instant


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a notification tells: an execution as it was when the trigger fired. Nothing of a secure option."""

    trigger: Trigger
    execution: str
    project: str
    state: ExecutionState
    at: Instant
    """When the trigger fired."""
    user: str = ""
    execution_type: str = "user"
    started_at: Instant | None = None
    ended_at: Instant | None = None
    duration_s: float | None = None
    summary: str = ""
    """What it runs: the first step, and how many there are."""
    job: JobRef | None = None
    job_description: str = ""
    options: dict[str, str] = {}
    globals: dict[str, str] = {}
    status: str = ""
    """A status of the job's own."""
    succeeded_nodes: list[str] = []
    failed_nodes: list[str] = []
    average_duration_s: float | None = None
    aborted_by: str = ""
    error: str = ""
    error_code: str = ""
    retry_attempt: int = 0
    retry_initial: str = ""
    retry_previous: str = ""
    href: str = ""
    """Where people see the execution; empty where the dispatcher was given no address for that."""
    job_href: str = ""


class NotificationsOpen(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.notifications_open.v1"
):
    """An execution that has notifications was accepted: whoever starts while this stands looks what became of it."""

    execution: str
    project: str


class NotificationTask(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.notification_task.v1"
):
    """One delivery to make: to one URL, one mail address, or by one plugin."""

    notification: Notification
    target: str = ""
    """The URL or the address, with its references filled in; empty for a plugin."""
    notice: Notice
