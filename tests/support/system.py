"""A whole Runbus under a prefix of its own: started, asked, and stopped without a trace."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from runbus.client import Client, LogPiece, open_client
from schemas import catalog
from schemas.api import (
    ExecutionListRequest,
    ExecutionView,
    PingRequest,
    Pong,
    RunnerListRequest,
    RunRequest,
)
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import RunnerSelector, SelectorMode, Step
from schemas.runners import RunnerView
from schemas.states import ExecutionState, RunnerStatus
from tests.support.parts import Part, ProgramPart, TaskPart
from tests.support.waiting import eventually

READY_WITHIN_S: Final = 20.0
WAIT_S: Final = 20.0


class System:
    """Registry, dispatchers and runners on one server, and a client to them.

    ``program=True`` starts a part as a process, so that it can be killed; settings are those of the service.
    """

    def __init__(self, url: str, client: Client, directory: Path) -> None:
        self.url = url
        self.client = client
        self.bus = client.bus
        self.subjects = client.subjects
        self.directory = directory
        self._parts: list[Part] = []
        self._dispatchers = 0

    async def up(self, *runners: str, **settings: Any) -> System:
        """Registry, one dispatcher, and runners given as ``id`` or ``id:tag,tag``; ``settings`` are the runners'."""
        self.start_registry()
        self.start_dispatcher()
        await self.ready()
        for each in runners:
            name, _, tags = each.partition(":")
            self.start_runner(name, tags, local=name == "local", **settings)
        await self.runners_ready(*(each.partition(":")[0] for each in runners))
        return self

    def start_registry(self, *, program: bool = False, **settings: Any) -> Part:
        return self._start("registry", "registry", program, settings)

    def start_nodesource(self, *, program: bool = False, **settings: Any) -> Part:
        return self._start("nodesource", "nodesource", program, settings)

    def start_keyproxy(self, *, program: bool = False, **settings: Any) -> Part:
        own = {"data_dir": str(self.directory / "keyproxy")}
        return self._start("keyproxy", "keyproxy", program, own | settings)

    def start_dispatcher(self, *, program: bool = False, **settings: Any) -> Part:
        """A dispatcher with a ledger of its own, unless ``data_dir`` says otherwise."""
        self._dispatchers += 1
        name = f"dispatcher-{self._dispatchers}"
        return self._start("dispatcher", name, program, {"data_dir": str(self.directory / name)} | settings)

    def start_runner(
        self,
        name: str,
        tags: str = "",
        *,
        local: bool = False,
        program: bool = False,
        env: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Part:
        own = {"runner_id": name, "runner_tags": tags, "runner_local": local, "grace_s": 1.0, "drain_s": 8.0}
        own["work_dir"] = str(self.directory)
        return self._start("runner", name, program, own | settings, env)

    def _start(
        self, kind: str, name: str, program: bool, settings: dict[str, Any], env: Mapping[str, str] | None = None
    ) -> Part:
        shared = {"nats_url": self.url, "prefix": self.subjects.prefix}
        part: Part
        if program:
            log_path = self.directory / f"{name}.log"
            part = ProgramPart(kind, shared | settings, log_path=log_path, env=env or {})
        else:
            part = TaskPart(kind, shared | settings)
        self._parts.append(part)
        return part

    async def ready(self) -> None:
        """Wait until registry and dispatcher answer."""

        async def answers() -> bool:
            self.check()
            try:
                await self.client.call(catalog.RUNNER_LIST, RunnerListRequest(), timeout_s=1.0)
                await self.client.call(catalog.EXECUTION_LIST, ExecutionListRequest(limit=1), timeout_s=1.0)
            except RunbusError as error:
                assert error.code is ErrorCode.UNAVAILABLE, error.message
                return False
            return True

        await eventually(answers, within_s=READY_WITHIN_S, what="registry and dispatcher answer")

    async def runners_ready(self, *names: str) -> None:
        """Wait until the runners are healthy and have bound."""
        for name in names:
            await self.runner_is(name, RunnerStatus.HEALTHY)
            await eventually(
                lambda name=name: self.answering(name),  # type: ignore[misc]
                within_s=READY_WITHIN_S, what=f"{name} answers",
            )  # fmt: skip

    async def runner_is(self, name: str, status: RunnerStatus, *, within_s: float = READY_WITHIN_S) -> RunnerView:
        """Wait until the registry says so."""

        async def found() -> RunnerView | None:
            self.check()
            view = (await self.runners()).get(name)
            return view if view is not None and view.status is status else None

        view = await eventually(found, within_s=within_s, what=f"runner {name} is {status}")
        assert view is not None
        return view

    async def runners(self) -> dict[str, RunnerView]:
        reply = await self.client.call(catalog.RUNNER_LIST, RunnerListRequest())
        return {view.id: view for view in reply.runners}

    async def ping(self, name: str) -> Pong:
        return await self.client.call(catalog.PING, PingRequest(), runner=name, timeout_s=2.0)

    async def answering(self, name: str) -> bool:
        try:
            await self.ping(name)
        except RunbusError:
            return False
        return True

    async def bound(self, name: str, *sets: str) -> None:
        """Wait until a runner is bound to exactly these sets, as ``<project>/<set>``."""

        async def matches() -> bool:
            assert (await self.ping(name)).bound_sets == sorted(sets)
            return True

        await eventually(matches, what=f"{name} is bound to {sets}")

    async def run(self, command: str | list[Step], tags: str = "", **fields: Any) -> ExecutionView:
        """Run a command (or steps) on the runners of a tag set, and wait for its end."""
        return await self.client.run(request(command, tags, **{"wait_s": WAIT_S, **fields}))

    async def start(self, command: str | list[Step], tags: str = "", **fields: Any) -> ExecutionView:
        """The same, without waiting."""
        return await self.client.run(request(command, tags, **fields))

    async def show(self, execution: str, project: str = "default") -> ExecutionView:
        return await self.client.result(project, execution)

    async def end_of(self, execution: str, project: str = "default", *, wait_s: float = WAIT_S) -> ExecutionView:
        return await self.client.result(project, execution, wait_s=wait_s)

    async def state_is(self, execution: str, state: ExecutionState, *, within_s: float = 10.0) -> ExecutionView:
        """Wait until an execution is in a state."""

        async def found() -> ExecutionView | None:
            view = await self.show(execution)
            return view if view.state is state else None

        view = await eventually(found, within_s=within_s, what=f"{execution} is {state}")
        assert view is not None
        return view

    async def log(self, execution: str, project: str = "default", *, after_seq: int = 0) -> list[LogPiece]:
        return [piece async for piece in self.client.log(project, execution, after_seq=after_seq)]

    async def output(self, execution: str, stream: str = "stdout") -> bytes:
        """Everything one stream of an execution printed."""
        return output_of(await self.log(execution), stream)

    async def events(self, execution: str, project: str = "default") -> list[tuple[str, str]]:
        """Author and type of every stored event of an execution, in order."""
        import msgspec  # noqa: PLC0415  (raw JSON: what is on the bus, not what our types make of it)

        subject = self.subjects.events_of_execution(project, execution)
        return [
            (name.rsplit(".", 1)[1], str(msgspec.json.decode(data)["type"]))
            for name, data in await self.stored(self.subjects.events_stream, subject)
        ]

    async def stored(self, stream: str, subject: str) -> list[tuple[str, bytes]]:
        """Subject and data of every message of a stream under a subject."""
        found: list[tuple[str, bytes]] = []
        sub = await self.bus.js.pull_subscribe(subject, stream=stream) if await self.count(stream, subject) else None
        if sub is not None:
            wanted = await self.count(stream, subject)
            while len(found) < wanted:
                found += [(msg.subject, msg.data) for msg in await sub.fetch(wanted - len(found), timeout=2)]
            await sub.unsubscribe()
        return found

    async def count(self, stream: str, subject: str = ">") -> int:
        """How many messages a stream holds under a subject."""
        info = await self.bus.js.stream_info(stream, subjects_filter=subject)
        return sum((info.state.subjects or {}).values())

    def check(self) -> None:
        """Raise if a part has ended by itself."""
        for part in self._parts:
            part.check()

    async def stop(self, part: Part) -> int:
        """Stop one part; returns its exit code."""
        self.forget(part)
        return await part.stop()

    async def kill(self, part: Part) -> None:
        """SIGKILL, for a part that is a process."""
        assert isinstance(part, ProgramPart)
        self.forget(part)
        await part.program.kill()

    def forget(self, part: Part) -> None:
        """Its end is expected from here on."""
        self._parts.remove(part)

    async def close(self) -> None:
        """Stop everything, runners first."""
        problems: list[BaseException] = []
        while self._parts:
            part = self._parts.pop()
            try:
                code = await part.stop()
                assert code == 0, f"exit code {code}"
            except Exception as problem:  # noqa: BLE001  (the others are to be stopped, too)
                problems.append(problem)
        if problems:
            raise ExceptionGroup("parts that did not stop well", [p for p in problems if isinstance(p, Exception)])


def request(command: str | list[Step], tags: str = "", **fields: Any) -> RunRequest:
    """A run of a command line, or of steps, on a tag set; no tags: the Local Runner."""
    steps = [Step(plugin="command", config={"command": command})] if isinstance(command, str) else command
    if tags:
        fields["runner"] = RunnerSelector(mode=SelectorMode.TAGS, filter=tags)
    return RunRequest(steps=steps, **fields)


def script(text: str, **config: Any) -> list[Step]:
    """One inline script step."""
    return [Step(plugin="script", config={"script": text, **config})]


def output_of(pieces: Iterable[LogPiece], stream: str = "stdout") -> bytes:
    """The bytes of one stream in log pieces."""
    return b"".join(
        base64.b64decode(entry.base64) if entry.base64 else entry.text.encode()
        for piece in pieces
        for entry in piece.entries
        if entry.stream == stream
    )


@asynccontextmanager
async def open_system(url: str, directory: Path, prefix: str = "") -> AsyncIterator[System]:
    """A system under a prefix of its own; afterwards its streams are gone, and no task is left."""
    before = asyncio.all_tasks()
    prefix = prefix or f"t{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(url, prefix=prefix, name="runbus-test"))
        system = System(url, client, directory)
        stack.push_async_callback(_drop_streams, system)
        stack.push_async_callback(system.close)
        yield system

    def left() -> set[str]:
        mine = {asyncio.current_task()}
        return {repr(task) for task in asyncio.all_tasks() - before - mine if not task.done()}

    await eventually(lambda: not left(), within_s=5.0, what=f"no task is left, but {left()}")


async def _drop_streams(system: System) -> None:
    if not system.bus.client.is_connected:
        return
    subjects = system.subjects
    names = {
        subjects.requests_stream, subjects.jobs_stream, subjects.events_stream, subjects.logs_stream,
        subjects.notify_stream,
        subjects.schedules_stream,
        *(f"KV_{name}" for name in (
            subjects.sets_bucket, subjects.runners_bucket, subjects.projects_bucket, subjects.jobs_bucket)),
    }  # fmt: skip
    present = {info.config.name for info in await system.bus.js.streams_info()}
    for name in names & present:
        await system.bus.js.delete_stream(str(name))


async def refused(code: ErrorCode, call: Callable[[], Any]) -> RunbusError:
    """The typed error that a call is refused with."""
    with pytest.raises(RunbusError) as caught:
        await call()
    assert caught.value.code is code, caught.value.message
    assert caught.value.error_id
    return caught.value
