"""The ``wait-for-port`` step: wait until a TCP port accepts connections. A plugin from outside Runbus."""

from __future__ import annotations

import asyncio
from typing import Annotated, ClassVar

import msgspec

from runbus.plugin import StepContext, StepError, StepResult, Stream

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class WaitForPortConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job says under ``configuration``."""

    host: str
    port: Port
    timeout_s: Seconds = 60.0
    interval_s: Seconds = 0.5


class WaitForPortStep:
    """Succeeds as soon as a connection is accepted."""

    version: ClassVar[str] = "1.0.0"
    config_type: ClassVar[type[WaitForPortConfig]] = WaitForPortConfig

    async def run(self, config: WaitForPortConfig, context: StepContext) -> StepResult:
        """Try again and again. Raises ``StepError`` when the time is over."""
        place = f"{config.host}:{config.port}"
        await context.write(f"waiting for {place}, {config.timeout_s:g} s at most\n", Stream.RUNNER)
        last = "no attempt ended"
        try:
            async with asyncio.timeout(config.timeout_s):
                while problem := await try_once(config.host, config.port):
                    if problem != last:
                        await context.write(f"{place}: {problem}\n", Stream.RUNNER)
                    last = problem
                    await asyncio.sleep(config.interval_s)
        except TimeoutError:
            raise StepError(
                f"{place} accepted no connection within {config.timeout_s:g} s (last: {last}); "
                "is the service up, and may this runner reach it?"
            ) from None
        await context.write(f"{place} accepts connections\n")
        return StepResult()


async def try_once(host: str, port: int) -> str:
    """Connect and close again; why that failed, or nothing."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as cause:
        return f"{type(cause).__name__}: {cause.strerror or cause}"
    writer.close()
    return ""
