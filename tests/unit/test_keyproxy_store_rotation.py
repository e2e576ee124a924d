"""From one master key to another: all or what was reached, whatever ends it; and nothing left of the old one."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import ErrorCode, RunbusError
from services.keyproxy import storekeys
from services.keyproxy.masterkey import MasterFault, MasterKey
from services.keyproxy.store import KeyStore, rotate

pytestmark = pytest.mark.slow

OLD = MasterKey(bytes(range(32)), "the old file")
NEW = MasterKey(bytes(range(1, 33)), "the new file")
THIRD = MasterKey(bytes(range(2, 34)), "the third file")
KEYS = 45

# In a process of its own, as it kills itself: at its so-manyth encryption, in the middle of a transaction, or once
# so many keys are reported, between two.
KILLED = """
import asyncio, os, signal, sys
from services.keyproxy.crypto import DataKey
from services.keyproxy.masterkey import MasterKey
from services.keyproxy.store import rotate

path, where, after = sys.argv[1], sys.argv[2], int(sys.argv[3])
encrypt, calls = DataKey.encrypt, 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def counted(self, value, bound):
    global calls
    calls += 1
    if where == "within" and calls > after:
        die()
    return encrypt(self, value, bound)

def progress(done, total):
    if where == "between" and done >= after:
        die()

DataKey.encrypt = counted
old, new = (MasterKey(bytes(range(n, n + 32)), "") for n in (0, 1))
asyncio.run(rotate(path, old, new, progress, batch=10))
"""


async def filled(path: Path, count: int = KEYS) -> None:
    async with KeyStore.open(path, OLD) as store:
        await store._writer.execute("PRAGMA synchronous = OFF")
        for number in range(count):
            await store.put(f"folder/key-{number:02}", value_of(number), by="alice")


def value_of(number: int) -> bytes:
    return b"%d" % number * 50


async def assert_all_there(path: Path, *masters: MasterKey) -> None:
    async with KeyStore.open(path, *masters) as store:
        assert await store.count() == KEYS
        for number in range(KEYS):
            assert await store.read(f"folder/key-{number:02}") == value_of(number)


async def ciphertexts(store: KeyStore) -> list[bytes]:
    return [bytes(row[0]) for row in await store._reader.execute_fetchall("SELECT ciphertext FROM secret")]


async def assert_refused(path: Path, *keys: MasterKey) -> str:
    with pytest.raises(RunbusError) as caught:
        async with KeyStore.open(path, *keys):
            pass
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert caught.value.details == {"reason": MasterFault.OTHER_KEY}
    return caught.value.message


async def test_all_keys_come_under_the_new_master_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await filled(path)
    async with KeyStore.open(path, OLD) as store:
        before, entries = await ciphertexts(store), (await store.children("folder")).entries
    told: list[tuple[int, int]] = []
    assert await rotate(path, OLD, NEW, lambda done, total: told.append((done, total)), batch=10) == KEYS
    assert told == [(10, 45), (20, 45), (30, 45), (40, 45), (45, 45)]
    await assert_all_there(path, NEW)
    async with KeyStore.open(path, NEW) as store:
        assert (await store.children("folder")).entries == entries
        assert not set(before) & set(await ciphertexts(store))
    assert "another master key than that in the old file" in await assert_refused(path, OLD)
    assert await rotate(path, OLD, NEW) == 0
    assert await rotate(path, NEW, NEW) == 0


async def test_nothing_that_the_old_master_key_opens_is_left(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await filled(path, 10)
    async with KeyStore.open(path, OLD) as store:
        await store.put("large", b"x" * 50_000, by="")
        pieces = [each[at : at + 32] for each in await ciphertexts(store) for at in (0, len(each) // 2)]
    async with KeyStore.open(path, NEW, OLD) as store:
        assert await store.rotate(NEW) == 11
        held = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert not any(piece in held for piece in pieces)


@pytest.mark.parametrize(("where", "after", "moved"), [("between", 20, 20), ("within", 25, 20)])
async def test_killed_at_any_place_it_goes_on_where_it_was(
    tmp_path: Path, where: str, after: int, moved: int
) -> None:
    path = tmp_path / "keys.sqlite"
    await filled(path)
    script = [sys.executable, "-c", KILLED, str(path), where, str(after)]
    ended = await asyncio.to_thread(subprocess.run, script, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr

    await assert_all_there(path, NEW, OLD)
    for one in (OLD, NEW):
        message = await assert_refused(path, one)
        assert f"besides that in {one.origin} the other of the two is needed" in message
        await assert_refused(path, one, THIRD)
    assert "was written under another" in await assert_refused(path, THIRD)
    told: list[tuple[int, int]] = []
    assert await rotate(path, OLD, NEW, lambda done, total: told.append((done, total))) == KEYS - moved
    assert told == [(KEYS - moved, KEYS - moved)]
    await assert_all_there(path, NEW)


async def test_a_rotation_that_was_begun_can_be_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await filled(path)
    async with KeyStore.open(path, NEW, OLD) as store:
        await store._ring.begin(store._writer, NEW)
        await storekeys.reencrypt(store._writer, store._ring, NEW, 10)
    assert await rotate(path, NEW, OLD) == 10
    await assert_all_there(path, OLD)


async def test_keys_are_read_and_stored_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await filled(path)
    async with KeyStore.open(path, NEW, OLD) as serving:
        busy = True

        async def use() -> None:
            number = 0
            while busy:
                assert await serving.read(f"folder/key-{number % KEYS:02}") == value_of(number % KEYS)
                await serving.put(f"new/{number}", b"new", by="")
                number += 1

        using = asyncio.create_task(use())
        assert await rotate(path, OLD, NEW, batch=3) >= KEYS
        busy = False
        await using
        assert (await serving.children("new")).entries
    async with KeyStore.open(path, NEW) as store:
        for entry in (await store.children("new")).entries:
            assert await store.read(entry.path) == b"new"


async def test_one_who_has_the_old_master_key_only_writes_nothing_under_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await filled(path)
    async with KeyStore.open(path, OLD) as serving:
        await rotate(path, OLD, NEW)
        for work in (serving.put("another", b"x", by=""), serving.read("folder/key-01"), serving.masters()):
            with pytest.raises(RunbusError, match="under another master key by now") as caught:
                await work
            assert caught.value.code is ErrorCode.KEY_UNAVAILABLE
        assert len((await serving.children("folder")).entries) == KEYS
    await assert_all_there(path, NEW)


async def test_a_rotation_ends_where_another_has_begun(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await filled(path)
    async with KeyStore.open(path, OLD) as late, KeyStore.open(path, OLD, NEW) as other:
        await late._ring.begin(late._writer, THIRD)
        await other._ring.begin(other._writer, NEW)
        with pytest.raises(RunbusError, match="this rotation is over"):
            await storekeys.reencrypt(late._writer, late._ring, THIRD, 10)


async def test_batches_are_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.sqlite"
    async with KeyStore.open(path, OLD) as store:
        for name, size_bytes in (("a", 3000), ("b", 3000), ("c", 900), ("d", 9000), ("e", 1)):
            await store.put(name, b"x" * size_bytes, by="")
    monkeypatch.setattr(storekeys, "MAX_BATCH_BYTES", 5000)
    told: list[int] = []
    await rotate(path, OLD, NEW, lambda done, _: told.append(done))
    assert told == [1, 3, 4, 5]


async def test_a_key_that_cannot_be_decrypted_stops_it_and_once_removed_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await filled(path)
    async with KeyStore.open(path, NEW, OLD) as store:
        await store._writer.execute("UPDATE entry SET created_by = 'mallory' WHERE path = 'folder/key-30'")
        with pytest.raises(RunbusError, match="keys/folder/key-30 was damaged, or changed") as caught:
            await store.rotate(NEW, batch=10)
        assert caught.value.code is ErrorCode.KEY_UNAVAILABLE
        assert await store.read("folder/key-29") == value_of(29)
        await store.remove("folder/key-30")
        assert await store.rotate(NEW) == KEYS - 31
    async with KeyStore.open(path, NEW) as store:
        assert await store.count() == KEYS - 1


async def test_no_batch_looks_at_keys_that_are_done(tmp_path: Path) -> None:
    async with KeyStore.open(tmp_path / "keys.sqlite", OLD) as store:
        for sql, values in ((storekeys._NEXT, (1, 10)), (storekeys._LEFT, ()), (storekeys._OLD, ())):
            plan = [row[3] for row in await store._reader.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert all(step.startswith(("SEARCH", "SCAN master", "CORRELATED")) for step in plan), plan
            assert any("by_master (master=?)" in step for step in plan)
