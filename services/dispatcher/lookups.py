"""Where a dispatcher looks up what planning asks for: its job store, the service nodesource, the web."""

from __future__ import annotations

from typing import Final

import msgspec

from bus.connection import Bus
from bus.nodes import find_nodes
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobCall, JobDefinition, JobRef, NodeDispatch
from schemas.nodes import Node, NodeListRequest, RankOrder
from schemas.options import Option
from schemas.subjects import Subjects
from services.dispatcher.jobs import JobStore

_URL_WITHIN_S: Final = 10.0
_MAX_VALUES_BYTES: Final = 1 << 20


class BusLookups:
    """The :class:`domain.planning.Lookups` of a dispatcher."""

    def __init__(self, bus: Bus, subjects: Subjects, jobs: JobStore) -> None:
        self._bus = bus
        self._subjects = subjects
        self._jobs = jobs

    async def job(self, project: str, call: JobCall) -> JobDefinition:
        """The job that a step calls: by uuid, unless the call prefers the name. Raises ``unknown_job``."""
        path = JobRef(uuid="", name=call.name, group=call.group).path
        return await self._jobs.find(project, call.uuid if call.uuid and not call.use_name else path)

    async def nodes(self, project: str, dispatch: NodeDispatch) -> list[Node]:
        """The nodes of the project's inventory that the dispatch selects, in order."""
        request = NodeListRequest(
            project=project,
            filter=dispatch.filter,
            filter_exclude=dispatch.filter_exclude,
            exclude_precedence=dispatch.exclude_precedence,
            rank_attribute=dispatch.rank_attribute,
            rank_order=RankOrder(dispatch.rank_order),
        )
        return (await find_nodes(self._bus, self._subjects, request)).nodes

    async def remote_values(self, option: Option, url: str) -> list[str]:
        """What a ``valuesUrl`` offers: a list of texts, of ``{name, value}``, or a map of names to values."""
        import httpx  # noqa: PLC0415 (a dispatcher whose jobs name no URL does not load it)

        try:
            async with httpx.AsyncClient(timeout=_URL_WITHIN_S, follow_redirects=True) as client:
                reply = await client.get(url)
                reply.raise_for_status()
            return _values(reply.content[:_MAX_VALUES_BYTES])
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, ValueError) as cause:
            raise RunbusError(
                ErrorCode.INVALID_OPTION,
                f"the values of option {option.name!r} could not be fetched from {url[:200]}: "
                f"{str(cause) or type(cause).__name__}. The option allows no others: look at its valuesUrl.",
                details={"option": option.name, "url": url[:200]},
            ) from cause


def _values(data: bytes) -> list[str]:
    found = msgspec.json.decode(data)
    if isinstance(found, dict):
        return [str(value) for value in found.values()]
    if not isinstance(found, list):
        found = [found]
    return [str(each.get("value", "")) if isinstance(each, dict) else str(each) for each in found]
