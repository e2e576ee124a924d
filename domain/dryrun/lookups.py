"""Where a dry run looks jobs and nodes up: in what was read from files."""

from __future__ import annotations

from collections.abc import Sequence

from domain.nodes.listing import listed_nodes
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobCall, JobDefinition, JobRef, NodeDispatch
from schemas.nodes import Node, NodeListRequest, RankOrder
from schemas.options import Option


class FileLookups:
    """The :class:`domain.planning.Lookups` of a dry run; it never waits for anything.

    ``nodes`` is None where no file of nodes was given. ``notes`` fills with what could not be looked up.
    """

    def __init__(self, jobs: Sequence[JobDefinition], nodes: Sequence[Node] | None) -> None:
        self._by_uuid = {job.uuid: job for job in reversed(jobs)}
        self._by_path = {job.ref.path: job for job in reversed(jobs)}
        self._nodes = nodes
        self.notes: list[str] = []

    async def job(self, project: str, call: JobCall) -> JobDefinition:  # noqa: ARG002 (files tell no project)
        """The job that a step calls: by uuid, unless the call prefers the name. Raises ``unknown_job``."""
        path = JobRef(uuid="", name=call.name, group=call.group).path
        by_uuid = call.uuid and not call.use_name
        found = self._by_uuid.get(call.uuid) if by_uuid else self._by_path.get(path)
        if found is None:
            named = call.uuid if by_uuid else path
            raise RunbusError(
                ErrorCode.UNKNOWN_JOB,
                f"job {named[:200]!r}, which a step calls, is in none of the files: give its file (--jobs FILE).",
                details={"job": named[:200]},
            )
        return found

    async def nodes(self, project: str, dispatch: NodeDispatch) -> list[Node]:
        """The nodes of the file that a dispatch selects, in order. Raises ``no_matched_nodes`` without a file."""
        if self._nodes is None:
            raise RunbusError(
                ErrorCode.NO_MATCHED_NODES,
                f"the node filter {dispatch.filter or dispatch.filter_exclude!r} has no nodes to choose from: give a "
                "file of nodes (--nodes FILE).",
                details={"filter": dispatch.filter},
            )
        request = NodeListRequest(
            project=project,
            filter=dispatch.filter,
            filter_exclude=dispatch.filter_exclude,
            exclude_precedence=dispatch.exclude_precedence,
            rank_attribute=dispatch.rank_attribute,
            rank_order=RankOrder(dispatch.rank_order),
        )
        return listed_nodes(self._nodes, request)[0]

    async def remote_values(self, option: Option, url: str) -> list[str]:
        """None: whether a value is allowed is left open, and noted."""
        self.notes.append(
            f"option {option.name!r} allows what {url[:200]} offers, which a dry run does not fetch: its value is "
            "not checked."
        )
        return []
