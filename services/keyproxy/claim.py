"""One file of keys for one Runbus: two keyproxies with different ones would answer in turn, each from its own.

Each start writes a new mark into the file, and then into a bucket. A file that holds the mark of the bucket is the
one that was served last, so copies of the service that share a file go on. A file without it is another one, or a
copy from before: it is refused at the start and, where it is served already, given up, until somebody says that it
is to take the other's place. So a machine that comes back does not serve what has gone on elsewhere.
"""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from bus.bucket import Bucket, StaleRevisionError
from bus.connection import Bus
from bus.lifecycle import Background
from schemas.errors import ErrorCode, RunbusError
from schemas.keys import KeyStoreRecord
from schemas.subjects import Subjects
from services.keyproxy.settings import KeyproxySettings
from services.keyproxy.store import KeyStore

KEY: Final = "centre"
TAKE_OVER_NAME: Final = "RUNBUS_KEYS_TAKE_OVER"

log = structlog.get_logger("keyproxy")


class StoreClaim:
    """That the file of this process is the centre's."""

    def __init__(self, bucket: Bucket[KeyStoreRecord], settings: KeyproxySettings, store: KeyStore) -> None:
        self._bucket = bucket
        self._store = store
        self._file: Final = _file_of(settings)
        self._take_over: Final = settings.keys_take_over.strip()

    @classmethod
    async def open(cls, bus: Bus, settings: KeyproxySettings, store: KeyStore) -> StoreClaim:
        """For this file; the bucket is made where it is not there yet."""
        name = Subjects(settings.prefix).key_store_bucket
        return cls(await Bucket.open(bus, name, KeyStoreRecord, replicas=settings.replicas), settings, store)

    @classmethod
    async def require_free(cls, bus: Bus, settings: KeyproxySettings) -> None:
        """Before a file is made: refuse it as :meth:`make` would, so that nothing is left behind.

        One that has come meanwhile was made by another copy of the service, which shares it.
        """
        name = Subjects(settings.prefix).key_store_bucket
        found = await (await Bucket.open(bus, name, KeyStoreRecord, replicas=settings.replicas)).get(KEY)
        is_other = found is not None and found[0].mark != settings.keys_take_over.strip()
        if found is not None and is_other and not settings.keys_path.exists():
            raise _refused(found[0], _file_of(settings))

    async def make(self) -> None:
        """Note the file as the centre's, where none is noted, this one is, or that one is to be taken over from.

        Raises ``already_exists`` (``details.reason`` is ``other_store``) where another is.
        """
        mine = KeyStoreRecord(mark="", host=socket.gethostname()[:80], file=self._file, at=datetime.now(UTC))
        while True:
            found = await self._bucket.get(KEY)
            held, revision = found if found else (None, 0)
            taken = held is not None and not await self._store.is_marked(held.mark)
            if held is not None and taken and held.mark != self._take_over:
                raise _refused(held, self._file)
            mine = msgspec.structs.replace(mine, mark=mine.mark or await self._store.mark())
            try:
                await self._bucket.write(KEY, mine, revision=revision)
            except StaleRevisionError:
                continue  # another keyproxy has just started
            if held is not None and taken:
                log.warning("store.taken_over", host=held.host, file=held.file, mark=held.mark)
            return

    async def hold(self) -> None:
        """Until cancelled; raises as :meth:`make` does once another file has taken the place of this one."""
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def on_change(_key: str, held: KeyStoreRecord | None) -> None:
            try:
                if held is not None and not await self._store.is_marked(held.mark):
                    raise _refused(held, self._file)
            except RunbusError as error:
                if not lost.done():
                    lost.set_exception(error)

        async with Background(self._bucket.watch(on_change).run()):
            await lost


def _file_of(settings: KeyproxySettings) -> str:
    return str(settings.keys_path.absolute())[:500]


def _refused(held: KeyStoreRecord, file: str) -> RunbusError:
    return RunbusError(
        ErrorCode.ALREADY_EXISTS,
        f"the centre's keys are in {held.file} on {held.host} (served from {held.at:%Y-%m-%d %H:%M} on), and "
        f"{file} is another file, or a copy from before: the two would answer in turn. Start the keyproxy "
        "on that one's data directory. Only where it is lost for good, or given up, start this one with "
        f"{TAKE_OVER_NAME}={held.mark}; what was stored in the other only is to be stored again.",
        details={"reason": "other_store", "mark": held.mark, "host": held.host, "file": held.file},
    )
