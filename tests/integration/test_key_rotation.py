"""Another master key while the centre's keys are in use: nothing fails, nothing is lost, nothing is left behind.

Keyproxies are processes, requests come one after the other from several sides, and the command is the real one.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.keystore import fill
from bus.bucket import Bucket
from bus.sealing import SealingKey
from schemas import catalog
from schemas.errors import RunbusError
from schemas.keys import KeyListRequest, KeyOpenRequest, KeyShowRequest
from schemas.runners import RunnerRecord
from schemas.sources import ProjectSources, SourceDefinition
from services.keyproxy.masterkey import MasterFault, MasterKey, read_master_key
from services.keyproxy.store import KeyStore
from tests.integration.cli_system import Cli
from tests.support.keydirs import put_key
from tests.support.parts import ProgramPart
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

KEYS: Final = 6000
FILLED = b"correct horse battery staple"
FIRST, SECOND = (base64.b64encode(bytes(range(at, at + 32))).decode() for at in (0, 1))


class Site:
    """A data directory with thousands of keys, keyproxies on it, and those who use them."""

    def __init__(self, system: System, data_dir: Path) -> None:
        self.system = system
        self.data_dir = data_dir
        self.path = data_dir / "keys.sqlite"
        self.cli = Cli.of(system)
        self.keyproxies: list[ProgramPart] = []
        self.stored: dict[str, bytes] = {}
        self.requests = 0
        self._runner = SealingKey.make()

    async def start(self, name: str, env: Mapping[str, str] | None = None) -> ProgramPart:
        settings: dict[str, Any] = {
            "nats_url": self.system.url, "prefix": self.system.subjects.prefix, "data_dir": str(self.data_dir),
        }  # fmt: skip
        log_path = self.data_dir.parent / f"{name}.log"
        part = ProgramPart("keyproxy", settings, log_path=log_path, env={"RUNBUS_LOG_FORMAT": "json", **(env or {})})
        self.keyproxies.append(part)

        def ready() -> bool:
            part.check()
            return '"ready"' in part.program.log

        await eventually(ready, within_s=20, what=f"{name} is ready")
        return part

    async def know_a_runner(self) -> None:
        """As the registry and the nodesource would note them: a runner, and a source that names a key."""
        bus, subjects = self.system.bus, self.system.subjects
        runners = await Bucket.open(bus, subjects.runners_bucket, RunnerRecord)
        await runners.put("a1", RunnerRecord(id="a1", instance="i1", local=True, sealing_key=self._runner.public))
        sources = await Bucket.open(bus, subjects.sources_bucket, ProjectSources)
        config = {f"key{number}": f"keys/site/flat/key-{number:06}" for number in range(0, KEYS, 5)}
        source = SourceDefinition(name="cloud", type="docker", config=config)
        await sources.put("default", ProjectSources(project="default", sources=[source]))

    async def open_key(self, number: int) -> bytes:
        request = KeyOpenRequest(
            path=f"keys/site/flat/key-{number:06}", runner="a1", instance="i1", project="default", source="cloud"
        )
        return self._runner.open((await self.system.client.call(catalog.KEY_OPEN, request)).sealed)

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Keys are stored, shown, listed and opened without a pause; the first request that fails is raised here."""
        done = asyncio.Event()
        users = [self._put, self._put, self._show, self._open, self._open]
        tasks = [asyncio.create_task(user(done, number)) for number, user in enumerate(users)]
        try:
            yield
        finally:
            done.set()
            await asyncio.gather(*tasks)

    async def _put(self, done: asyncio.Event, who: int) -> None:
        count = 0
        while not done.is_set():
            path = f"new/{who}/{count % 40}"  # new ones, and again those that are there
            await put_key(self.system.client, f"keys/{path}", value := f"{who}-{count}")
            self.stored[path] = value.encode()
            count += 1
            self.requests += 1

    async def _show(self, done: asyncio.Event, _who: int) -> None:
        while not done.is_set():
            await self.system.client.call(catalog.KEY_SHOW, KeyShowRequest(path="site/flat/key-000005"))
            await self.system.client.call(catalog.KEY_LIST, KeyListRequest(path="site/flat", limit=50))
            self.requests += 2

    async def _open(self, done: asyncio.Event, who: int) -> None:
        number = who
        while not done.is_set():
            assert await self.open_key(number % (KEYS // 5) * 5) == FILLED
            number += 7
            self.requests += 1

    def under(self) -> dict[int, int]:
        """How many keys are under which master key, by its number."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as file:
            return dict(file.execute("SELECT master, count(*) FROM secret GROUP BY master"))

    async def check_all(self, new: MasterKey, old: MasterKey) -> None:
        """Every key is under the new master key, with its value, and the old one opens none of them."""
        assert len(self.under()) == 1
        async with KeyStore.open(self.path, new) as store:
            assert await store.count() == KEYS + len(self.stored)
            for path, value in self.stored.items():
                assert await store.read(path) == value
            for number in range(0, KEYS, 5):
                assert await store.read(f"site/flat/key-{number:06}") == FILLED
        with pytest.raises(RunbusError) as caught:
            async with KeyStore.open(self.path, old):
                pass
        assert caught.value.details == {"reason": MasterFault.OTHER_KEY}


@pytest.fixture
async def site(system: System, tmp_path: Path) -> AsyncIterator[Site]:
    opened = Site(system, tmp_path / "data")
    await opened.know_a_runner()
    yield opened
    for keyproxy in opened.keyproxies:
        assert await keyproxy.stop() == 0


async def filled(site: Site, master: MasterKey) -> None:
    async with KeyStore.open(site.path, master):
        await asyncio.to_thread(fill, site.path, master, KEYS)


async def in_file(site: Site) -> MasterKey:
    """With the keyproxy's own master key, in its data directory."""
    await site.start("keyproxy-1")
    master = read_master_key(site.data_dir / "master.key")
    await filled(site, master)
    return master


async def test_one_command_and_no_request_fails(site: Site) -> None:
    old = await in_file(site)
    async with site.used():
        await eventually(lambda: site.requests > 50, what="keys are in use")
        before = site.requests
        done = await site.cli("keys", "rotate", "--data-dir", str(site.data_dir), "--json")
        assert done.code == 0, done.err
        during = site.requests - before
        await eventually(lambda: site.requests > before + during + 100, what="they are in use afterwards")
    assert done.json["moved"] >= KEYS
    assert done.json["left_to_do"] == ""
    assert during > 20
    assert not (site.data_dir / "master.key.new").exists()
    await site.check_all(read_master_key(site.data_dir / "master.key"), old)


async def test_two_keyproxies_and_a_command_that_is_killed_twice(site: Site) -> None:
    old = await in_file(site)
    await site.start("keyproxy-2")
    async with site.used():
        for moved in (1, KEYS // 2):
            command = await site.cli.start("keys", "rotate", "--data-dir", str(site.data_dir))

            def is_between(least: int = moved) -> bool:
                counts = site.under()
                return len(counts) == 2 and counts[max(counts)] > least

            await eventually(is_between, what="some keys are under the new one")
            command.process.kill()
            await command.process.wait()
            assert len(site.under()) == 2
            reached = site.requests
            await eventually(lambda: site.requests > reached + 100, what="keys are in use between two")  # noqa: B023
    await site.keyproxies.pop(0).stop()
    await site.start("keyproxy-3")  # starts between two master keys, and finds both
    async with site.used():
        done = await site.cli("keys", "rotate", "--data-dir", str(site.data_dir))
        assert done.code == 0, done.err
        assert "keyproxies go on with it by themselves" in done.text
        reached = site.requests
        await eventually(lambda: site.requests > reached + 100, what="keys are in use afterwards")
    await site.check_all(read_master_key(site.data_dir / "master.key"), old)


async def test_by_the_environment_with_the_new_one_given_before(site: Site) -> None:
    old, new = (MasterKey(base64.b64decode(text)) for text in (FIRST, SECOND))
    both = {"RUNBUS_MASTER_KEY": FIRST, "RUNBUS_NEW_MASTER_KEY": SECOND}
    site.data_dir.mkdir()
    await filled(site, old)
    await site.start("keyproxy-1", both)
    await site.start("keyproxy-2", both)
    words = ("keys", "rotate", "--data-dir", str(site.data_dir))
    refused = await site.cli(*words, env={"RUNBUS_MASTER_KEY": FIRST})
    assert refused.code != 0
    assert "is to be in RUNBUS_NEW_MASTER_KEY" in refused.err
    async with site.used():
        done = await site.cli(*words, env=both)
        assert done.code == 0, done.err
        assert "Give the new master key as RUNBUS_MASTER_KEY from now on" in done.text
    await site.start("keyproxy-3", {"RUNBUS_MASTER_KEY": SECOND})
    await site.keyproxies.pop(0).stop()
    async with site.used():
        reached = site.requests
        await eventually(lambda: site.requests > reached + 100, what="keys are in use afterwards")
    await site.check_all(new, old)
    assert not (site.data_dir / "master.key").exists()


async def test_two_commands_at_a_time_and_a_directory_without_keys_are_refused(site: Site) -> None:
    import fcntl  # noqa: PLC0415

    words = ("keys", "rotate", "--data-dir", str(site.data_dir))
    assert "there is no" in (await site.cli(*words)).err
    old = await in_file(site)
    directory = os.open(site.data_dir, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    try:
        refused = await site.cli(*words, "--json")
    finally:
        os.close(directory)
    assert refused.code != 0
    assert refused.error.error.code == "busy"
    assert not (site.data_dir / "master.key.new").exists()
    assert read_master_key(site.data_dir / "master.key").secret == old.secret
