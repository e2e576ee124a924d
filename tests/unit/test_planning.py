"""What a run comes to: nodes, called jobs and their nodes, and limits, before anything is queued."""

from __future__ import annotations

from typing import Any

import pytest

from domain.planning import Plan, Run, plan_job, plan_steps
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobCall, JobDefinition, LogLimit, NodeDispatch, Notification, Retry, Step, Trigger
from schemas.nodes import Node
from schemas.options import Option

X = Option(name="x")


class Lookups:
    """Jobs by name; every filter selects a node that is called as it reads."""

    def __init__(self, *jobs: JobDefinition) -> None:
        self._jobs = {job.name: job for job in jobs}

    async def job(self, project: str, call: JobCall) -> JobDefinition:
        if call.name not in self._jobs:
            raise RunbusError(ErrorCode.UNKNOWN_JOB, f"no {call.name} in {project}")
        return self._jobs[call.name]

    async def nodes(self, project: str, dispatch: NodeDispatch) -> list[Node]:  # noqa: ARG002
        return [] if dispatch.filter == "none" else [Node(name=dispatch.filter)]

    async def remote_values(self, option: Option, url: str) -> list[str]:
        raise AssertionError((option, url))


def a_job(name: str, *steps: Step, **fields: Any) -> JobDefinition:
    return JobDefinition(uuid=name, name=name, project="p", steps=list(steps), **fields)


def call(name: str, args: str = "", **fields: Any) -> Step:
    return Step(plugin="jobref", call=JobCall(name=name, args=args, **fields))


async def planned(job: JobDefinition, *others: JobDefinition, **run: Any) -> Plan:
    return await plan_job(job, Run(execution="e", project="p", **run), Lookups(job, *others))


async def refused(job: JobDefinition, *others: JobDefinition, **run: Any) -> RunbusError:
    with pytest.raises(RunbusError) as caught:
        await planned(job, *others, **run)
    return caught.value


def nodes_of(plan: Plan, place: str) -> list[str] | None:
    dispatch = plan.calls[place].dispatch
    return None if dispatch is None else [node.name for node in dispatch.nodes]


@pytest.mark.parametrize(("ignored", "said"), [(True, 0), (False, 1)])
async def test_notifications_of_a_called_job_are_warned_of(*, ignored: bool, said: int) -> None:
    sent = Notification(trigger=Trigger.FAILURE, type="email", config={"recipients": "a@b.org"})
    inner = a_job("inner", Step(plugin="exec"), notifications=[sent])
    plan = await planned(a_job("outer", call("inner", ignore_notifications=ignored)), inner)
    assert len(plan.warnings) == said
    assert all("notifications of inner" in warning for warning in plan.warnings)


async def test_called_jobs_by_their_places() -> None:
    inner = a_job("inner", Step(plugin="exec"))
    middle = a_job("middle", Step(plugin="exec", error_handler=call("inner")), call("inner"))
    off = Step(plugin="jobref", call=JobCall(name="nowhere"), enabled=False)
    plan = await planned(a_job("outer", off, call("middle"), Step(plugin="exec", error_handler=off)), inner, middle)
    assert sorted(plan.calls) == ["2", "2/1e", "2/2"]
    assert plan.calls["2/1e"].ref.name == "inner"


async def test_a_filter_of_the_call_is_filled_in_by_the_caller() -> None:
    inner = a_job("inner", Step(plugin="exec"), options=[X], nodes=NodeDispatch(filter="own-${option.x}"))
    step = call("inner", "-x theirs", nodes=NodeDispatch(filter="call-${option.x}"))
    plan = await planned(a_job("outer", step, options=[X]), inner, options={"x": "mine"})
    assert nodes_of(plan, "1") == ["call-mine"]


@pytest.mark.parametrize(
    ("args", "import_options", "nodes"),
    [
        ("-x theirs", False, ["own-theirs"]),
        ("-x ${option.x}-2", False, ["own-mine-2"]),
        ("", False, ["own-default"]),
        ("", True, ["own-mine"]),
    ],
)
async def test_a_called_jobs_own_filter_is_filled_in_by_its_own_options(
    args: str, import_options: bool, nodes: list[str]
) -> None:
    own = [Option(name="x", value="default")]
    inner = a_job("inner", Step(plugin="exec"), options=own, nodes=NodeDispatch(filter="own-${option.x}"))
    step = call("inner", args, child_nodes=True, import_options=import_options)
    plan = await planned(a_job("outer", step, options=[X]), inner, options={"x": "mine"})
    assert nodes_of(plan, "1") == nodes


async def test_options_go_down_through_the_calls() -> None:
    inner = a_job("inner", Step(plugin="exec"), options=[X], nodes=NodeDispatch(filter="n-${option.x}"))
    middle = a_job("middle", call("inner", "-x ${option.y}3", child_nodes=True), options=[Option(name="y")])
    outer = a_job("outer", call("middle", "-y ${option.x}2"), options=[X])
    assert nodes_of(await planned(outer, middle, inner, options={"x": "1"}), "1/1") == ["n-123"]


async def test_without_a_filter_it_runs_on_the_callers_nodes() -> None:
    inner = a_job("inner", Step(plugin="exec"), nodes=NodeDispatch(filter="own"))
    assert nodes_of(await planned(a_job("outer", call("inner")), inner), "1") is None


async def test_a_filter_that_is_known_only_later_is_refused() -> None:
    inner = a_job("inner", Step(plugin="exec"))
    step = call("inner", nodes=NodeDispatch(filter="${data.where}"))
    error = await refused(a_job("outer", step), inner)
    assert error.code is ErrorCode.INVALID_JOB
    assert "known only once the job runs" in error.message


async def test_circles_and_depth() -> None:
    a, b = a_job("a", call("b")), a_job("b", call("a"))
    assert "a → b → a" in (await refused(a, b)).message
    assert "a → a" in (await refused(a_job("a", call("a")))).message
    twice = a_job("c", call("d"), call("d"))
    assert len((await planned(twice, a_job("d", Step(plugin="exec")))).calls) == 2, "twice is no circle"
    chain = [a_job(f"j{number}", call(f"j{number + 1}")) for number in range(60)]
    assert "deep" in (await refused(chain[0], *chain[1:])).message
    many = a_job("m", *[call("d")] * 1001)
    assert "calls more than 1,000 jobs" in (await refused(many, a_job("d", Step(plugin="exec")))).message


async def test_no_matched_nodes() -> None:
    job = a_job("a", Step(plugin="exec"), nodes=NodeDispatch(filter="none"))
    assert (await refused(job)).code is ErrorCode.NO_MATCHED_NODES
    well = a_job("a", Step(plugin="exec"), nodes=NodeDispatch(filter="none", success_on_empty_node_filter=True))
    plan = await planned(well)
    assert plan.dispatch is not None
    assert plan.dispatch.nodes == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"nodes": NodeDispatch(filter="n", threadcount="0")}, "threadcount is '0': it has to be a whole number"),
        (
            {"nodes": NodeDispatch(filter="n", threadcount="${option.x}")},
            "threadcount is 'word' (from '${option.x}')",
        ),
        ({"nodes": NodeDispatch(filter="n", rank_order="up")}, "rankOrder is 'up'"),
        ({"timeout": "${option.x}"}, "timeout is 'word' (from '${option.x}')"),
        ({"retry": Retry(count="-1")}, "retry is '-1'"),
        ({"retry": Retry(count="1", delay="${option.x}")}, "retry delay is 'word'"),
        ({"log_limit": LogLimit(limit="${option.x}")}, "the log limit 'word' cannot be read"),
    ],
)
async def test_what_is_no_number(fields: dict[str, Any], text: str) -> None:
    error = await refused(a_job("a", Step(plugin="exec"), options=[X], **fields), options={"x": "word"})
    assert error.code is ErrorCode.INVALID_JOB
    assert text in error.message


async def test_limits_from_options() -> None:
    fields = {
        "nodes": NodeDispatch(filter="n", threadcount="${option.x}"), "timeout": "${option.x}m",
        "retry": Retry(count="${option.x}", delay="${option.x}s"), "log_limit": LogLimit(limit="${option.x}/node"),
    }  # fmt: skip
    plan = await planned(a_job("a", Step(plugin="exec"), options=[X], **fields), options={"x": "7"}, timeout_s=1000.0)
    assert plan.dispatch is not None
    assert plan.retry is not None
    assert plan.log_limit is not None
    assert (plan.dispatch.threads, plan.timeout_s, plan.log_limit.limit) == (7, 420.0, "7/node")
    assert (plan.retry.most, plan.retry.delay_s) == (7, 7.0)


async def test_secure_values_are_not_in_the_context_of_a_plan() -> None:
    options = [Option(name="e", secure=True, value_exposed=True), Option(name="p", secure=True), X]
    plan = await planned(a_job("a", Step(plugin="exec"), options=options), options={"e": "s1", "p": "s2", "x": "v"})
    assert plan.context == {"option": {"x": "v"}}


async def test_another_filter_only_where_the_job_allows_it() -> None:
    own, other = NodeDispatch(filter="own"), NodeDispatch(filter="other")
    error = await refused(a_job("a", Step(plugin="exec"), nodes=own), nodes=other)
    assert "does not allow another node filter" in error.message
    plan = await planned(a_job("a", Step(plugin="exec"), nodes=own, node_filter_editable=True), nodes=other)
    assert plan.dispatch is not None
    assert plan.dispatch.filter == "other"


async def test_an_ad_hoc_run_has_no_options() -> None:
    with pytest.raises(RunbusError) as caught:
        await plan_steps([Step(plugin="exec")], Run(execution="e", project="p", options={"x": "1"}), Lookups())
    assert caught.value.code is ErrorCode.UNKNOWN_OPTION
