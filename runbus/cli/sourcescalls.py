"""What the commands of node sources ask of the centre; people are told of each answer when it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from domain.discovery.definition import checked_source
from runbus.cli.session import Session
from runbus.cli.sourcesview import print_refreshed, print_stored
from schemas import catalog
from schemas.api import Done
from schemas.errors import RunbusError
from schemas.sources import (
    SourceDefinition,
    SourceList,
    SourceListRequest,
    SourcePutRequest,
    SourceRefreshRequest,
    SourceRemoveRequest,
    SourceReply,
    SourceState,
    SourceTested,
    SourceTestRequest,
    SourceView,
)

_WITHIN_S: Final = 30.0
_MARGIN_S: Final = 60.0
"""For the way there and back, and for a refresh that is under way already."""


async def found(session: Session, name: str) -> SourceView:
    """The source of this name."""
    request = SourceListRequest(project=session.project, name=name)
    return (await session.call(catalog.SOURCE_LIST, request, timeout_s=_WITHIN_S)).sources[0]


async def listed(session: Session) -> SourceList:
    """All of the project, in order."""
    return await session.call(catalog.SOURCE_LIST, SourceListRequest(project=session.project), timeout_s=_WITHIN_S)


async def stored(session: Session, request: SourcePutRequest) -> SourceReply:
    """Put a source, and say so at once. What holds a secret is refused here: it is not to reach the bus."""
    checked_source(request.source)
    reply = await session.call(catalog.SOURCE_PUT, request, timeout_s=_WITHIN_S)
    if not session.options.as_json:
        print_stored(reply)
    return reply


async def tested(session: Session, source: SourceDefinition) -> SourceTested:
    """Have a source asked, and nothing stored; refused here as in :func:`stored`."""
    checked_source(source)
    request = SourceTestRequest(source=source, project=session.project)
    return await session.call(catalog.SOURCE_TEST, request, timeout_s=source.timeout_s + _MARGIN_S)


async def removed(session: Session, name: str) -> Done:
    """Remove a source, and its nodes."""
    request = SourceRemoveRequest(name=name, project=session.project)
    return await session.call(catalog.SOURCE_REMOVE, request, timeout_s=_WITHIN_S)


async def refreshed(session: Session, sources: Sequence[SourceDefinition]) -> list[SourceState]:
    """All beside one another, and each is told of when it is known: one that hangs keeps nobody else waiting.

    Where one could not even be asked for, the others are waited for all the same, and then that is raised.
    """
    unasked: list[RunbusError] = []

    async def ask(source: SourceDefinition) -> SourceState | None:
        request = SourceRefreshRequest(name=source.name, project=session.project)
        try:
            reply = await session.call(catalog.SOURCE_REFRESH, request, timeout_s=source.timeout_s + _MARGIN_S)
        except RunbusError as error:
            unasked.append(error)
            return None
        if not session.options.as_json:
            print_refreshed(reply.state)
        return reply.state

    states = await asyncio.gather(*map(ask, sources))
    if unasked:
        raise unasked[0]
    return [state for state in states if state is not None]
