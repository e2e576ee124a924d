"""What the schedules stream holds for jobs. Delayed requests are held there as the requests they are."""

from __future__ import annotations

import msgspec

from schemas.states import Instant


class Fire(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.fire.v1"):
    """The next fire of a job: held by NATS until it is due, then handed to one dispatcher, which publishes the next.

    On ``rb.<project>.schedule.job.<uuid>`` while it is held, and on ``rb.<project>.due.job.<uuid>`` once it is due.
    """

    project: str
    job: str
    """The job's uuid."""
    at: Instant
    """When the schedule says that the job should start; it is part of the execution's id."""
    digest: str
    """Of the schedule that said so, crontab and time zone: a fire of a schedule that has been replaced is dropped."""
