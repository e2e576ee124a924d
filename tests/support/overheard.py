"""Everything through which a secret could get out: what is said on the bus, what streams hold, what files hold."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats.js.errors
from nats.aio.msg import Msg

from tests.support.system import System


@asynccontextmanager
async def overheard(system: System) -> AsyncIterator[list[bytes]]:
    """All that anybody publishes, while this lasts: subject, headers, data."""
    heard: list[bytes] = []

    async def hear(msg: Msg) -> None:
        heard.append(_whole(msg.subject, msg.headers, msg.data))

    subscription = await system.bus.client.subscribe(">", cb=hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await system.bus.flush()
    try:
        yield heard
        await system.bus.flush()
    finally:
        await subscription.unsubscribe()


async def stored(system: System) -> bytes:
    """All messages of all streams of the system: events, logs, audit, buckets and parcels, with their headers."""
    mine = system.subjects.prefix.lower()
    found = []
    for info in await system.bus.js.streams_info():
        name = str(info.config.name)
        if mine not in name.lower():
            continue
        for seq in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            try:
                message = await system.bus.js.get_msg(name, seq)
            except nats.js.errors.NotFoundError:  # removed by now
                continue
            found.append(_whole(str(message.subject), message.headers, bytes(message.data or b"")))
    return b"\n".join(found)


def files_below(directory: Path, *, but: Iterable[Path] = ()) -> bytes:
    """All that any part has written there: ledgers with their journals, the file of keys, logs, work directories."""
    left_out = tuple(but)
    return b"\n".join(
        str(path).encode() + b"\n" + path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(each) for each in left_out)
    )


def _whole(subject: str, headers: Any, data: bytes) -> bytes:
    """A message as one text; what is packed (parcels are) also as it was before."""
    said = "".join(f"{name}: {value}\n" for name, value in (headers or {}).items())
    try:
        unpacked = zlib.decompress(data)
    except zlib.error:
        unpacked = b""
    return b"%b\n%b%b\n%b" % (subject.encode(), said.encode(), data, unpacked)
