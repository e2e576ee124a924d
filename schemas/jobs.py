"""What a job is: steps, the selection of runners, and the definition that holds both."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class SelectorMode(StrEnum):
    """How a job or a run chooses runners (the original's ``runnerFilterMode``)."""

    LOCAL = "LOCAL"
    """The Local Runner beside the dispatcher."""
    TAGS = "TAGS"
    """Tags chosen from a list, ANDed."""
    FILTER = "FILTER"
    """A tag filter typed by hand: tags joined by ``,`` or ``+``, ANDed."""


class RunnerSelector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runners may carry a job out. ``filter`` is empty for LOCAL, and the tags otherwise."""

    mode: SelectorMode = SelectorMode.LOCAL
    filter: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step: the plugin that carries it out and what it is given."""

    plugin: str
    config: dict[str, Any] = {}
    description: str = ""


class JobRef(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution remembers its job, also when the definition has gone."""

    uuid: str
    name: str
    group: str = ""

    @property
    def path(self) -> str:
        """``group/name``."""
        return f"{self.group}/{self.name}" if self.group else self.name


class JobDefinition(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.job_definition.v1"):
    """A job as it is stored, one value a job, in the bucket of job definitions."""

    uuid: str
    name: str
    project: str
    group: str = ""
    description: str = ""
    steps: list[Step]
    timeout_s: float | None = None
    runner: RunnerSelector | None = None
    """None is what most jobs of the original say: no selection, hence the Local Runner."""
    runner_editable: bool = False
    """"Runnerset can be changed at runtime": the run may name another target."""

    @property
    def ref(self) -> JobRef:
        """Its short form in events."""
        return JobRef(uuid=self.uuid, name=self.name, group=self.group)
