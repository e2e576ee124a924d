"""Child processes: started quickly, read with back-pressure, ended for certain, never leaked.

``spawn`` starts one and explains why it could not; ``pipes`` carries its input and output; ``group`` knows when
it ended, reaps it and ends its whole process group; ``child`` brings them together. ``groupfile`` notes what runs
for the next run of the runner, should this one be killed, and ``leftover`` ends it then. Linux only (pidfd, /proc).
Everything runs on the event loop's thread.
"""

from __future__ import annotations

from services.runner.process.child import ChildProcess, EndedBy, ProcessResult
from services.runner.process.groupfile import GroupFile, Job, Noted
from services.runner.process.leftover import Fate, end_group
from services.runner.process.pipes import OutputConsumer, Stream
from services.runner.process.spawn import ProcessSpec, SpawnError, SpawnFailure

__all__ = [
    "ChildProcess",
    "EndedBy",
    "Fate",
    "GroupFile",
    "Job",
    "Noted",
    "OutputConsumer",
    "ProcessResult",
    "ProcessSpec",
    "SpawnError",
    "SpawnFailure",
    "Stream",
    "end_group",
]
