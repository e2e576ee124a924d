"""The centre's keys: a tree of paths, listed page by page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.keys.metadata import key_type_of, metadata_of
from runbus.plugin import KeyFailure
from schemas.errors import ErrorCode, RunbusError
from schemas.keys import KeyEntry, KeyType
from services.keyproxy import storelook
from services.keyproxy.masterkey import MasterKey
from services.keyproxy.store import MAX_VALUE_BYTES, KeyStore

MASTER = MasterKey(bytes(range(32)), "here")
PASSWORD = metadata_of(KeyType.PASSWORD)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[KeyStore]:
    async with KeyStore.open(tmp_path / "keys.sqlite", MASTER) as opened:
        yield opened


async def names(store: KeyStore, path: str = "", *, deep: bool = False) -> list[str]:
    """Folders with a slash at their end, for the eye."""
    page = await store.children(path, deep=deep)
    assert not page.more
    return [each.path + "/" * each.folder for each in page.entries]


async def test_a_key_is_stored_read_changed_and_removed(store: KeyStore) -> None:
    before = datetime.now(UTC)
    entry, created = await store.put("db/password", b"hunter2", by="alice")
    assert created
    assert entry == await store.show("db/password")
    assert (entry.path, entry.type, entry.size_bytes) == ("db/password", KeyType.PASSWORD, 7)
    assert entry.created_at == entry.modified_at
    assert entry.created_at is not None
    assert before.replace(microsecond=0) <= entry.created_at <= datetime.now(UTC)
    assert entry.meta == {
        **PASSWORD,
        "Rundeck-auth-created-username": "alice",
        "Rundeck-auth-modified-username": "alice",
    }
    changed, created = await store.put("db/password", b"correct horse", by="bob", key_type=KeyType.PUBLIC_KEY)
    assert not created
    assert changed.created_at == entry.created_at
    assert changed.modified_at is not None
    assert changed.modified_at > entry.created_at
    assert (changed.type, changed.size_bytes) == (KeyType.PUBLIC_KEY, 13)
    assert changed.meta == {
        **metadata_of(KeyType.PUBLIC_KEY),
        "Rundeck-auth-created-username": "alice",
        "Rundeck-auth-modified-username": "bob",
    }
    assert await store.read("db/password") == b"correct horse"
    assert await store.count() == 1
    await store.remove("db/password")
    assert await store.count() == 0
    assert await names(store) == []


@pytest.mark.parametrize("value", [b"", b"\0\xff", b"x" * MAX_VALUE_BYTES, "pä\N{KEY}\r\n".encode()])
async def test_a_value_is_any_bytes_up_to_a_mebibyte(store: KeyStore, value: bytes) -> None:
    entry, _ = await store.put("key", value, by="")
    assert entry.size_bytes == len(value)
    assert await store.read("key") == value


async def test_more_is_refused_and_what_was_there_stays(store: KeyStore) -> None:
    await store.put("key", b"old", by="alice")
    with pytest.raises(RunbusError, match="1,048,577 bytes, and a key holds 1,048,576") as caught:
        await store.put("key", b"x" * (MAX_VALUE_BYTES + 1), by="alice")
    assert caught.value.code is ErrorCode.TOO_LARGE
    assert await store.read("key") == b"old"


async def test_words_of_its_own_are_kept_with_a_key(store: KeyStore) -> None:
    entry, _ = await store.put("key", b"x", by="", meta={"owner": "team \N{KEY}", "a": "b"})
    assert entry.meta == {**PASSWORD, "owner": "team \N{KEY}", "a": "b"}
    assert await store.show("key") == entry
    assert await store.read("key") == b"x"


async def test_a_new_key_does_not_take_the_place_of_another(store: KeyStore) -> None:
    await store.put("key", b"old", by="alice", fresh=True)
    with pytest.raises(RunbusError, match="keys/key exists") as caught:
        await store.put("key", b"new", by="alice", fresh=True)
    assert caught.value.code is ErrorCode.ALREADY_EXISTS
    assert await store.read("key") == b"old"


@pytest.mark.parametrize("path", ["a", "a/b", "a/b/c/d", "a/b/c/d/e"])
async def test_what_is_a_folder_is_no_key_and_the_other_way_round(store: KeyStore, path: str) -> None:
    await store.put("a/b/c", b"x", by="alice")
    with pytest.raises(
        RunbusError, match=rf"^keys/{path} (is a folder|cannot be stored, as keys/a/b/c is a key)"
    ) as caught:
        await store.put(path, b"y", by="alice")
    assert caught.value.code is ErrorCode.ALREADY_EXISTS
    assert await names(store, deep=True) == ["a/", "a/b/", "a/b/c"]


async def test_what_is_not_there_is_told_from_what_is_no_key(store: KeyStore) -> None:
    await store.put("a/b", b"x", by="alice")
    for ask, path, why in (
        (store.read, "a/c", KeyFailure.NOT_FOUND),
        (store.show, "a/c", KeyFailure.NOT_FOUND),
        (store.remove, "a/c", KeyFailure.NOT_FOUND),
        (store.children, "a/c", KeyFailure.NOT_FOUND),
        (store.read, "", KeyFailure.NOT_FOUND),
        (store.read, "a", KeyFailure.NO_KEY),
        (store.remove, "a", KeyFailure.NO_KEY),
        (store.children, "a/b", KeyFailure.NOT_FOUND),
    ):
        with pytest.raises(RunbusError, match=f"^keys/{path} is ") as caught:
            await ask(path)
        assert caught.value.code is ErrorCode.KEY_UNAVAILABLE
        assert caught.value.details == {"key": f"keys/{path}", "reason": why}
    assert await store.show("a") == KeyEntry(path="a", folder=True)
    assert await store.show("") == KeyEntry(path="", folder=True)


async def test_a_folder_is_there_as_long_as_something_is_in_it(store: KeyStore) -> None:
    for path in ("a/b/c/one", "a/b/two", "a/three"):
        await store.put(path, b"x", by="alice")
    await store.remove("a/b/c/one")
    assert await names(store, deep=True) == ["a/", "a/b/", "a/b/two", "a/three"]
    await store.remove("a/three")
    await store.remove("a/b/two")
    assert await names(store, deep=True) == []
    await store.put("a", b"now a key", by="alice")
    assert await names(store) == ["a"]


async def test_listings_are_sorted_by_path_and_keep_to_their_folder(store: KeyStore) -> None:
    for path in ("a/x", "a-b", "a.c", "a0", "b", "ä", "a/y/z", "A", "\N{KEY}/x", "a/y0"):
        await store.put(path, b"x", by="alice")
    assert await names(store) == ["A", "a/", "a-b", "a.c", "a0", "b", "ä", "\N{KEY}/"]
    assert await names(store, "a") == ["a/x", "a/y/", "a/y0"]
    assert await names(store, "a", deep=True) == ["a/x", "a/y/", "a/y/z", "a/y0"]
    assert await names(store, "a/y", deep=True) == ["a/y/z"]


PATHS = st.lists(st.sampled_from(["a", "b", "aa", "a-", "a0", "ö", "\N{KEY}"]), min_size=1, max_size=4).map("/".join)


@given(paths=st.lists(PATHS, max_size=25), removed=st.sets(PATHS, max_size=5), limit=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_any_tree_is_listed_as_a_plain_one_would_be(paths: list[str], removed: set[str], limit: int) -> None:
    async def check() -> None:
        with TemporaryDirectory() as directory:
            async with KeyStore.open(Path(directory) / "keys.sqlite", MASTER) as store:
                await store._writer.execute("PRAGMA synchronous = OFF")
                held: set[str] = set()
                for path in paths:
                    free = not any(each.startswith(f"{path}/") or path.startswith(f"{each}/") for each in held)
                    try:
                        await store.put(path, path.encode(), by="")
                    except RunbusError:
                        assert not free
                    else:
                        assert free
                        held.add(path)
                for path in held & removed:
                    await store.remove(path)
                held -= removed
                await compare(store, held, limit)

    asyncio.run(check())


async def compare(store: KeyStore, held: set[str], limit: int) -> None:
    folders = {"/".join(each.split("/")[:count]) for each in held for count in range(1, each.count("/") + 1)}
    for folder in {"", *folders}:
        below = sorted(each for each in held | folders if not folder or each.startswith(f"{folder}/"))
        inside = [each for each in below if "/" not in each[len(folder) + bool(folder) :]]
        for deep, expected in ((True, below), (False, inside)):
            found, after, more = [], "", True
            while more:
                page, more = await store.children(folder, deep=deep, limit=limit, after=after)
                found += [each.path for each in page]
                after = found[-1] if found else ""
            assert found == expected
    assert {path: await store.read(path) for path in held} == {path: path.encode() for path in held}


async def test_a_page_says_whether_there_is_more(store: KeyStore) -> None:
    for number in range(5):
        await store.put(f"k{number}", b"x", by="")
    first, more = await store.children(limit=3)
    assert ([each.path for each in first], more) == (["k0", "k1", "k2"], True)
    rest, more = await store.children(limit=3, after="k2")
    assert ([each.path for each in rest], more) == (["k3", "k4"], False)
    assert (await store.children(limit=5)).more is False
    assert len((await store.children(limit=0)).entries) == 1
    assert (await store.children(after="k9")).entries == []


async def test_no_listing_reads_what_it_does_not_show(store: KeyStore) -> None:
    for sql, values in (
        (storelook._IN_FOLDER, ("a", "", 10)),
        (storelook._BELOW, ("", "x", 10)),
        (storelook._FIND, ("x",)),
        (storelook._READ, ("x",)),
    ):
        plan = [row[3] for row in await store._reader.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", values)]
        assert all(step.startswith(("SEARCH", "SCALAR SUBQUERY")) for step in plan), plan


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"hunter2", KeyType.PASSWORD),
        (b"hunter2\n", KeyType.PASSWORD),
        (b"", KeyType.PASSWORD),
        (b"\xff\xfe", KeyType.PASSWORD),
        (b"ssh-hunter2", KeyType.PASSWORD),
        (b"two\nlines", KeyType.PRIVATE_KEY),
        (b"-----BEGIN RSA PRIVATE KEY-----", KeyType.PRIVATE_KEY),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3B\n-----END OPENSSH PRIVATE KEY-----\n", KeyType.PRIVATE_KEY),
        (b"-----BEGIN PUBLIC KEY-----\nMCo\n-----END PUBLIC KEY-----\n", KeyType.PUBLIC_KEY),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nmDM\n", KeyType.PUBLIC_KEY),
        (b"ssh-ed25519 AAAAC3 alice@host\n", KeyType.PUBLIC_KEY),
        (b"ecdsa-sha2-nistp256 AAAAE2 a", KeyType.PUBLIC_KEY),
        (b"sk-ssh-ed25519@openssh.com AAAAGn a", KeyType.PUBLIC_KEY),
    ],
)
def test_a_type_is_guessed_from_the_value(value: bytes, expected: KeyType) -> None:
    assert key_type_of(value.decode("utf-8", "replace")) is expected


async def test_many_at_a_time_leave_one_value_and_one_creator(store: KeyStore) -> None:
    stored = await asyncio.gather(*(store.put("a/b/key", b"%d" % n, by=f"user-{n}") for n in range(20)))
    assert [each.created for each in stored].count(True) == 1
    last = await store.show("a/b/key")
    assert (await store.read("a/b/key")).decode() == last.meta["Rundeck-auth-modified-username"].removeprefix("user-")
    assert last.meta["Rundeck-auth-created-username"] == "user-0"


async def test_a_writer_that_is_cancelled_leaves_all_or_nothing(store: KeyStore) -> None:
    for turns in range(0, 40, 3):
        task = asyncio.create_task(store.put(f"folder-{turns}/key", b"x" * 1000, by=""))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await store.put("after", b"x", by="")
    whole = [path for path in await names(store, deep=True) if not path.endswith("/")]
    assert await store.count() == len(whole)
    for path in whole:
        assert await store.read(path)
    for folder in [path for path in await names(store) if path.endswith("/")]:
        assert await names(store, folder.rstrip("/")) == [f"{folder}key"]
