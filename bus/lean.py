"""Importing what every process needs, and not what that would bring along. It comes before all other imports."""

from __future__ import annotations

import importlib
import importlib.util
import sys


def import_lean() -> None:
    """Import structlog without rich, and nats without aiohttp.

    rich is loaded for tracebacks that we never print (45 ms, 4 MB a process), aiohttp for WebSockets, where another
    package has brought it (100 ms, 12 MB); :func:`allow_websocket` brings it back.
    """
    _import_without("structlog", "rich")
    _import_without("nats.aio.transport", "aiohttp")


def allow_websocket(url: str) -> None:
    """Load what a ``ws://`` or ``wss://`` URL needs; a missing package is nats' own error at connecting."""
    if not url.startswith(("ws://", "wss://")):
        return
    transport = importlib.import_module("nats.aio.transport")
    if getattr(transport, "aiohttp", None) is None and importlib.util.find_spec("aiohttp"):
        transport.aiohttp = importlib.import_module("aiohttp")  # type: ignore[attr-defined]


def _import_without(module: str, unwanted: str) -> None:
    if unwanted in sys.modules or module in sys.modules:
        return
    sys.modules[unwanted] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        importlib.import_module(module)
    finally:
        del sys.modules[unwanted]
