"""The plan of a run: options, runner set, nodes, called jobs and limits, all of it before anything is queued."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from domain.context.groups import JobFacts, job_context
from domain.context.scopes import DataContext
from domain.logs import parse_limit
from domain.options import OptionValues, resolve_options
from domain.planning.calls import CallFinder
from domain.planning.dispatch import dispatch_of, nodes_of_run
from domain.planning.limits import MAX_RETRIES, filled, limit_s, whole_number
from domain.planning.run import Lookups, Run
from domain.selection import selector_of_run, tag_set_of
from schemas.errors import ErrorCode, RunbusError
from schemas.events import CalledJob, Dispatch, RetryOf, StoredKey
from schemas.jobs import JobDefinition, LogLimit, NodeDispatch, RunnerSelector, Step
from schemas.tokens import TagSet


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run comes to."""

    options: OptionValues
    tags: TagSet
    dispatch: Dispatch | None
    calls: dict[str, CalledJob]
    timeout_s: float | None
    retry: RetryOf | None
    log_limit: LogLimit | None
    context: dict[str, dict[str, str]]
    """The groups that every step sees, without anything secure."""
    warnings: list[str] = []
    """What is asked for and not to be had."""

    @property
    def stored(self) -> dict[str, StoredKey]:
        """The secure options whose values are keys."""
        return {
            name: StoredKey(path=value.path, exposed=value.exposed, required=value.required)
            for name, value in self.options.stored.items()
        }


async def plan_job(job: JobDefinition, run: Run, lookups: Lookups) -> Plan:
    """The plan of a stored job's run. Raises the typed error that says what is wrong with the job or with the run."""
    facts = job_context(_facts(job, run))
    remote = await _remote_values(job, run, facts, lookups)
    options = resolve_options(job.options, run.options, job=facts, global_values=run.globals, remote_values=remote)
    data = DataContext.of({"option": options.groups()["option"], "job": facts, "globals": run.globals})
    plan = await _plan(job, job.steps, run, lookups, options, data)
    return msgspec.structs.replace(
        plan,
        timeout_s=_smaller(limit_s(job.timeout, data, what="timeout"), run.timeout_s),
        retry=_retry(job, data),
        log_limit=_log_limit(job, data),
    )


async def plan_steps(steps: list[Step], run: Run, lookups: Lookups) -> Plan:
    """The plan of an ad hoc run."""
    if run.options:
        name = sorted(run.options)[0]
        raise RunbusError(
            ErrorCode.UNKNOWN_OPTION,
            f"an ad hoc run has no option {name[:80]!r}: leave it out.",
            details={"options": sorted(run.options)},
        )
    options = OptionValues({}, {}, {}, {}, {})
    data = DataContext.of({"globals": run.globals})
    return await _plan(None, steps, run, lookups, options, data)


async def _plan(
    job: JobDefinition | None, steps: list[Step], run: Run, lookups: Lookups, options: OptionValues, data: DataContext
) -> Plan:
    wanted = nodes_of_run(job, run.nodes)
    dispatch = await _dispatch(wanted, run, data, lookups)
    context = {"option": {**options.plain, **options.delimiters}, "globals": dict(run.globals)}
    finder = CallFinder(lookups, run.project, data)
    return Plan(
        options=options,
        tags=tag_set_of(_selector(job, run, data)),
        dispatch=dispatch,
        calls=await finder.collect(job, steps),
        warnings=finder.warnings,
        timeout_s=run.timeout_s,
        retry=None,
        log_limit=None,
        context={group: values for group, values in context.items() if values},
    )


async def _dispatch(wanted: NodeDispatch | None, run: Run, data: DataContext, lookups: Lookups) -> Dispatch | None:
    """The nodes. None matched is an error, unless the job says that this is well ("Dispatch to nodes")."""
    if wanted is None or not (wanted.filter.strip() or wanted.filter_exclude.strip()):
        return None
    dispatch = await dispatch_of(wanted, run.project, data, lookups)
    if not dispatch.nodes and not dispatch.success_on_empty:
        raise RunbusError(
            ErrorCode.NO_MATCHED_NODES,
            f"No matched nodes: no node of project {run.project} matches {dispatch.filter!r}. 'runbus nodes list' "
            "shows them; a job may say successOnEmptyNodeFilter.",
            details={"project": run.project, "filter": dispatch.filter[:500]},
        )
    return dispatch


def _selector(job: JobDefinition | None, run: Run, data: DataContext) -> RunnerSelector | None:
    """The selector with its references filled in ("Runner tags may come from an option")."""
    filled_job = job
    if job is not None and job.runner is not None and "${" in job.runner.filter:
        own = msgspec.structs.replace(job.runner, filter=_tags(job.runner.filter, data))
        filled_job = msgspec.structs.replace(job, runner=own)
    return selector_of_run(filled_job, run.runner)


def _tags(text: str, data: DataContext) -> str:
    value = filled(text, data)
    if "${" in value:
        raise RunbusError(
            ErrorCode.INVALID_SELECTOR,
            f"the runner filter {text[:200]!r} has a reference without a value (it reads {value[:200]!r}): give the "
            "option a value.",
            details={"filter": text[:200]},
        )
    return value


async def _remote_values(
    job: JobDefinition, run: Run, facts: Mapping[str, str], lookups: Lookups
) -> dict[str, list[str]]:
    """What the ``valuesUrl`` of enforced options offers; for all others it matters to a form only."""
    found: dict[str, list[str]] = {}
    for option in job.options:
        if option.values_url and option.enforced and not option.values:
            given = {name: value for name, value in run.options.items() if isinstance(value, str)}
            data = DataContext.of({"option": given, "job": facts, "globals": run.globals})
            found[option.name] = await lookups.remote_values(option, filled(option.values_url, data))
    return found


def _facts(job: JobDefinition, run: Run) -> JobFacts:
    return JobFacts(
        execid=run.execution,
        project=run.project,
        username=run.user,
        name=job.name,
        group=job.group,
        id=job.uuid,
        loglevel=job.log_level,
    )


def _retry(job: JobDefinition, data: DataContext) -> RetryOf | None:
    if job.retry is None or not job.retry.count.strip():
        return None
    most = whole_number(job.retry.count, data, what="retry", least=0, most=MAX_RETRIES)
    delay_s = limit_s(job.retry.delay, data, what="retry delay") or 0.0
    return RetryOf(most=most, delay_s=delay_s) if most else None


def _log_limit(job: JobDefinition, data: DataContext) -> LogLimit | None:
    """With its references filled in. Raises ``invalid_job`` where it is no limit then."""
    limit = job.log_limit
    if limit is None or not limit.limit.strip():
        return None
    known = msgspec.structs.replace(limit, limit=filled(limit.limit, data), status=filled(limit.status, data))
    parse_limit(known.limit)
    return known


def _smaller(one: float | None, other: float | None) -> float | None:
    limits = [limit for limit in (one, other) if limit is not None]
    return min(limits) if limits else None
