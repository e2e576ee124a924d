"""Which nodes a workflow is dispatched to, in which order, and how many at a time."""

from __future__ import annotations

from domain.context.scopes import DataContext
from domain.planning.limits import MAX_THREADS, filled, whole_number
from domain.planning.run import Lookups
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Dispatch
from schemas.jobs import JobDefinition, NodeDispatch

RANK_ORDERS = ("ascending", "descending")


async def dispatch_of(wanted: NodeDispatch, project: str, data: DataContext, lookups: Lookups) -> Dispatch:
    """The nodes that match now.

    Raises ``invalid_job`` for a bad threadcount, ``invalid_selector`` for a bad filter.
    """
    filter_text = filled(wanted.filter, data)
    exclude_text = filled(wanted.filter_exclude, data)
    threads = whole_number(wanted.threadcount, data, what="threadcount", least=1, most=MAX_THREADS)
    if wanted.rank_order not in RANK_ORDERS:
        raise RunbusError(
            ErrorCode.INVALID_JOB, f"rankOrder is {wanted.rank_order[:80]!r}: use {' or '.join(RANK_ORDERS)}."
        )
    own = NodeDispatch(
        filter=filter_text,
        filter_exclude=exclude_text,
        exclude_precedence=wanted.exclude_precedence,
        rank_attribute=filled(wanted.rank_attribute, data),
        rank_order=wanted.rank_order,
    )
    nodes = await lookups.nodes(project, own)
    return Dispatch(
        nodes=nodes,
        threads=threads,
        keepgoing=wanted.keepgoing,
        filter=filter_text,
        success_on_empty=wanted.success_on_empty_node_filter,
    )


def nodes_of_run(job: JobDefinition | None, asked: NodeDispatch | None) -> NodeDispatch | None:
    """The dispatch that holds for a run: the run's where there is no job or the job allows it, else the job's.

    Raises ``invalid_option`` where the run changes the filter and the job does not allow that.
    """
    if job is None or asked is None:
        return asked if job is None else job.nodes
    if not job.node_filter_editable:
        if job.nodes is not None and (asked.filter, asked.filter_exclude) == (
            job.nodes.filter, job.nodes.filter_exclude
        ):  # fmt: skip
            return job.nodes
        raise RunbusError(
            ErrorCode.INVALID_OPTION,
            f"job {job.ref.path!r} does not allow another node filter at run time: leave it out, or set "
            "'nodeFilterEditable: true' in the job.",
            details={"job": job.uuid, "asked": asked.filter[:200]},
        )
    return asked
