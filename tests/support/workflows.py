"""Whole workflows on a runner without a bus: the life of an assignment, with real processes, over the fake log."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from bus.sealing import SealingKey, seal
from domain.context.masking import Masker
from runbus.plugin import FailureReason, StepContext, StepError, StepResult
from schemas.api import SecretValues
from schemas.codec import decode, encode
from schemas.events import Assignment, AssignmentFinished, CalledJob, Dispatch, Event, LogChunk, LogEntry, StepOutcome
from schemas.jobs import Flow, JobCall, JobRef, LogFilter, Step
from schemas.keys import SealedValue
from schemas.nodes import Node
from schemas.options import Option
from schemas.subjects import Subjects
from services.runner import assignment as life
from services.runner.inventory import PluginInventory
from services.runner.keyuse import ReadsKeys
from services.runner.process import GroupFile
from services.runner.scope import own_node
from services.runner.slots import Slots
from services.runner.workdir import WorkDirs
from services.runner.workplace import Workplace
from tests.support.eventlog import FakeEventLog
from tests.support.keydirs import own_keys

CAPTURE = LogFilter(type="key-value-data")
"""Captures ``RUNDECK:DATA:key=value``."""
SUBJECTS = Subjects()


class Log(FakeEventLog):
    """The fake log, and the dispatcher that holds the secure values of a run."""

    def __init__(self, secrets: SecretValues) -> None:
        super().__init__()
        self.secrets = secrets
        self.sealing = SealingKey.make()

    async def call(self, *_what: Any, **_fields: Any) -> SealedValue:
        return SealedValue(sealed=seal(self.sealing.public, encode(self.secrets)))


class Said(msgspec.Struct):
    """Configuration of the plugins here."""

    say: str = ""


class Echo:
    """A plugin that writes what it is given."""

    version: ClassVar[str] = "1"
    config_type: ClassVar[type[Said]] = Said

    async def run(self, config: Said, context: StepContext) -> StepResult:
        await context.write(config.say)
        return StepResult()


class Idle(Echo):
    """A plugin that does nothing."""

    async def run(self, config: Said, context: StepContext) -> StepResult:  # noqa: ARG002
        return StepResult()


class Waiting(Echo):
    """A plugin that waits until it is cancelled."""

    async def run(self, config: Said, context: StepContext) -> StepResult:  # noqa: ARG002
        await asyncio.Event().wait()
        return StepResult()


class Failing(Echo):
    """A plugin that fails with what it is given."""

    async def run(self, config: Said, context: StepContext) -> StepResult:  # noqa: ARG002
        raise StepError(config.say, reason=FailureReason.CONNECTION_FAILURE)


class Asking(Echo):
    """A plugin that asks for a secret as executors do, and says how long it is."""

    async def run(self, config: Said, context: StepContext) -> StepResult:
        secret: str = await context.secret(config.say)  # type: ignore[attr-defined]
        await context.write(f"{len(secret)} characters\n")
        return StepResult()


class Inventory(PluginInventory):
    """What is installed, and the plugins of tests."""

    def load(self) -> None:
        super().load()
        self._steps |= {"echo": Echo, "idle": Idle, "waiting": Waiting, "failing": Failing, "asking": Asking}


class Ran:
    """What came of a workflow."""

    def __init__(self, log: FakeEventLog) -> None:
        self.log = log
        events = [each for each in log.messages if each.subject.startswith("rb.p.exec.")]
        end: Event = decode(events[-1].data, Event)  # type: ignore[arg-type]
        assert isinstance(end, AssignmentFinished)
        self.end = end
        self.events = [each.data for each in events]
        chunks = [decode(each.data, LogChunk) for each in log.messages if each.subject.startswith("rb.p.log.")]
        self.entries: list[LogEntry] = [entry for chunk in chunks for entry in chunk.entries]

    @property
    def message(self) -> str:
        """Of the end's error."""
        return self.end.error.message if self.end.error else ""

    def output(self, stream: str = "stdout", *, node: str | None = None) -> str:
        return "".join(
            each.text for each in self.entries if each.stream == stream and (node is None or each.node == node)
        )

    @property
    def lines(self) -> list[str]:
        return self.output().splitlines()

    def outcome(self, place: str, node: str = "") -> StepOutcome:
        """That of a step by its place (``2``, ``2/1``, ``3e``)."""
        found = [each for each in self.end.steps if (each.context or str(each.step)) == place and each.node == node]
        assert len(found) == 1, [(each.context or each.step, each.node) for each in self.end.steps]
        return found[0]

    @property
    def places(self) -> list[str]:
        """Where what ended stands, in the order in which it did, with its node."""
        return [f"{each.context or each.step}{f'@{each.node}' if each.node else ''}" for each in self.end.steps]


class Rig:
    """A runner ``a1`` that carries assignments out."""

    def __init__(self, directory: Path, groups: GroupFile, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.slots = Slots(4)
        self._groups = groups
        self._env = {"PATH": os.environ["PATH"], **env}
        self._plugins = Inventory("a1")
        self._plugins.load()
        self.grace_s = 0.2
        self.keys: ReadsKeys = own_keys(None, "a1")

    async def run(self, *steps: Step, secrets: SecretValues | None = None, **fields: Any) -> Ran:
        """Carry a workflow out: ``fields`` are those of :class:`Assignment`."""
        held = secrets or SecretValues()
        assignment = an_assignment(*steps, secrets_at="d1" if secrets else "", **fields)
        log = Log(held)
        await self.carry_out(assignment, log)
        return Ran(log)

    async def carry_out(self, assignment: Assignment, log: Log) -> None:
        fake: Any = log
        at = Workplace(
            bus=fake, subjects=SUBJECTS, runner="a1", instance="i1", sealing=log.sealing,
            keys=self.keys, plugins=self._plugins, slots=self.slots,
            work_dirs=WorkDirs(str(self.directory)), groups=self._groups, env=self._env, env_secrets=[],
            masker=Masker([]), own_node=own_node("a1", ["web"]), grace_s=self.grace_s,
        )  # fmt: skip
        given: Any = Delivery(encode(assignment))
        await life.carry_out(given, at)

    def stop(self, state: Any, reason: str) -> None:
        """Abort what runs."""
        running = self.slots.find(("p", "e1", "1"))
        assert running is not None
        running.stopper.stop(state, reason)


class Delivery:
    """A delivered message."""

    subject = "rb.p.tag.linux.job.e1.1"
    deliveries = 1

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def ack(self) -> None:
        """Done with."""

    async def nak(self, *, delay_s: float = 0.0) -> None:
        raise AssertionError(f"handed back for {delay_s} s")

    async def terminate(self) -> None:
        """Refused."""


@asynccontextmanager
async def a_rig(directory: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[Rig]:
    """A runner whose work is in a directory."""
    groups = GroupFile.open(directory / "groups")
    try:
        yield Rig(directory, groups, env or {})
    finally:
        groups.close()


def an_assignment(*steps: Step, **fields: Any) -> Assignment:
    """Assignment 1 of execution ``e1`` in project ``p``."""
    names = {"execution": "e1", "assignment": "1", "project": "p", "attempt": 1, "title": "", "user": "ann"}
    return Assignment(**{**names, "steps": list(steps), **fields})


def run(command: str, **fields: Any) -> Step:
    """A command step (``exec``)."""
    return Step(plugin="exec", config={"command": command}, **fields)


def line(command: str, **fields: Any) -> Step:
    """A line for the shell as it is."""
    return Step(plugin="command", config={"command": command}, **fields)


def script(text: str, *, step: Mapping[str, Any] | None = None, **config: Any) -> Step:
    """An inline script as the original has it: its tokens are replaced."""
    return Step(plugin="script", config={"script": text, "expand_tokens": True, **config}, **(step or {}))


def say(text: str, **fields: Any) -> Step:
    """A plugin step that writes a text, references filled in."""
    return Step(plugin="echo", config={"say": f"{text}\n"}, **fields)


def call(args: str = "", *, node_step: bool = False, step: Mapping[str, Any] | None = None, **fields: Any) -> Step:
    """A reference to a job, which the assignment's ``calls`` have by the step's place."""
    return Step(plugin="jobref", node_step=node_step, call=JobCall(args=args, **fields), **(step or {}))


def job(*steps: Step, name: str = "inner", options: Sequence[Option] = (), **fields: Any) -> CalledJob:
    """A called job."""
    return CalledJob(ref=JobRef(uuid=name, name=name), steps=list(steps), options=list(options), **fields)


def local_nodes(*names: str, **attributes: str) -> list[Node]:
    """Nodes that are the machine of the tests."""
    own = {"node-executor": "local", "hostname": "127.0.0.1", "osFamily": "unix", **attributes}
    return [Node(name=name, attributes=own, tags=["web"]) for name in names]


def on(*names: str, **fields: Any) -> dict[str, Any]:
    """The fields of an assignment that is for these nodes."""
    flow = fields.pop("flow", Flow())
    return {"dispatch": Dispatch(nodes=local_nodes(*names), filter="tags: web", **fields), "flow": flow}
