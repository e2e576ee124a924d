"""The ``wait-for-port`` step: wait until a TCP port accepts connections. A plugin from outside Runbus."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import msgspec

from runbus.plugin import StepContext, StepError, StepResult, Stream


class WaitForPortConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job says under ``configuration``."""

    host: str
    port: int
    timeout_s: float = 60.0
    interval_s: float = 0.5


class WaitForPortStep:
    """Succeeds as soon as a connection is accepted."""

    version: ClassVar[str] = "1.0.0"
    config_type: ClassVar[type[WaitForPortConfig]] = WaitForPortConfig

    async def run(self, config: WaitForPortConfig, context: StepContext) -> StepResult:
        """Try again and again. Raises ``StepError`` when the time is over."""
        place = f"{config.host}:{config.port}"
        await context.write(f"waiting for {place}, {config.timeout_s:g} s at most\n", Stream.RUNNER)
        try:
            async with asyncio.timeout(config.timeout_s):
                while not await accepts(config.host, config.port):  # noqa: ASYNC110 (the port has no event)
                    await asyncio.sleep(config.interval_s)
        except TimeoutError:
            raise StepError(
                f"{place} accepted no connection within {config.timeout_s:g} s; "
                "is the service up, and may this runner reach it?"
            ) from None
        await context.write(f"{place} accepts connections\n")
        return StepResult()


async def accepts(host: str, port: int) -> bool:
    """Whether a connection to the port can be made now."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
