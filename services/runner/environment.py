"""The environment that jobs are given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from schemas.events import Assignment

_OWN: Final = ("RUNBUS_", "NOTIFY_SOCKET")


def inherited(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The runner's environment without its own settings."""
    return {key: value for key, value in env.items() if not key.startswith(_OWN)}


def job_context(assignment: Assignment) -> dict[str, str]:
    """The job's context as ``RD_JOB_…`` (the original's names, "Substitution")."""
    job = assignment.job
    return {
        "RD_JOB_EXECID": assignment.execution,
        "RD_JOB_PROJECT": assignment.project,
        "RD_JOB_USERNAME": assignment.user,
        "RD_JOB_NAME": job.name if job else "",
        "RD_JOB_GROUP": job.group if job else "",
        "RD_JOB_ID": job.uuid if job else "",
    }
