"""A keyproxy that hangs, or is not there, when a runner needs a key: the text names the key, and why."""

from __future__ import annotations

from typing import Final

import pytest

from bus.sealing import SealingKey
from domain.keys.paths import KeyPath
from schemas import catalog
from schemas.errors import ErrorCode, RunbusError
from schemas.events import StoredKey
from services.runner import keyuse
from services.runner.keyuse import CentreKeys, Use
from services.runner.secrets import read_options
from tests.support.system import System

pytestmark = pytest.mark.slow

USE: Final = Use(project="default", execution="e1", assignment="1")


class Centre:
    """The centre's keys, as a runner's secure options ask for them."""

    def __init__(self, system: System) -> None:
        self._keys = CentreKeys(system.bus, system.subjects, SealingKey.make(), "r1", "i1")

    async def read(self, name: str, use: Use) -> str:
        return await self._keys.read(KeyPath.parse(name), use)


async def failure(system: System) -> RunbusError:
    stored = {"pw": StoredKey(path="keys/db/password", required=True)}
    with pytest.raises(RunbusError) as caught:
        await read_options(stored, Centre(system), USE)
    assert caught.value.code is ErrorCode.INVALID_OPTION
    assert "rb.api" not in caught.value.message
    assert catalog.KEY_OPEN.subject(system.subjects) not in caught.value.message
    return caught.value


async def test_one_that_hangs(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ignore(_heard: object) -> None:
        return

    await system.bus.subscribe(catalog.KEY_OPEN.subject(system.subjects), ignore)
    await system.bus.flush()
    monkeypatch.setattr(keyuse, "CENTRE_WITHIN_S", 0.2)
    error = await failure(system)
    assert error.message == (
        "option 'pw' takes its value from a key: key 'keys/db/password' cannot be read on runner r1: no keyproxy "
        "answers within 0.2 s. See its log and its disk, or restart it. Mend that, or give it a value."
    )
    assert error.details["reason"] == "timeout"


async def test_one_that_is_not_there(system: System) -> None:
    error = await failure(system)
    assert "key 'keys/db/password' cannot be read on runner r1: no keyproxy is there." in error.message
    assert error.details["reason"] == "unreachable"
