"""From a request to what is to be stored and handed on: everything that can refuse, before anything is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from domain.keys.planned import needs_of
from domain.planning import Lookups, Plan, Run, plan_job, plan_steps
from domain.workflow.division import divide
from domain.workflow.plugins import plugins_of
from schemas.api import DispatchMode, ProjectRecord, RunRequest, SecretValues, WhenNoRunner
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Assignment, ExecutionQueued, RetryOf
from schemas.jobs import Flow, JobDefinition, Step
from schemas.nodes import Node
from schemas.runners import RunnerView
from schemas.tokens import TagSet, identifier
from services.dispatcher.assignments import FIRST_ASSIGNMENT
from services.dispatcher.fleet import Fleet
from services.dispatcher.jobs import JobStore
from services.dispatcher.keychecks import check_keys
from services.dispatcher.projects import Projects

TITLE_CHARS: Final = 120
_TOLD_NAMES_BYTES: Final = 256 * 1024
"""How long the names of a division may be together, to be told in the event, too."""
_FEW_NODES: Final = 200


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted run, not stored yet."""

    queued: ExecutionQueued
    tags: TagSet
    job: JobDefinition | None
    template: Assignment | None
    """The whole assignment, where it cannot be made from ``queued`` alone; it travels as a parcel."""
    secrets: SecretValues | None


class Resolver:
    """Plans runs, and checks that somebody could carry them out."""

    def __init__(self, *, jobs: JobStore, fleet: Fleet, projects: Projects, lookups: Lookups, instance: str) -> None:
        self._jobs = jobs
        self._fleet = fleet
        self._projects = projects
        self._lookups = lookups
        self._instance = instance

    async def resolve(self, request: RunRequest, fresh_id: str, *, durable: bool) -> Resolved:
        """Everything about a run. Raises the typed error that says why it is refused.

        A ``durable`` request rests in a stream: typed secure values in it are refused.
        """
        project = await self._projects.require(request.project)
        job = await self._jobs.find(request.project, request.job) if request.job else None
        _require_sound(request, job)
        execution = identifier("execution id", request.id or fresh_id)
        run = Run(
            execution=execution,
            project=request.project,
            user=request.user,
            options=request.options,
            runner=request.runner,
            nodes=request.nodes,
            timeout_s=request.timeout_s,
            globals=project.globals,
            settings=project.settings,
        )
        plan = await (plan_job(job, run, self._lookups) if job else plan_steps(request.steps, run, self._lookups))
        secrets = _secrets(plan, durable=durable)
        steps, flow = (job.steps, job.flow) if job else (request.steps, request.flow)
        division, sets = await self._division(project, plan, request, steps)
        keys = await check_keys(self._fleet, request.project, needs_of(plan, steps), sets)
        plan = msgspec.structs.replace(plan, warnings=[*plan.warnings, *keys])
        queued = _queued(request, job, plan, execution=execution, division=division)
        if secrets is not None:
            queued = msgspec.structs.replace(queued, secrets_at=self._instance)
        template = None
        if plan.dispatch is not None or plan.calls:
            template = _template(queued, flow, plan, project, division)
        return Resolved(queued=queued, tags=plan.tags, job=job, template=template, secrets=secrets)

    async def _division(
        self, project: ProjectRecord, plan: Plan, request: RunRequest, steps: list[Step]
    ) -> tuple[dict[str, list[str]], set[TagSet]]:
        """Which runners serve which nodes, where the project divides them; nothing where one runner serves all.

        With it, the sets that assignments are handed to: of each a runner is connected, or would be waited for.
        """
        plugins = plugins_of(steps) | {name for call in plan.calls.values() for name in plugins_of(call.steps)}
        if project.dispatch is not DispatchMode.AUTOMATIC or plan.dispatch is None or not plan.dispatch.nodes:
            await self._fleet.require(request.project, plan.tags, plugins, request.when_no_runner)
            return {}, {plan.tags}
        runners = await self._fleet.serving(request.project)
        division = await _divided(plan.dispatch.nodes, runners, request.project)
        served = {TagSet.from_token(token) for token in division}
        if any(step.enabled and not step.node_step for step in steps):
            served.add(plan.tags)
        for tags in served:
            await self._fleet.require(request.project, tags, plugins, request.when_no_runner)
        return division, served


async def _divided(nodes: list[Node], runners: list[RunnerView], project: str) -> dict[str, list[str]]:
    """The division, beside the event loop where it takes a while."""
    if len(nodes) <= _FEW_NODES:
        return divide(nodes, runners, project)
    return await asyncio.to_thread(divide, nodes, runners, project)


def _queued(
    request: RunRequest, job: JobDefinition | None, plan: Plan, *, execution: str, division: dict[str, list[str]]
) -> ExecutionQueued:
    now = datetime.now(UTC)
    deadline = now + timedelta(seconds=request.deadline_s) if request.deadline_s is not None else None
    steps = job.steps if job else request.steps
    return ExecutionQueued(
        execution=execution,
        project=request.project,
        at=now,
        title=job.ref.path if job else title_of(steps),
        steps=steps,
        set=plan.tags.token,
        job=job.ref if job else None,
        user=request.user,
        timeout_s=plan.timeout_s,
        deadline_at=deadline,
        assignments=[] if division else [FIRST_ASSIGNMENT],
        flow=job.flow if job else request.flow,
        context=plan.context,
        stored=plan.stored,
        node_filter=plan.dispatch.filter if plan.dispatch else "",
        node_count=len(plan.dispatch.nodes) if plan.dispatch else None,
        orchestrated=bool(division),
        division=division
        if sum(len(name) + 3 for names in division.values() for name in names) <= _TOLD_NAMES_BYTES
        else {},
        wait_for_runner=request.when_no_runner is WhenNoRunner.WAIT,
        retry=_retry(plan.retry, request.retry),
        notifications=job.notifications if job else [],
        log_limit=plan.log_limit,
        warnings=plan.warnings,
        log_level=job.log_level if job else "INFO",
        runner=request.runner,
        nodes=request.nodes,
        execution_type=request.execution_type,
    )


def _retry(planned: RetryOf | None, asked: RetryOf | None) -> RetryOf | None:
    """A retry goes on counting; how often and how long after, the job says."""
    if asked is None or planned is None:
        return asked or planned
    return msgspec.structs.replace(asked, most=planned.most, delay_s=planned.delay_s)


def _template(
    queued: ExecutionQueued, flow: Flow, plan: Plan, project: ProjectRecord, division: dict[str, list[str]]
) -> Assignment:
    return Assignment(
        execution=queued.execution,
        assignment=FIRST_ASSIGNMENT,
        project=queued.project,
        attempt=1,
        steps=queued.steps,
        title=queued.title,
        job=queued.job,
        user=queued.user,
        timeout_s=queued.timeout_s,
        flow=flow,
        dispatch=plan.dispatch,
        context=queued.context,
        stored=queued.stored,
        secrets_at=queued.secrets_at,
        calls=plan.calls,
        log_level=queued.log_level,
        log_limit=queued.log_limit,
        retry=queued.retry,
        execution_type=queued.execution_type,
        settings=project.settings,
        division=division,
    )


def _secrets(plan: Plan, *, durable: bool) -> SecretValues | None:
    options = plan.options
    if not (options.exposed or options.private):
        return None
    if durable:
        raise RunbusError(
            ErrorCode.INVALID_OPTION,
            f"the secure option {next(iter({**options.exposed, **options.private}))!r} has a value in a durable "
            "request, which rests on the bus: ask for this run by request/reply, or let the option name a key.",
        )
    return SecretValues(exposed=dict(options.exposed), private=dict(options.private))


def title_of(steps: list[Step]) -> str:
    """The first line of what an ad hoc run runs."""
    config = steps[0].config
    text = str(config.get("command") or config.get("script") or config.get("file") or steps[0].plugin)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#!")]
    return (lines[0] if lines else steps[0].plugin)[:TITLE_CHARS]


def _require_sound(request: RunRequest, job: JobDefinition | None) -> None:
    if bool(request.job) == bool(request.steps):
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE,
            "a run names a stored job ('job') or brings steps ('steps', at least one): one of the two, not both.",
        )
    if request.sealed_options:  # those of a request that waits for its answer have been opened before
        raise RunbusError(
            ErrorCode.INVALID_OPTION,
            "a durable request rests on the bus, for any dispatcher to take, and cannot bring sealed options: ask "
            "for this run by request/reply, or let the option name a key.",
        )
    if job is not None and not job.execution_enabled:
        raise RunbusError(
            ErrorCode.JOB_DISABLED,
            f"job {job.ref.path!r} is switched off (executionEnabled: false): switch it on to run it.",
            details={"job": job.uuid},
        )
    _require_seconds(request, ("timeout_s", "deadline_s"))


def _require_seconds(request: RunRequest, fields: Iterable[str]) -> None:
    for field in fields:
        value = getattr(request, field)
        if value is not None and not 0 < value < 10**9:
            raise RunbusError(
                ErrorCode.INVALID_MESSAGE, f"{field} is {value:g}: give seconds, above 0.", details={"field": field}
            )
