"""What a job file says of a secure option and nobody else is to know."""

from __future__ import annotations

import msgspec

from schemas.jobs import JobDefinition


def without_secure_defaults(job: JobDefinition) -> JobDefinition:
    """The job as it may be stored and shown: no run uses the ``value`` of a secure option, and it may be a secret."""
    if not any(option.secure and option.value is not None for option in job.options):
        return job
    options = [msgspec.structs.replace(option, value=None) if option.secure else option for option in job.options]
    return msgspec.structs.replace(job, options=options)
