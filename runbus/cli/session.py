"""A connected command: settings, client, and the log of the connection in words."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import msgspec
import structlog

from runbus.cli.context import Options
from runbus.cli.settings import CliSettings, settings_of
from runbus.client import Client, open_client
from schemas.catalog import Endpoint

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)

_SAID: Final = {
    "bus.disconnected": "The connection to NATS is lost; trying again ...",
    "bus.reconnected": "Connected to NATS again.",
}


class Session:
    """What a command works with: one connection, one project, one user."""

    def __init__(self, client: Client, settings: CliSettings, options: Options) -> None:
        self.client: Final = client
        self.options: Final = options
        self.project: Final = settings.project
        self.user: Final = settings.user or login_name()

    async def call(
        self, endpoint: Endpoint[RequestT, ReplyT], request: RequestT, *, runner: str = "", timeout_s: float = 5.0
    ) -> ReplyT:
        """Call an endpoint of the contract."""
        return await self.client.call(endpoint, request, runner=runner, timeout_s=timeout_s)


def connected(options: Options, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    """Connect, work, close. Raises ``RunbusError``; an unreachable server at once."""
    settings = settings_of(options)
    configure_log(debug=options.debug)

    async def main() -> T:
        async with open_client(settings.nats_url, prefix=settings.prefix, name="runbus-cli") as client:
            return await work(Session(client, settings, options))

    return asyncio.run(main())


def login_name() -> str:
    """Whoever is logged in; empty where nobody knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def configure_log(*, debug: bool) -> None:
    """What a connection, or a plugin, logs: in words, and only what concerns a user; with ``--debug`` all of it."""

    def render(_logger: Any, _method: str, event: structlog.types.EventDict) -> str:
        name = str(event.pop("event"))
        if debug:
            return " ".join([f"debug: {name}", *(f"{key}={value!r}" for key, value in event.items())])
        if name not in _SAID:
            raise structlog.DropEvent
        return _SAID[name]

    structlog.configure(processors=[render], logger_factory=structlog.PrintLoggerFactory(sys.stderr))
