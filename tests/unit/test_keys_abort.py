"""A job that waits for a key of a provider that hangs: an abort, or its limit, ends it at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runbus.plugin import FailureReason
from schemas.api import SecretValues
from schemas.errors import ErrorCode
from schemas.events import Assignment, StoredKey
from schemas.jobs import Step
from schemas.options import Option
from schemas.states import ExecutionState
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.settings import StorageSettings
from services.runner.keystorage.vault import VaultKeyStorage
from services.runner.keyuse import OwnKeys
from tests.support.badprovider import BadProvider, bad_provider
from tests.support.waiting import eventually
from tests.support.workflows import Log, Ran, Rig, a_rig, an_assignment, call, job, run

AT_ONCE_S = 1.0
KEY = "runner/db/pw"


class Hanging:
    """A runner whose Vault takes a connection and says nothing more."""

    def __init__(self, provider: BadProvider, rig: Rig) -> None:
        config = provider.settings("vault", readTimeout="20", maxRetries="5")
        storages = [StorageSettings(type="vault", config=config)]
        self.storage = RunnerKeys(storages, {"vault": VaultKeyStorage})
        self.provider, self.rig = provider, rig
        rig.keys = OwnKeys(self.storage, "a1")

    async def aborted(self, assignment: Assignment) -> Ran:
        log = Log(SecretValues())
        task = asyncio.create_task(self.rig.carry_out(assignment, log))
        await eventually(lambda: self.provider.calls, what="Vault is asked")
        running = self.rig.slots.find((assignment.project, assignment.execution, assignment.assignment))
        assert running is not None
        running.stopper.stop(ExecutionState.ABORTED, "aborted by ada.")
        await asyncio.wait_for(task, AT_ONCE_S)
        return Ran(log)


@pytest.fixture
async def hanging(tmp_path: Path) -> AsyncIterator[Hanging]:
    async with bad_provider() as provider, a_rig(tmp_path) as rig:
        provider.way = "silent"
        made = Hanging(provider, rig)
        yield made
        await made.storage.close()


def own(**fields: Any) -> Assignment:
    return an_assignment(run("true"), stored={"pw": StoredKey(path=KEY, required=True)}, **fields)


def of_a_called_job(**fields: Any) -> Assignment:
    options = [Option(name="pw", secure=True, storage_path=KEY, required=True)]
    return an_assignment(call(), calls={"1": job(run("true"), options=options)}, **fields)


async def test_an_abort_does_not_wait_for_the_key_of_an_option(hanging: Hanging) -> None:
    ran = await hanging.aborted(own())
    assert ran.end.state is ExecutionState.ABORTED
    assert ran.end.error is not None
    assert (ran.end.error.code, ran.message) == (ErrorCode.ABORTED, "aborted by ada.")
    assert ran.end.steps == []


async def test_nor_for_that_of_a_job_that_is_called(hanging: Hanging) -> None:
    ran = await hanging.aborted(of_a_called_job())
    assert ran.end.state is ExecutionState.ABORTED
    assert ran.message == "aborted by ada."
    assert ran.outcome("1").reason == FailureReason.INTERRUPTED


async def test_nor_for_one_that_a_step_asks_for(hanging: Hanging) -> None:
    ran = await hanging.aborted(an_assignment(Step(plugin="asking", config={"say": KEY})))
    assert (ran.end.state, ran.message) == (ExecutionState.ABORTED, "aborted by ada.")
    assert ran.outcome("1").reason == FailureReason.INTERRUPTED


@pytest.mark.parametrize("made", [own, of_a_called_job])
async def test_the_limit_of_the_job_counts_meanwhile(hanging: Hanging, made: Any) -> None:
    log, began_s = Log(SecretValues()), time.monotonic()
    await hanging.rig.carry_out(made(timeout_s=0.3), log)
    assert time.monotonic() - began_s < 0.3 + AT_ONCE_S
    ran = Ran(log)
    assert ran.end.state is ExecutionState.TIMEDOUT
    assert ran.message == "timed out: it ran longer than its limit of 0.3 s."
