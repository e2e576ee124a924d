"""Plugins that tell what they know in every exception there is: none of it reaches the bus, a file or a log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from runbus.plugin import KeyFailure
from schemas import catalog
from schemas.api import ExecutionView, JobPutRequest, RunRequest
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.keys import KeyAccess, KeyListRequest, KeyShowRequest
from schemas.sources import SourceDefinition, SourcePutRequest, SourceRefreshRequest
from schemas.states import ExecutionState
from tests.support.leaks import found_in, secrets
from tests.support.leakyplugins import WAYS, leaky_path
from tests.support.overheard import files_below, overheard, stored
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DMZ: Final = RunnerSelector(mode=SelectorMode.TAGS, filter="dmz")
VALUES: Final = {f"s{number}": value for number, value in enumerate(secrets(100))}
TOKEN: Final = "hvs.CAESIJ-the provider's own token"
OUTCOMES: Final = {"ok", *KeyFailure}


class Leaky:
    """A Runbus whose runner has the leaky plugins; every part is a process, and logs all it can."""

    def __init__(self, system: System, directory: Path) -> None:
        self.system = system
        self.own = directory / "own"
        self.own.mkdir()
        self.mood = self.own / "mood"

    async def start(self) -> None:
        system = self.system
        for start in (system.start_registry, system.start_dispatcher, system.start_keyproxy, system.start_nodesource):
            start(program=True, log_level="debug")
        (self.own / "book.json").write_text(json.dumps(VALUES))
        self.mood.write_text("")
        await system.ready()
        system.start_runner("a1", "DMZ", program=True, env=self._env(), log_level="debug", key_check_s=0.02)
        await system.runners_ready("a1")
        await system.run("true", "dmz")  # binds it: once we listen to all, NATS says no more that nobody answers

    def _env(self) -> dict[str, str]:
        config = {"BOOK": str(self.own / "book.json"), "MOOD": str(self.mood), "TOKEN": TOKEN}
        given = {f"RUNBUS_KEY_STORAGE_CONFIG_{name}": value for name, value in config.items()}
        return {"PYTHONPATH": leaky_path(self.own / "plugin"), "RUNBUS_KEY_STORAGE_TYPE": "leaky", **given}

    async def run(self, name: str, body: str) -> ExecutionView:
        text = f"- {{name: {name}, uuid: {name}, runnerSelector: {{runnerFilterMode: TAGS, filter: dmz}}, {body}}}"
        await self.system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
        return await self.system.client.run(RunRequest(job=name, wait_s=60.0))

    async def end(self, heard: list[bytes]) -> bytes:
        """All that was told by anybody, up to the end of the runner and its storage."""
        found = await stored(self.system)
        await self.system.close()
        return b"\n".join([*heard, found, files_below(self.system.directory, but=[self.own])])


@pytest.fixture
async def leaky(system: System, tmp_path: Path) -> Leaky:
    made = Leaky(system, tmp_path)
    await made.start()
    return made


def option(name: str, path: str, *, required: bool = False) -> str:
    kind = f"secure: true, valueExposed: true, required: {str(required).lower()}"
    return f"{{name: {name}, {kind}, storagePath: {path}}}"


async def test_an_exception_of_a_key_storage_tells_nobody_a_value(leaky: Leaky) -> None:
    ways = dict(zip(VALUES, WAYS * 4, strict=False))
    plain = list(VALUES)[::7]
    async with overheard(leaky.system) as heard:
        read = [option(name, f"runner/plain/{name}") for name in plain]
        unread = [option(name, f"runner/{way}/{name}") for name, way in ways.items() if name not in plain]
        body = f"options: [{', '.join([*read, *unread])}], sequence: {{commands: [{{exec: env}}]}}"
        assert (await leaky.run("printing", body)).state is ExecutionState.SUCCEEDED
        failed = await leaky.run(
            "failing", f"options: [{option('a', 'runner/runtime/s1', required=True)}], "
            "sequence: {commands: [{exec: env}]}",
        )  # fmt: skip
        assert failed.error is not None
        assert failed.error.code is ErrorCode.INVALID_OPTION
        await browsed(leaky.system)
        await checked(leaky)
        audit = await leaky.system.stored(
            leaky.system.subjects.audit_stream, f"{leaky.system.subjects.prefix}.audit.>"
        )
        leaky.mood.write_text("own rude")
        told = await leaky.end(heard)
    accesses = [decode(data, KeyAccess) for _, data in audit]
    assert len(accesses) > len(VALUES)
    assert {each.outcome for each in accesses} <= OUTCOMES
    assert b"keys.not_closed" in told
    assert found_in(told, {**VALUES, "token": TOKEN}) == []


async def browsed(system: System) -> None:
    """A look at folders and keys, all of which fail but one."""
    for way in WAYS:
        for name in ("s1", "s7"):
            show = KeyShowRequest(path=f"{way}/{name}", runner=DMZ)
            with pytest.raises(RunbusError) as caught:
                await system.client.call(catalog.KEY_SHOW, show, timeout_s=10)
            assert caught.value.code is ErrorCode.KEY_UNAVAILABLE, (way, caught.value.message)
        with pytest.raises(RunbusError) as caught:
            await system.client.call(catalog.KEY_LIST, KeyListRequest(path=way, runner=DMZ), timeout_s=10)
        assert caught.value.code is ErrorCode.KEY_UNAVAILABLE, (way, caught.value.message)
    reply = await system.client.call(catalog.KEY_LIST, KeyListRequest(path="plain", runner=DMZ), timeout_s=10)
    assert len(reply.keys) == len(VALUES)
    await system.client.call(catalog.KEY_SHOW, KeyShowRequest(path="plain/s1", runner=DMZ), timeout_s=10)


async def checked(leaky: Leaky) -> None:
    """Every way in which the storage says that it is not well, until the last has reached the heartbeat."""
    for way in WAYS:
        leaky.mood.write_text(way)
        before = len(seen := set[str]())

        async def ill() -> bool:
            (info,) = (await leaky.system.runners())["a1"].key_storage
            seen.add(info.problem)
            return bool(info.problem)

        await eventually(ill, what=f"the heartbeat says {way}")
        assert len(seen) > before
        leaky.mood.write_text("")

        async def well() -> bool:
            (info,) = (await leaky.system.runners())["a1"].key_storage
            return not info.problem

        await eventually(well, what="the heartbeat says that all is well")


async def test_an_exception_of_a_step_tells_nobody_a_value(leaky: Leaky) -> None:
    ways = dict(zip(VALUES, ("plain", *WAYS), strict=False))
    steps = ", ".join(
        f"{{type: leaky, nodeStep: false, configuration: {{way: {way}, key: runner/plain/{name}}}}}"
        for name, way in ways.items()
    )
    async with overheard(leaky.system) as heard:
        view = await leaky.run("failing", f"sequence: {{keepgoing: true, commands: [{steps}]}}")
        assert view.state is ExecutionState.FAILED
        assert len(view.steps) == len(ways), "and each of them was carried out"
        assert (await leaky.run("after", "sequence: {commands: [{exec: env}]}")).state is ExecutionState.SUCCEEDED
        told = await leaky.end(heard)
    assert found_in(told, {**VALUES, "token": TOKEN}) == []


async def test_an_exception_of_a_node_source_tells_nobody_a_value(leaky: Leaky) -> None:
    ways = dict(zip(VALUES, ("plain", *WAYS), strict=False))
    client = leaky.system.client
    async with overheard(leaky.system) as heard:
        for name, way in ways.items():
            source = SourceDefinition(
                name=name, type="leaky", interval_s=0.0, runner=DMZ,
                config={"way": way, "password": f"runner/plain/{name}"},
            )  # fmt: skip
            await client.call(catalog.SOURCE_PUT, SourcePutRequest(source=source), timeout_s=30)
            reply = await client.call(catalog.SOURCE_REFRESH, SourceRefreshRequest(name=name), timeout_s=30)
            assert reply.state.error is not None, way
            assert reply.state.error.code is ErrorCode.DISCOVERY_FAILED, (way, reply.state.error.message)
        told = await leaky.end(heard)
    assert found_in(told, {**VALUES, "token": TOKEN}) == []
