"""The jobs that a job calls, and those that they call: found before anything is queued, so none is missing later."""

from __future__ import annotations

from typing import Final

from domain.calls import arguments_of
from domain.context.references import Missing, expand
from domain.context.scopes import DataContext, View
from domain.planning.dispatch import dispatch_of
from domain.planning.run import Lookups
from domain.workflow.plugins import placed_steps
from schemas.errors import ErrorCode, RunbusError
from schemas.events import CalledJob, Dispatch
from schemas.jobs import JobCall, JobDefinition, Step

MAX_CALLS: Final = 1000
MAX_DEPTH: Final = 50


class CallFinder:
    """Collects the called jobs of one run, by the places of the steps that call them (``2``, ``2/1``, ``3e``)."""

    def __init__(self, lookups: Lookups, project: str, data: DataContext) -> None:
        self._lookups = lookups
        self._project = project
        self._data = data
        self.calls: dict[str, CalledJob] = {}
        self.warnings: list[str] = []
        """What called jobs ask for and do not get."""

    async def collect(self, job: JobDefinition | None, steps: list[Step]) -> dict[str, CalledJob]:
        """Everything that these steps call.

        Raises ``invalid_job`` for a job that calls itself, directly or through others, and for more than 1,000 calls;
        ``unknown_job`` where one is missing.
        """
        await self._visit(steps, "", [] if job is None else [job], self._data)
        return self.calls

    async def _visit(self, steps: list[Step], prefix: str, path: list[JobDefinition], data: DataContext) -> None:
        calling = ((f"{prefix}{place}", step) for place, step in placed_steps(steps) if step.plugin == "jobref")
        for place, step in calling:
            if step.call is None:
                raise RunbusError(ErrorCode.INVALID_JOB, f"step {place} is a jobref that names no job.")
            called = await self._lookups.job(step.call.project or self._project, step.call)
            _require_no_cycle(path, called, place)
            own = _data_of(called, step.call, data)
            if len(self.calls) >= MAX_CALLS or len(path) >= MAX_DEPTH:
                raise RunbusError(
                    ErrorCode.INVALID_JOB,
                    f"{path[0].ref.path if path else 'the run'} calls more than {MAX_CALLS:,} jobs, or more than "
                    f"{MAX_DEPTH} deep: split it.",
                )
            self.calls[place] = CalledJob(
                ref=called.ref,
                steps=called.steps,
                flow=called.flow,
                options=called.options,
                dispatch=await self._dispatch(called, step.call, data, own),
                enabled=called.execution_enabled,
                timeout=called.timeout,
            )
            if called.notifications and not step.call.ignore_notifications:
                self.warnings.append(f"step {place}: no notifications of {called.ref.path} are sent, which it calls.")
            await self._visit(called.steps, f"{place}/", [*path, called], own)

    async def _dispatch(
        self, called: JobDefinition, call: JobCall, data: DataContext, own: DataContext
    ) -> Dispatch | None:
        """The call's own filter, else the called job's where the call asks for that, else the caller's nodes.

        The caller's options fill in the call's filter, the called job's fill in its own.
        """
        wanted = call.nodes if call.nodes is not None and call.nodes.filter else None
        if wanted is None and call.child_nodes:
            wanted, data = called.nodes, own
        if wanted is None:
            return None
        text = expand(f"{wanted.filter} {wanted.filter_exclude}", data, View(), Missing.LITERAL)
        if "${" in text:
            raise RunbusError(
                ErrorCode.INVALID_JOB,
                f"the node filter {wanted.filter!r} of the call of {called.ref.path!r} depends on what is known only "
                "once the job runs: write a filter that options fill in.",
                details={"filter": wanted.filter},
            )
        return await dispatch_of(wanted, self._project, data, self._lookups)


def _data_of(called: JobDefinition, call: JobCall, data: DataContext) -> DataContext:
    """What a called job's own filter may refer to: its options, as far as they are known before anything runs."""
    secure = {option.name for option in called.options if option.secure}
    known: dict[str, str | None] = {
        option.name: option.default for option in called.options if option.default is not None
    }
    if call.import_options:
        given = data.groups_at(None).get("option", {})
        known |= {option.name: given[option.name] for option in called.options if given.get(option.name) is not None}
    known |= {name: expand(text, data, View(), Missing.LITERAL) for name, text in arguments_of(call.args)}
    options = {name: value for name, value in known.items() if name not in secure}
    groups = {group: values for group, values in data.groups_at(None).items() if group == "globals"}
    job = {"name": called.name, "group": called.group, "id": called.uuid, "project": called.project}
    return DataContext.of({**groups, "option": options, "job": job})


def _require_no_cycle(path: list[JobDefinition], called: JobDefinition, place: str) -> None:
    if any(each.uuid == called.uuid for each in path):
        names = " → ".join(each.ref.path for each in (*path, called))
        raise RunbusError(
            ErrorCode.INVALID_JOB,
            f"step {place} closes a circle of job references: {names}. Take one of these calls out.",
            details={"path": [each.uuid for each in (*path, called)]},
        )
