"""What planning is given: the run that is asked for, and where to look jobs and nodes up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from schemas.jobs import JobCall, JobDefinition, NodeDispatch, RunnerSelector
from schemas.nodes import Node
from schemas.options import Option


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says beyond its job."""

    execution: str
    project: str
    user: str = ""
    options: Mapping[str, str | Sequence[str]] = {}
    runner: RunnerSelector | None = None
    nodes: NodeDispatch | None = None
    timeout_s: float | None = None
    globals: Mapping[str, str] = {}
    settings: Mapping[str, str] = {}


class Lookups(Protocol):
    """What planning asks for: of the bus in a dispatcher, of files in a dry run."""

    async def job(self, project: str, call: JobCall) -> JobDefinition:
        """The job that a step calls. Raises ``unknown_job``."""

    async def nodes(self, project: str, dispatch: NodeDispatch) -> list[Node]:
        """The nodes that a dispatch (its references filled in) selects, in order. Raises ``invalid_selector``."""

    async def remote_values(self, option: Option, url: str) -> list[str]:
        """The values that an option's ``valuesUrl`` offers. Raises ``invalid_option`` where it gives none."""
