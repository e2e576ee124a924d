"""What an assignment needs before its first step: secure values, masking, limits, the nodes, the data."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec

from bus.logs import hide
from domain.context.masking import MAX_LEARNED, Masker
from domain.logs import LogLimiter, parse_limit
from runbus.plugin import FailureReason, StepError, Stream
from schemas import catalog
from schemas.api import SecretsRequest, SecretValues
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Assignment
from schemas.states import ExecutionState
from services.runner.bench import Bench, Work
from services.runner.keyuse import Use
from services.runner.logship import LogLabel, LogShip
from services.runner.scope import Data, Scope, scope_of
from services.runner.secrets import Secrets, read_options
from services.runner.stopper import Stopper
from services.runner.workplace import Workplace

_HALTED = {"failed": ExecutionState.FAILED, "aborted": ExecutionState.ABORTED, "succeeded": ExecutionState.SUCCEEDED}


async def prepare(
    assignment: Assignment, at: Workplace, stopper: Stopper, *, ship: LogShip, work_dir: Path
) -> tuple[Bench, Scope]:
    """The bench and the scope of an assignment. Raises a typed error where its secure values cannot be had."""
    secrets, unread = await _secrets(assignment, at)
    for text in unread:
        await ship.write(LogLabel(stream=Stream.RUNNER, step=assignment.first_step), f"{text}\n".encode())
    masker = at.masker.apart().also(secrets.values())
    if secrets.values():
        await asyncio.to_thread(masker.prepare)
    hide(masker.mask)
    secrets = replace(secrets, learn=lambda value: _learn(masker, value))
    bench = Bench(
        runner=at.runner,
        assignment=assignment,
        own_node=at.own_node,
        work_dir=work_dir,
        env=at.env,
        groups=at.groups,
        ship=ship,
        plugins=at.plugins,
        stopper=stopper,
        secrets=secrets,
        masker=masker,
        limiter=_limiter(assignment, stopper),
        grace_s=at.grace_s,
    )
    return bench, scope_of(assignment, secrets.exposed)


def _learn(masker: Masker, value: str) -> None:
    """Mask a key from here on. Raises :class:`StepError` where that cannot be: then nobody is given it."""
    if value and not masker.learn([value]):
        raise StepError(
            f"this run has read {MAX_LEARNED:,} keys, and no more can be masked: divide it into several.",
            reason=FailureReason.PLUGIN_FAILED,
        )


def share_of(plan: Assignment, part: Assignment) -> Assignment:
    """The plan of an execution, as far as this assignment carries it out.

    A part that is for no node keeps all of them: a job that it calls runs there, and never on the runner instead.
    """
    first, last = part.only_steps or (1, len(plan.steps))
    dispatch = plan.dispatch
    if dispatch is not None and part.only_nodes:
        wanted = set(part.only_nodes)
        kept = [node for node in dispatch.nodes if node.name in wanted]
        dispatch = msgspec.structs.replace(dispatch, nodes=kept)
    return msgspec.structs.replace(
        plan,
        assignment=part.assignment,
        attempt=part.attempt,
        claim_after_seq=part.claim_after_seq,
        steps=plan.steps[first - 1 : last],
        first_step=first,
        dispatch=dispatch,
        timeout_s=part.timeout_s if part.part else plan.timeout_s,
        data=part.data or plan.data,
        part=part.part,
    )


def own_work(bench: Bench) -> Work:
    """The assignment's own workflow; without a dispatch it is for the runner's own node."""
    assignment, dispatch = bench.assignment, bench.assignment.dispatch
    if dispatch is None:
        nodes = [bench.own_node]
    else:
        nodes = [bench.own_node if node.name == bench.own_node.name else node for node in dispatch.nodes]
    return Work(
        steps=assignment.steps,
        flow=assignment.flow,
        nodes=nodes,
        threads=dispatch.threads if dispatch else 1,
        keepgoing=dispatch.keepgoing if dispatch else False,
        for_nodes=dispatch is not None,
        first_step=assignment.first_step,
    )


def told(captured: Data, bench: Bench) -> Data:
    """What steps have found out, for the assignments that follow; a value that holds a secret is kept here."""
    masker = bench.masker.by_line()  # a value is one line, of a secret of several, too

    def is_open(text: str) -> bool:
        return masker.mask(text) == text

    return {
        view: {
            group: {key: value for key, value in values.items() if is_open(key) and is_open(value)}
            for group, values in groups.items()
        }
        for view, groups in captured.items()
    }


async def _secrets(assignment: Assignment, at: Workplace) -> tuple[Secrets, list[str]]:
    """Values typed for the run, those of its keys, and what is to be told of keys that could not be read."""
    typed = await _typed(assignment, at)
    use = Use(
        project=assignment.project, execution=assignment.execution, assignment=assignment.assignment,
        user=assignment.user,
    )  # fmt: skip
    stored = {name: key for name, key in assignment.stored.items() if not {name} & {*typed.exposed, *typed.private}}
    read = await read_options(stored, at.keys, use)
    secrets = Secrets(
        {**typed.exposed, **read.exposed}, {**typed.private, **read.private}, keys=at.keys, use=use
    )  # fmt: skip
    return secrets, read.unread


async def _typed(assignment: Assignment, at: Workplace) -> SecretValues:
    """Ask the dispatcher that accepted the run; it answers only who has claimed it, and seals the answer."""
    if not assignment.secrets_at:
        return SecretValues()
    request = SecretsRequest(
        project=assignment.project,
        execution=assignment.execution,
        assignment=assignment.assignment,
        runner=at.runner,
        instance=at.instance,
    )
    try:
        answer = await at.bus.call(at.subjects, catalog.SECRETS, request, runner=assignment.secrets_at)
    except RunbusError as error:
        if error.code is not ErrorCode.UNAVAILABLE:
            raise
        raise RunbusError(
            ErrorCode.UNAVAILABLE,
            "the secure option values of this run are held in the memory of the dispatcher that accepted it, and "
            "that one does not answer any more: run the job again.",
            details={"dispatcher": assignment.secrets_at},
        ) from error
    return decode(at.sealing.open(answer.sealed), SecretValues)


def _limiter(assignment: Assignment, stopper: Stopper) -> LogLimiter | None:
    limit = assignment.log_limit
    if limit is None:
        return None

    def halt(status: str) -> None:
        state = _HALTED.get(status, ExecutionState.OTHER)
        reason = f"the log limit of {limit.limit} was reached."
        stopper.stop(state, reason, status=status if state is ExecutionState.OTHER else "")

    return LogLimiter(parse_limit(limit.limit), action=limit.action, status=limit.status, on_halt=halt)
