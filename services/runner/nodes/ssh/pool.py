"""Connections kept and shared: by route, a few commands at a time on each, closed when nobody has used them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import asyncssh

from services.runner.nodes.ssh.failures import ConnectError
from services.runner.nodes.ssh.opening import Client, Opener
from services.runner.nodes.ssh.route import Route

SESSIONS: Final = 10
"""So many sessions a server allows on one connection unless its MaxSessions says otherwise."""
IDLE_S: Final = 60.0
_CLOSE_WITHIN_S: Final = 2.0


class Link:
    """One connection and who uses it."""

    def __init__(self, route: Route, connection: asyncssh.SSHClientConnection, via: Link | None) -> None:
        self.route = route
        self.connection = connection
        self.via = via
        self.sessions = 0
        self.capacity = SESSIONS
        self.tunnels = 0
        self.used = False
        """Something was done over it: it may have gone stale since."""
        self.retired = False
        """It is used up to the end of what runs, and for nothing new."""
        self.has_sftp = True
        self.idle: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether something new may begin on it."""
        return not self.retired and not self.connection.is_closed()

    @property
    def is_idle(self) -> bool:
        """Whether nobody uses it."""
        return self.sessions == 0 and self.tunnels == 0


class _Opening:
    """A connection being made, and how many wait for it."""

    def __init__(self, task: asyncio.Task[Link]) -> None:
        self.task = task
        self.waiters = 0


class Pool:
    """Hands out links. Whoever asks for a route that is being opened waits for the same connection."""

    def __init__(self, opener: Opener, *, idle_s: float = IDLE_S) -> None:
        self._opener = opener
        self._idle_s = idle_s
        self._links: dict[Route, list[Link]] = {}
        self._opening: dict[Route, _Opening] = {}
        self._tasks: set[asyncio.Task[Link]] = set()
        """Those of ``_opening``, and those that were given up and are ending."""

    @property
    def links(self) -> list[Link]:
        """Every connection there is."""
        return [link for links in self._links.values() for link in links]

    @asynccontextmanager
    async def lease(self, route: Route) -> AsyncIterator[Link]:
        """One session's place on a connection. Raises ``ConnectError``."""
        link = await self._take(route)
        try:
            yield link
        finally:
            link.used = True
            link.sessions -= 1
            self._rest(link)

    async def close(self) -> None:
        """End every connection, those being made, too."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        self._opening.clear()
        await asyncio.gather(*tasks, return_exceptions=True)
        links = self.links
        self._links.clear()
        for link in links:
            _stop_idling(link)
            link.retired = True
            link.connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await asyncio.gather(*(link.connection.wait_closed() for link in links), return_exceptions=True)
        for link in links:
            link.connection.abort()

    async def _take(self, route: Route) -> Link:
        while True:
            for link in self._links.get(route, ()):
                if link.is_open and link.sessions < link.capacity:
                    _stop_idling(link)
                    link.sessions += 1
                    return link
            opened = await self._open_shared(route)
            if not opened.is_open:
                raise ConnectError(route, asyncssh.ConnectionLost("it broke as soon as it stood"))

    async def _open_shared(self, route: Route) -> Link:
        opening = self._opening.get(route)
        if opening is None:
            opening = self._opening[route] = _Opening(asyncio.create_task(self._open(route)))
            self._tasks.add(opening.task)
            opening.task.add_done_callback(partial(self._opened, route))
        opening.waiters += 1
        try:
            return await asyncio.shield(opening.task)
        finally:
            opening.waiters -= 1
            if opening.waiters == 0 and not opening.task.done():
                opening.task.cancel()
                self._forget(route, opening.task)

    def _forget(self, route: Route, task: asyncio.Task[Link]) -> None:
        opening = self._opening.get(route)
        if opening is not None and opening.task is task:
            del self._opening[route]

    def _opened(self, route: Route, task: asyncio.Task[Link]) -> None:
        self._forget(route, task)
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at also where everybody who waited has gone

    async def _open(self, route: Route) -> Link:
        via, connection, client = await self._connected(route)
        link = Link(route, connection, via)
        client.on_lost = partial(self._lost, link)
        self._links.setdefault(route, []).append(link)
        self._rest(link)
        return link

    async def _connected(self, route: Route) -> tuple[Link | None, asyncssh.SSHClientConnection, Client]:
        """Connect, through a new connection to the jump host where the one there was turns out to be dead."""
        while True:
            via = None if route.via is None else await self._take_tunnel(route.via)
            was_used = via is not None and via.used
            try:
                connection, client = await self._opener.open(route, None if via is None else via.connection)
            except BaseException as error:
                self._leave(via)
                if isinstance(error, ConnectError) and was_used and via is not None and not via.is_open:
                    continue
                raise
            if via is not None:
                via.used = True
            return via, connection, client

    async def _take_tunnel(self, route: Route) -> Link:
        """A link to go through: as many tunnels as one likes, sessions or not."""
        for link in self._links.get(route, ()):
            if link.is_open:
                break
        else:
            link = await self._open_shared(route)
        _stop_idling(link)
        link.tunnels += 1
        return link

    def _leave(self, via: Link | None) -> None:
        if via is not None:
            via.tunnels -= 1
            self._rest(via)

    def _rest(self, link: Link) -> None:
        """Nobody may use it any more: close it now or when it has been idle for long."""
        if not link.is_idle:
            return
        if link.retired:
            link.connection.close()
        elif link.idle is None and not link.connection.is_closed():
            link.idle = asyncio.get_running_loop().call_later(self._idle_s, self._close_idle, link)

    def _close_idle(self, link: Link) -> None:
        link.idle = None
        link.retired = True
        link.connection.close()

    def _lost(self, link: Link) -> None:
        _stop_idling(link)
        links = self._links.get(link.route, [])
        if link in links:
            links.remove(link)
            if not links:
                del self._links[link.route]
        self._leave(link.via)
        link.via = None


def _stop_idling(link: Link) -> None:
    if link.idle is not None:
        link.idle.cancel()
        link.idle = None
