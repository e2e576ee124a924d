"""Masking a thousand secrets: a log through a runner that knows none and one that does, and the masker alone."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import string
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.logs import follow
from benchmarks.report import Row, Step, Summary, summary
from benchmarks.site import site
from bus.logs import configure
from domain.context.masking import Masker, MaskStream
from services.runner.process.pipes import READ_BYTES

SECRETS: Final = 1000
AIM: Final = 1.3
RUNS: Final = 3
"""Logs of each runner in a block, after each start of it."""
_MB: Final = 1_000_000
_SAMPLE_BYTES: Final = 8 * _MB
_PRINTABLE: Final = string.ascii_letters + string.digits + "!@#$%^&*()-_=+[]{};:'\",.<>/?\\|`~"


async def measure(*, megabytes: int, blocks: int, step: Step) -> list[Row]:
    """Both runners by turns; a figure is the median of its blocks."""
    secrets = some_secrets(SECRETS)
    sample = some_log(_SAMPLE_BYTES)
    copies = max(1, megabytes * _MB // len(sample))
    took_s: dict[str, list[float]] = {"plain": [], "masked": []}
    async with _file(sample, copies) as path:
        for _ in range(blocks):
            for name, known in (("plain", []), ("masked", secrets)):
                took_s[name] += await _follow_apart(path, known)
            step()
    rates = {name: summary([len(sample) * copies / _MB / s for s in values]) for name, values in took_s.items()}
    return [_row(rates), *_alone(secrets, sample)]


def some_secrets(count: int) -> list[str]:
    """Passwords, tokens and keys: letters and digits, all that is printable, hexadecimal, JWTs, PEM files."""
    source = random.Random(count)
    kinds: tuple[Callable[[], str], ...] = (
        lambda: "".join(source.choices(string.ascii_letters + string.digits, k=source.randint(16, 40))),
        lambda: "".join(source.choices(_PRINTABLE, k=source.randint(8, 32))),
        lambda: source.randbytes(20).hex(),
        lambda: f"eyJhbGciOiJIUzI1NiJ9.{base64.urlsafe_b64encode(source.randbytes(90)).decode()}",
        lambda: f"-----BEGIN KEY-----\n{base64.encodebytes(source.randbytes(600)).decode()}-----END KEY-----\n",
    )
    weights = (8, 8, 2, 1, 1)
    return [make() for make in source.choices(kinds, weights, k=count)]


def some_log(size_bytes: int) -> bytes:
    """Lines as programs write them, with ids, checksums, paths, base64 and JSON: whole ones, at least so much."""
    source = random.Random(size_bytes)
    lines: list[bytes] = []
    written = 0
    while written < size_bytes:
        line = f"{_line(source)}\n".encode()
        lines.append(line)
        written += len(line)
    return b"".join(lines)


def _line(source: random.Random) -> str:
    day, minute, millis = source.randint(1, 28), source.randint(0, 59), source.randint(0, 999)
    at = f"2026-01-{day:02}T11:{minute:02}:07.{millis:03}Z"
    unique = uuid.UUID(int=source.getrandbits(128))
    number = source.randint(1, 99_999)
    return source.choice(
        (
            f"{at} INFO [worker-{number % 9}] processed batch id={unique} path=/var/lib/app/{number}/part",
            f'{{"ts":"{at}","level":"info","msg":"request done","host":"web-{number % 99}","trace":"{unique.hex}"}}',
            f"{at} DEBUG pulled sha256:{source.randbytes(32).hex()} layer {number % 30} of 30",
            f'10.0.{number % 255}.1 - - [{at}] "GET /api/items/{number}?q=a%20b HTTP/1.1" 200 {number} "-" "curl"',
            f"blob {base64.b64encode(source.randbytes(source.randint(20, 90))).decode()}",
            f'  File "/usr/lib/python3/dist-packages/app/models.py", line {number}, in handle_request',
        )
    )


async def _follow_apart(path: Path, secrets: list[str]) -> list[float]:
    """Seconds of each of some logs of a runner with these secrets in its environment, in a process of their own."""
    more = {f"BENCH_{number}_TOKEN": secret for number, secret in enumerate(secrets)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.masking", path, env={**os.environ, **more}, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the logs of a runner with {len(secrets)} secrets could not be measured")
    return [float(line) for line in output.split()]


async def _follow_here(path: Path, size: int) -> None:
    """What the process of ``_follow_apart`` does: print the seconds of each log."""
    configure(part="bench", level="error")
    async with site() as running:
        await running.succeed(f"head -c 1000000 {path}")  # the first log of all waits for the masker to be built
        for _ in range(RUNS):
            print(await follow(running, f"cat {path}", size))


@asynccontextmanager
async def _file(sample: bytes, copies: int) -> AsyncIterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="runbus-bench-") as file:
        for _ in range(copies):
            file.write(sample)
        file.flush()
        yield Path(file.name)


def _row(rates: dict[str, Summary]) -> Row:
    measured, least = rates["masked"].p50, rates["plain"].p50
    return Row(
        figure=f"log, {SECRETS:,} secrets masked (floor: none)", unit="MB/s", measured=measured, floor=least,
        ratio=least / measured, aim=f"<= {AIM:g} x", met=least <= AIM * measured, samples=rates,
    )  # fmt: skip


def _alone(secrets: list[str], sample: bytes) -> list[Row]:
    """The masker by itself, on one core, and what it takes to build it."""
    began = time.process_time()
    masker = Masker(secrets)
    masker.prepare()
    built_s = time.process_time() - began
    pieces = [sample[start : start + READ_BYTES] for start in range(0, len(sample), READ_BYTES)]
    rates = [len(sample) / _MB / _masking_s(masker, pieces) for _ in range(5)]
    return [
        Row(figure=f"masker of {SECRETS:,} secrets, one core", unit="MB/s", measured=max(rates)),
        Row(figure=f"building a masker of {SECRETS:,} secrets", unit="ms", measured=built_s * 1000),
    ]


def _masking_s(masker: Masker, pieces: list[bytes]) -> float:
    stream = MaskStream(masker)
    began = time.process_time()
    for piece in pieces:
        stream.feed(piece)
    return time.process_time() - began


if __name__ == "__main__":
    log = Path(sys.argv[1])
    asyncio.run(_follow_here(log, log.stat().st_size))
