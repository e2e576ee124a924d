"""The file of the centre's keys: nothing in the clear, its owner's only, and told where it is damaged or not ours."""

from __future__ import annotations

import asyncio
import base64
import os
import sqlite3
import stat
import urllib.parse
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from schemas.errors import ErrorCode, RunbusError
from schemas.keys import KeyEntry
from services.keyproxy.masterkey import MasterFault, MasterKey
from services.keyproxy.store import KeyStore
from services.keyproxy.storefile import MIGRATIONS

MASTER = MasterKey(bytes(range(32)), "here")
OTHER = MasterKey(bytes(range(1, 33)), "there")
SECRETS = (
    b"hunter2-\xc3\xa4-correct-horse",
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJrandom\n-----END PRIVATE KEY-----\n",
    b"q" * 5000,
)


def everything(directory: Path) -> bytes:
    return b"\n".join(each.read_bytes() for each in directory.rglob("*") if each.is_file())


def forms(value: bytes) -> list[bytes]:
    """Ways in which a value could stand somewhere: any part of it that is long enough to tell."""
    part = value[:24]
    text = part.decode("utf-8", "replace")
    return [
        part,
        part.hex().encode(),
        part.hex().upper().encode(),
        *(base64.b64encode(part[skip:])[1:-4] for skip in range(3)),
        *(base64.urlsafe_b64encode(part[skip:])[1:-4] for skip in range(3)),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        urllib.parse.quote(part).encode(),
        repr(part).encode(),
        text.encode("unicode_escape"),
    ]


def assert_clear_of_secrets(directory: Path) -> None:
    held = everything(directory)
    assert len(held) > 4096
    for value in SECRETS:
        for form in forms(value):
            assert form not in held
    assert MASTER.secret not in held
    assert base64.b64encode(MASTER.secret)[:40] not in held


async def test_no_value_is_in_any_file_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    async with KeyStore.open(path, MASTER) as store:
        for number, value in enumerate(SECRETS):
            await store.put(f"a/key-{number}", value, by="alice")
            await store.put(f"a/key-{number}", value + value, by="alice")
            await store.read(f"a/key-{number}")
        assert (tmp_path / "keys.sqlite-wal").stat().st_size > 0
        assert_clear_of_secrets(tmp_path)
        await store.remove("a/key-0")
        assert_clear_of_secrets(tmp_path)
    assert_clear_of_secrets(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["keys.sqlite"]


def test_the_search_would_find_a_value(tmp_path: Path) -> None:
    for value in SECRETS:
        for form in forms(value):
            (tmp_path / "file").write_bytes(b"." * 5000 + form + b".")
            with pytest.raises(AssertionError):
                assert_clear_of_secrets(tmp_path)


async def test_what_was_encrypted_goes_with_its_key(tmp_path: Path) -> None:
    async with KeyStore.open(tmp_path / "keys.sqlite", MASTER) as store:
        await store.put("small", b"x" * 40, by="")
        await store.put("large", b"y" * 100_000, by="")
        rows = await store._reader.execute_fetchall("SELECT ciphertext FROM secret")
        pieces = [bytes(row[0])[at : at + 32] for row in rows for at in (0, len(row[0]) // 2)]
        assert all(piece in everything(tmp_path) for piece in pieces)
        await store.remove("small")
        await store.remove("large")
        assert not any(piece in everything(tmp_path) for piece in pieces)


async def test_its_files_are_their_owners_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        async with KeyStore.open(tmp_path / "data" / "keys.sqlite", MASTER) as store:
            await store.put("a", b"x", by="")
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "data").iterdir()}
    finally:
        os.umask(old)
    assert modes == {"keys.sqlite": 0o600, "keys.sqlite-wal": 0o600, "keys.sqlite-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


async def refused(path: Path, master: MasterKey = MASTER) -> RunbusError:
    with pytest.raises(RunbusError) as caught:
        async with KeyStore.open(path, master):
            pass
    assert str(path) in caught.value.message
    return caught.value


async def stored(path: Path, count: int = 1) -> None:
    async with KeyStore.open(path, MASTER) as store:
        for number in range(count):
            await store.put(f"folder/key-{number}", b"x" * 3000, by="alice")


async def test_a_file_that_others_may_use_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await stored(path)
    path.chmod(0o640)
    error = await refused(path)
    assert error.code is ErrorCode.UNAVAILABLE
    assert f"mode 0640): 'chmod 600 {path}'" in error.message
    (tmp_path / "link").symlink_to(path)
    assert (await refused(tmp_path / "link")).code is ErrorCode.UNAVAILABLE
    (tmp_path / "directory").mkdir()
    assert (await refused(tmp_path / "directory")).code is ErrorCode.UNAVAILABLE
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert (await refused(tmp_path / "pipe")).code is ErrorCode.UNAVAILABLE


async def test_another_master_key_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    async with KeyStore.open(path, MASTER):
        pass  # not even a key is in it
    error = await refused(path, OTHER)
    assert error.code is ErrorCode.INVALID_MESSAGE
    assert error.details == {"reason": MasterFault.OTHER_KEY}
    assert "was written under another master key than that in there" in error.message
    async with KeyStore.open(path, MASTER) as store:
        assert await store.count() == 0


@pytest.mark.parametrize("start", [0, 100])
async def test_a_damaged_file_is_told_and_kept(tmp_path: Path, start: int) -> None:
    path = tmp_path / "keys.sqlite"
    await stored(path, 30)
    data = bytearray(path.read_bytes())
    data[start : start + 9000] = b"\x5a" * 9000
    path.write_bytes(data)
    error = await refused(path)
    assert error.code is ErrorCode.UNAVAILABLE
    assert "put a backup in its place" in error.message
    assert path.read_bytes() == data


async def test_damage_found_while_in_use_is_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await stored(path, 40)
    async with KeyStore.open(path, MASTER) as store:
        for connection in (store._reader, store._writer):
            await connection.execute("PRAGMA shrink_memory")
        data = path.read_bytes()
        path.write_bytes(data[:4096] + b"\x5a" * (len(data) - 4096))
        for ask in (store.read("folder/key-1"), store.children("folder"), store.put("a", b"x", by="")):
            with pytest.raises(RunbusError, match="is damaged") as caught:
                await ask
            assert caught.value.code is ErrorCode.UNAVAILABLE


async def test_a_later_version_and_another_database_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "keys.sqlite", tmp_path / "other.sqlite"
    await stored(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    assert "start a later Runbus" in (await refused(path)).message
    with closing(sqlite3.connect(other)) as file:
        file.execute("CREATE TABLE entry (a)")
    other.chmod(0o600)
    assert "a database of something else" in (await refused(other)).message


async def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    async with KeyStore.open(tmp_path / "keys.sqlite", MASTER) as store:
        await store.put("old/key", b"x", by="")
        await store._writer.execute("PRAGMA max_page_count = 20")
        with (
            structlog.testing.capture_logs() as logs,
            pytest.raises(RunbusError, match="see that its disk has room") as caught,
        ):
            await store.put("new/key", b"x" * 200_000, by="")
        (told,) = logs
        assert (told["event"], told["log_level"], told["sqlite"]) == ("store.failed", "error", "SQLITE_FULL")
        assert (told["file"], told["error"]) == (str(tmp_path / "keys.sqlite"), "database or disk is full")
        assert caught.value.code is ErrorCode.UNAVAILABLE
        assert [each.path for each in (await store.children(deep=True)).entries] == ["old", "old/key"]
        await store.put("new/key", b"x", by="")


async def test_a_file_of_nothing_is_told_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    with structlog.testing.capture_logs() as logs:
        await stored(path)
    assert logs == []  # it was not there: a first start
    path.write_bytes(b"")
    with structlog.testing.capture_logs() as logs:
        async with KeyStore.open(path, MASTER) as store:
            assert await store.count() == 0
    (told,) = logs
    assert (told["event"], told["log_level"], told["file"]) == ("store.empty", "warning", str(path))


async def test_a_file_that_another_process_holds_is_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    async with KeyStore.open(path, MASTER) as store:
        await store._writer.execute("PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(RunbusError, match="another process: try again") as caught:
                await store.put("a", b"x", by="")
            assert caught.value.code is ErrorCode.BUSY
            assert await store.count() == 0
        await store.put("a", b"x", by="")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE secret SET id = -id; UPDATE secret SET id = 5 + id",  # values exchanged
        "UPDATE entry SET path = 'f/a' WHERE id = 2",
        "UPDATE entry SET path = 'f/a' WHERE id = 3; UPDATE entry SET path = 'f/b' WHERE id = 2",
        "UPDATE entry SET type = 'publicKey' WHERE id = 2",
        "UPDATE entry SET type = 'nonsense' WHERE id = 2",
        "UPDATE entry SET modified_us = modified_us + 1 WHERE id = 2",
        "UPDATE entry SET created_us = 'yesterday' WHERE id = 2",
        "UPDATE entry SET created_by = 'mallory' WHERE id = 2",
        "UPDATE entry SET meta = 'no json' WHERE id = 2",
        "UPDATE secret SET nonce = x'00' WHERE id = 2",
        "UPDATE secret SET ciphertext = zeroblob(40) WHERE id = 2",
        "DELETE FROM secret WHERE id = 2",
    ],
)
async def test_rows_that_were_changed_or_exchanged_are_not_read(tmp_path: Path, change: str) -> None:
    path = tmp_path / "keys.sqlite"
    async with KeyStore.open(path, MASTER) as store:
        for name in ("f/one", "f/two"):
            await store.put(name, b"value", by="alice")
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        assert [row[0] for row in file.execute("SELECT id FROM secret ORDER BY id")] == [2, 3]
        file.executescript(change)
    async with KeyStore.open(path, MASTER) as store:
        listed = [each.path for each in (await store.children("f")).entries]
        assert len(listed) == 2
        with pytest.raises(RunbusError, match="damaged, or changed by something else") as caught:
            await store.read(listed[0])
        assert caught.value.code is ErrorCode.KEY_UNAVAILABLE
        assert caught.value.details["reason"] == "malformed"
        await store.put(listed[0], b"stored again", by="bob")
        assert await store.read(listed[0]) == b"stored again"
        await store.remove(listed[0])


async def test_a_row_that_makes_no_sense_hides_no_others(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await stored(path, 3)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE entry SET created_us = 'yesterday' WHERE path = 'folder/key-1'")
    async with KeyStore.open(path, MASTER) as store:
        entries = (await store.children("folder")).entries
    assert [each.path for each in entries] == ["folder/key-0", "folder/key-1", "folder/key-2"]
    assert entries[1] == KeyEntry(path="folder/key-1")


async def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"

    async def work(number: int) -> bytes:
        async with KeyStore.open(path, MASTER) as store:
            await store.put(f"key-{number}", b"%d" % number, by="")
            return await store.read(f"key-{number}")

    assert await asyncio.gather(*map(work, range(6))) == [b"%d" % number for number in range(6)]
    async with KeyStore.open(path, MASTER) as store:
        assert await store.count() == 6


async def test_a_mark_is_in_the_file_and_in_copies_made_afterwards(tmp_path: Path) -> None:
    path, before, after = (tmp_path / name for name in ("keys.sqlite", "before.sqlite", "after.sqlite"))
    async with KeyStore.open(path, MASTER):
        pass
    before.write_bytes(path.read_bytes())
    async with KeyStore.open(path, MASTER) as store:
        mark = await store.mark()
        assert await store.is_marked(mark)
        assert not await store.is_marked("another")
    after.write_bytes(path.read_bytes())
    for file, marked in ((before, False), (after, True)):
        file.chmod(0o600)
        async with KeyStore.open(file, MASTER) as store:
            assert await store.is_marked(mark) is marked
            for _ in range(120):
                last = await store.mark()
            assert await store.is_marked(last)
            rows = list(await store._reader.execute_fetchall("SELECT count(*) FROM served"))
            assert rows[0][0] <= 101


async def test_a_file_of_the_first_version_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    await stored(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("DROP TABLE served")
        file.execute("PRAGMA user_version = 1")
    async with KeyStore.open(path, MASTER) as store:
        assert await store.count() == 1
        assert await store.is_marked(await store.mark())
