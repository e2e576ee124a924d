"""One file of keys for one Runbus: another one is refused, unless the first is said to be lost."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import nats.errors
import pytest

from schemas import catalog
from schemas.errors import ErrorCode, RunbusError
from schemas.keys import KeyShowRequest
from tests.support.keydirs import put_key
from tests.support.parts import Part, TaskPart
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


async def answering(system: System, *, copies: int) -> None:
    async def found() -> bool:
        system.check()
        subscription = await system.bus.client.subscribe(inbox := system.bus.client.new_inbox())
        await system.bus.client.publish("$SRV.PING.runbus-keyproxy", b"", reply=inbox)
        try:
            for _ in range(copies):
                assert b"runbus-keyproxy" in (await subscription.next_msg(timeout=1)).data
        except nats.errors.TimeoutError:
            return False
        finally:
            await subscription.unsubscribe()
        return True

    await eventually(found, within_s=20, what=f"{copies} answer")


async def refusal(system: System, part: Part) -> RunbusError:
    """What a keyproxy ends with."""
    assert isinstance(part, TaskPart)
    system.forget(part)
    with pytest.raises(RunbusError) as caught:
        await part.ended()
    assert caught.value.code is ErrorCode.ALREADY_EXISTS
    assert caught.value.details["reason"] == "other_store"
    return caught.value


async def test_a_second_data_directory_is_refused_and_the_first_goes_on(system: System, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    system.start_keyproxy(data_dir=str(first))
    await answering(system, copies=1)
    await put_key(system.client, "keys/a", "one")
    error = await refusal(system, system.start_keyproxy(data_dir=str(second)))
    mark = error.details["mark"]
    assert not second.exists(), "nothing is made before it is known to be the centre's"
    assert error.details["file"] == str(first / "keys.sqlite")
    assert f"RUNBUS_KEYS_TAKE_OVER={mark}" in error.message
    assert str(second / "keys.sqlite") in error.message
    wrong = system.start_keyproxy(data_dir=str(second), keys_take_over="0" * 16)
    assert (await refusal(system, wrong)).details["mark"] == mark
    await system.client.call(catalog.KEY_SHOW, KeyShowRequest(path="a"))


async def test_copies_that_share_a_directory_and_one_that_was_moved_are_one_file(
    system: System, tmp_path: Path
) -> None:
    first, moved = tmp_path / "first", tmp_path / "moved"
    parts = [system.start_keyproxy(data_dir=str(first)) for _ in range(2)]
    await answering(system, copies=2)
    await put_key(system.client, "keys/a", "one")
    assert await system.stop(parts[0]) == 0
    parts[0] = system.start_keyproxy(data_dir=str(first))
    await answering(system, copies=2)
    for part in parts:
        assert await system.stop(part) == 0
    first.rename(moved)
    system.start_keyproxy(data_dir=str(moved))
    await answering(system, copies=1)
    await system.client.call(catalog.KEY_SHOW, KeyShowRequest(path="a"))


async def test_where_a_backup_was_put_to_use_the_machine_that_comes_back_is_refused(
    system: System, tmp_path: Path
) -> None:
    first, backup = tmp_path / "first", tmp_path / "backup"
    lost = system.start_keyproxy(data_dir=str(first))
    await answering(system, copies=1)
    assert await system.stop(lost) == 0
    shutil.copytree(first, backup)
    system.start_keyproxy(data_dir=str(backup))  # the backup is as new as the file was: nothing to be said
    await answering(system, copies=1)
    await put_key(system.client, "keys/a", "one")
    error = await refusal(system, system.start_keyproxy(data_dir=str(first)))
    assert error.details["file"] == str(backup / "keys.sqlite")


async def test_a_copy_of_a_file_that_is_served_ends_whoever_serves_it(system: System, tmp_path: Path) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    serving = system.start_keyproxy(data_dir=str(first))
    await answering(system, copies=1)
    shutil.copytree(first, copy)
    system.start_keyproxy(data_dir=str(copy))
    assert (await refusal(system, serving)).details["file"] == str(copy / "keys.sqlite")
    await answering(system, copies=1)
    await refusal(system, system.start_keyproxy(data_dir=str(first)))


async def test_taken_over_on_purpose_the_first_one_ends(system: System, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    lost = system.start_keyproxy(data_dir=str(first))
    await answering(system, copies=1)
    mark = (await refusal(system, system.start_keyproxy(data_dir=str(second)))).details["mark"]
    new = system.start_keyproxy(data_dir=str(second), keys_take_over=mark)
    assert (await refusal(system, lost)).details["file"] == str(second / "keys.sqlite")
    await answering(system, copies=1)
    await put_key(system.client, "keys/b", "two")
    assert await system.stop(new) == 0
    system.start_keyproxy(data_dir=str(second), keys_take_over=mark)  # the setting may stay
    await answering(system, copies=1)
    await refusal(system, system.start_keyproxy(data_dir=str(first), keys_take_over=mark))  # it was for one time


async def test_of_several_that_start_at_once_one_file_is_noted(system: System, tmp_path: Path) -> None:
    parts = [system.start_keyproxy(data_dir=str(tmp_path / f"d{number}")) for number in range(4)]
    for part in parts:
        assert isinstance(part, TaskPart)

    async def three_ended() -> bool:
        await asyncio.sleep(0)
        return sum(part.task.done() for part in parts if isinstance(part, TaskPart)) == 3

    await eventually(three_ended, within_s=20, what="three are refused")
    for part in parts:
        if isinstance(part, TaskPart) and part.task.done():
            await refusal(system, part)
    await answering(system, copies=1)
