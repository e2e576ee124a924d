"""All keys of a runner, behind one guard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import pytest
import structlog

from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.settings import StorageSettings

_TOKEN = "hvs.token-of-the-provider"
_VALUE = "s3cret-of-a-key"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    name: str = "one"
    token: str = ""


class Shelf:
    """A storage in memory that can be told to misbehave."""

    version: ClassVar[str] = "1"
    config_type: ClassVar[type[Any]] = Config
    secret_settings: ClassVar[frozenset[str]] = frozenset({"token"})
    requires: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Config) -> None:
        self.name = config.name
        self.keys: dict[str, Any] = {"db/password": _VALUE, "vault/hidden": "x", "top": "t"}
        self.fault: BaseException | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.calls: list[str] = []
        self.cancelled = 0
        self.closed = False

    async def read(self, path: str) -> str:
        await self._asked(f"read {path}")
        if path not in self.keys:
            raise KeyStorageError(f"no {path} with {_TOKEN}", reason=KeyFailure.NOT_FOUND)
        return str(self.keys[path]) if isinstance(self.keys[path], str) else self.keys[path]

    async def show(self, path: str) -> KeyEntry:
        await self._asked(f"show {path}")
        return KeyEntry(path=path, size_bytes=len(self.keys[path]))

    async def children(self, path: str, *, deep: bool = False) -> Sequence[KeyEntry]:
        await self._asked(f"children {path} {deep}")
        found = {key for key in self.keys if not path or key.startswith(f"{path}/")}
        if path and not found:
            raise KeyStorageError("no such folder", reason=KeyFailure.NOT_FOUND)
        folders = {key.rsplit("/", 1)[0] for key in found if "/" in key} - {path}
        entries = [KeyEntry(path=key) for key in found] + [KeyEntry(path=each, folder=True) for each in folders]
        depth = path.count("/") + 1 if path else 0
        return [entry for entry in reversed(entries) if deep or entry.path.count("/") == depth]

    async def check(self) -> None:
        await self._asked("check")

    async def close(self) -> None:
        self.closed = True
        if self.fault:
            raise self.fault

    async def _asked(self, call: str) -> None:
        self.calls.append(call)
        self.asked.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fault:
            raise self.fault


class BadShelf(Shelf):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        raise RuntimeError(config.token)


_PLUGINS: dict[str, Any] = {"shelf": Shelf, "bad": BadShelf}


def _settings(path: str = "", **config: str) -> StorageSettings:
    return StorageSettings(type="shelf", path=path, config=config, origin="here")


class Opened:
    def __init__(self, *paths: str, deadline_s: float = 20.0) -> None:
        self.keys = RunnerKeys(
            [_settings(path, token=_TOKEN, name=path or "root") for path in paths],
            _PLUGINS,
            deadline_s=deadline_s,
        )
        self.shelves: dict[str, Any] = {shelf.name: shelf for shelf in self.keys.opened}  # type: ignore[attr-defined]

    @property
    def shelf(self) -> Any:
        return next(iter(self.shelves.values()))

    async def failure(self, path: str = "db/password") -> KeyStorageError:
        with pytest.raises(KeyStorageError) as caught:
            await self.keys.read(path)
        assert _TOKEN not in caught.value.message
        assert _VALUE not in caught.value.message
        return caught.value


def _names(entries: Sequence[KeyEntry]) -> list[str]:
    return [entry.path + "/" * entry.folder for entry in entries]


def _folder(path: str) -> KeyEntry:
    return KeyEntry(path=path, folder=True)


class TestReading:
    async def test_what_a_provider_is_asked_with_is_a_secret(self) -> None:
        opened = Opened("")
        assert opened.keys.secrets == [_TOKEN]
        assert await opened.keys.read("db/password") == _VALUE

    async def test_the_longest_mount_wins(self) -> None:
        opened = Opened("", "vault", "vault/deep")
        opened.shelves["vault/deep"].keys = {"x": "deep"}
        opened.shelves["vault"].keys = {"deep/x": "shadowed", "deeper/x": "vault"}
        assert await opened.keys.read("vault/deep/x") == "deep"
        assert await opened.keys.read("vault/deeper/x") == "vault"
        assert await opened.keys.read("top") == "t"

    async def test_none_of_the_mounts(self) -> None:
        error = await Opened("vault", "aws").failure("vaulted/x")
        assert error.reason is KeyFailure.NO_KEY_STORAGE
        assert "begin with aws, vault" in error.message
        assert (await Opened("vault").failure("vault")).reason is KeyFailure.NO_KEY

    async def test_no_storage(self) -> None:
        keys = RunnerKeys([], _PLUGINS)
        for call in (keys.read("a"), keys.show("a"), keys.listing("")):
            with pytest.raises(KeyStorageError, match="RUNBUS_KEY_STORAGE") as caught:
                await call
            assert caught.value.reason is KeyFailure.NO_KEY_STORAGE
        assert not await keys.check()
        assert (keys.health, keys.infos) == ([], [])
        await keys.close()

    @pytest.mark.parametrize("path", ["", "..", "a/../b", "%2e%2e/a", "a\0", "/a", "a/", "a\\b", "x" * 2000])
    async def test_a_path_that_is_none_goes_nowhere(self, path: str) -> None:
        opened = Opened("")
        assert (await opened.failure(path)).reason is KeyFailure.OUTSIDE
        assert opened.shelf.calls == []
        if path:
            for call in (opened.keys.show(path), opened.keys.listing(path)):
                with pytest.raises(KeyStorageError) as caught:
                    await call
                assert caught.value.reason is KeyFailure.OUTSIDE

    @pytest.mark.parametrize(
        ("value", "reason"),
        [(None, KeyFailure.MALFORMED), (b"x", KeyFailure.MALFORMED), ("é" * 600_000, KeyFailure.TOO_LARGE)],
    )
    async def test_a_value_that_is_none(self, value: Any, reason: KeyFailure) -> None:
        opened = Opened("")
        opened.shelf.keys["db/password"] = value
        assert (await opened.failure()).reason is reason


class TestFaults:
    async def test_the_providers_own_error_without_secrets(self) -> None:
        error = await Opened("").failure("none")
        assert error.reason is KeyFailure.NOT_FOUND
        assert error.message == "no none with [SECURE]"

    @pytest.mark.parametrize(
        "fault",
        [
            RuntimeError(_VALUE), SystemExit(_VALUE), KeyError(_VALUE), TypeError(_TOKEN), KeyboardInterrupt(_VALUE),
            GeneratorExit(_VALUE), BaseException(_VALUE), TimeoutError(_VALUE), ExceptionGroup(_VALUE, [OSError()]),
        ],
    )  # fmt: skip
    async def test_any_other_exception_without_its_text(self, fault: BaseException) -> None:
        opened = Opened("")
        opened.shelf.fault = fault
        with structlog.testing.capture_logs() as logs:
            error = await opened.failure()
        assert error.reason is KeyFailure.FAILED
        assert type(fault).__name__ in error.message
        assert _VALUE not in str(logs)
        assert _TOKEN not in str(logs)
        assert logs[0]["at"].startswith("test_keystorage_guarded:") or ".test_keystorage_guarded:" in logs[0]["at"]

    async def test_a_class_that_was_made_of_a_value(self) -> None:
        opened = Opened("")
        opened.shelf.fault = type(_VALUE, (LookupError,), {})()
        assert "its plugin failed (LookupError)" in (await opened.failure()).message

    @pytest.mark.parametrize("reason", list(KeyFailure))
    async def test_its_own_error_with_a_value_that_nobody_was_given(self, reason: KeyFailure) -> None:
        value = _VALUE[::-1]  # in no source
        opened = Opened("")
        opened.shelf.fault = KeyStorageError(f"no such folder as {value} of root, with {_TOKEN}", reason=reason)
        error = await opened.failure()
        assert (error.message, error.reason) == ("no such folder as [...] of root, with [SECURE]", reason)

    @pytest.mark.parametrize("message", [None, _VALUE.encode(), {"said": _VALUE}])
    async def test_its_own_error_that_is_odd(self, message: Any) -> None:
        opened = Opened("")
        opened.shelf.fault = error = KeyStorageError("")
        error.message = message
        assert (await opened.failure()).reason is KeyFailure.FAILED
        error.message, error.reason = "", _VALUE  # type: ignore[assignment]
        assert (await opened.failure()).reason is KeyFailure.FAILED

    async def test_one_that_cancels_itself(self) -> None:
        opened = Opened("")
        opened.shelf.fault = asyncio.CancelledError(_VALUE)
        assert (await opened.failure()).reason is KeyFailure.FAILED
        with pytest.raises(KeyStorageError):
            await opened.keys.listing("")

    async def test_one_that_is_slow(self) -> None:
        opened = Opened("", deadline_s=0.02)
        opened.shelf.gate.clear()
        error = await opened.failure()
        assert error.reason is KeyFailure.TIMEOUT
        assert "0.02 s" in error.message
        assert opened.shelf.cancelled == 1
        for call in (opened.keys.show("top"), opened.keys.listing("")):
            with pytest.raises(KeyStorageError) as caught:
                await call
            assert caught.value.reason is KeyFailure.TIMEOUT

    async def test_answers_that_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = Opened("")

        async def nothing(*_args: object, **_options: object) -> None:
            return None

        monkeypatch.setattr(opened.shelf, "children", nothing)
        with pytest.raises(KeyStorageError) as caught:
            await opened.keys.listing("")
        assert caught.value.reason is KeyFailure.FAILED

    def test_one_that_cannot_be_made(self) -> None:
        settings = StorageSettings(type="bad", config={"token": _TOKEN})
        with pytest.raises(KeyStorageError) as caught:
            RunnerKeys([settings], _PLUGINS)
        assert _TOKEN not in caught.value.message
        with pytest.raises(KeyStorageError, match="has no key storage plugin 'none'"):
            RunnerKeys([StorageSettings(type="none")], _PLUGINS)


class TestAtTheSameTime:
    async def test_one_call_for_all(self) -> None:
        opened = Opened("")
        opened.shelf.gate.clear()
        readers = [asyncio.create_task(opened.keys.read("db/password")) for _ in range(20)]
        other = asyncio.create_task(opened.keys.read("top"))
        await asyncio.sleep(0)
        opened.shelf.gate.set()
        assert set(await asyncio.gather(*readers)) == {_VALUE}
        assert await other == "t"
        assert sorted(opened.shelf.calls) == ["read db/password", "read top"]

    async def test_nothing_is_kept(self) -> None:
        opened = Opened("")
        await opened.keys.read("db/password")
        opened.shelf.keys["db/password"] = "new"
        assert await opened.keys.read("db/password") == "new"
        assert opened.keys._flights._flights == {}

    async def test_each_has_an_error_of_its_own(self) -> None:
        opened = Opened("")
        opened.shelf.gate.clear()
        readers = [asyncio.create_task(opened.keys.read("none")) for _ in range(3)]
        await asyncio.sleep(0)
        opened.shelf.gate.set()
        errors = await asyncio.gather(*readers, return_exceptions=True)
        assert len({id(error) for error in errors}) == 3
        assert {error.reason for error in errors if isinstance(error, KeyStorageError)} == {KeyFailure.NOT_FOUND}

    async def test_one_that_goes_does_not_take_the_others_along(self) -> None:
        opened = Opened("")
        opened.shelf.gate.clear()
        first = asyncio.create_task(opened.keys.read("db/password"))
        second = asyncio.create_task(opened.keys.read("db/password"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert first.cancelled()
        opened.shelf.gate.set()
        assert await second == _VALUE

    async def test_the_last_one_that_goes_ends_it(self) -> None:
        opened = Opened("")
        opened.shelf.gate.clear()
        reader = asyncio.create_task(opened.keys.read("db/password"))
        await opened.shelf.asked.wait()
        reader.cancel()
        again = asyncio.create_task(opened.keys.read("db/password"))
        await asyncio.gather(reader, return_exceptions=True)
        opened.shelf.gate.set()
        assert await again == _VALUE
        assert (opened.shelf.cancelled, len(opened.shelf.calls)) == (1, 2)

    async def test_close_ends_what_is_under_way(self) -> None:
        opened = Opened("", "other")
        opened.shelves["root"].gate.clear()
        opened.shelves["other"].fault = RuntimeError(_VALUE)
        reader = asyncio.create_task(opened.keys.read("db/password"))
        await asyncio.sleep(0)
        with structlog.testing.capture_logs() as logs:
            await opened.keys.close()
        assert all(shelf.closed for shelf in opened.shelves.values())
        assert _VALUE not in str(logs)
        with pytest.raises(KeyStorageError, match="given up"):
            await reader


class TestListing:
    async def test_mounts_are_folders(self) -> None:
        opened = Opened("", "vault", "far/away")
        assert _names((await opened.keys.listing("")).entries) == ["db/", "far/", "top", "vault/"]
        assert _names((await opened.keys.listing("far")).entries) == ["far/away/"]
        assert opened.shelves["vault"].calls == []

    async def test_a_folder_of_a_mount(self) -> None:
        opened = Opened("", "vault")
        assert _names((await opened.keys.listing("vault")).entries) == ["vault/db/", "vault/top", "vault/vault/"]
        assert _names((await opened.keys.listing("vault/db")).entries) == ["vault/db/password"]

    async def test_all(self) -> None:
        opened = Opened("", "vault")
        opened.shelves["vault"].keys = {"a": "1"}
        assert _names((await opened.keys.listing("", deep=True)).entries) == [
            "db/", "db/password", "top", "vault/", "vault/a",
        ]  # fmt: skip

    async def test_one_that_fails_is_left_out_and_told(self) -> None:
        opened = Opened("", "vault", "late")
        opened.shelves["vault"].fault = KeyStorageError(f"sealed, said {_TOKEN}", reason=KeyFailure.SEALED)
        opened.shelves["late"].fault = RuntimeError(_VALUE)
        assert (await opened.keys.listing("")).warnings == [], "of a mount itself only its name is asked for"
        found = await opened.keys.listing("", deep=True)
        assert _names(found.entries) == ["db/", "db/password", "late/", "top", "vault/"]
        assert found.warnings == [
            "the keys below 'runner/late/' are not listed (failed): key storage shelf at late: its plugin failed "
            "(RuntimeError); the runner's log says where",
            "the keys below 'runner/vault/' are not listed (sealed): sealed, said [SECURE]",
        ]

    async def test_the_root_fails_and_what_is_mounted_below_is_listed(self) -> None:
        opened = Opened("", "vault/deep", "other")
        opened.shelves["root"].fault = KeyStorageError("gone", reason=KeyFailure.UNREACHABLE)
        said = ["the keys that are in no other key storage are not listed (unreachable): gone"]
        assert await opened.keys.listing("") == ([_folder("other"), _folder("vault")], said)
        assert await opened.keys.listing("vault") == ([_folder("vault/deep")], said)
        deep = await opened.keys.listing("vault", deep=True)
        assert _names(deep.entries)[:2] == ["vault/deep/", "vault/deep/db/"]
        assert deep.warnings == said

    async def test_where_none_has_anything_to_tell_that_is_raised(self) -> None:
        opened = Opened("", "vault")
        for shelf in opened.shelves.values():
            shelf.fault = KeyStorageError("sealed", reason=KeyFailure.SEALED)
        for path, deep in (("", True), ("vault", False), ("vault", True), ("db", False)):
            with pytest.raises(KeyStorageError, match="sealed") as caught:
                await opened.keys.listing(path, deep=deep)
            assert caught.value.reason is KeyFailure.SEALED

    async def test_no_folder(self) -> None:
        for opened, path in ((Opened(""), "nothing"), (Opened("vault"), "nothing")):
            with pytest.raises(KeyStorageError) as caught:
                await opened.keys.listing(path)
            assert caught.value.reason in (KeyFailure.NOT_FOUND, KeyFailure.NO_KEY_STORAGE)

    async def test_paths_that_no_key_can_have_are_left_out(self) -> None:
        opened = Opened("")
        opened.shelf.keys = {"a": "1", "b\nc": "2", "..": "3", "%2e%2e/x": "4"}
        assert _names((await opened.keys.listing("")).entries) == ["a"]

    async def test_what_it_says_of_a_key_is_without_what_it_is_asked_with(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = Opened("")
        entry = KeyEntry(path=f"a {_TOKEN}", meta={"note": _TOKEN, _TOKEN: "x"})
        hidden = KeyEntry(path="a [SECURE]", meta={"note": "[SECURE]", "[SECURE]": "x"})

        async def said(*_args: object, **_options: object) -> Any:
            return [entry] if _options else entry

        monkeypatch.setattr(opened.shelf, "children", said)
        monkeypatch.setattr(opened.shelf, "show", said)
        assert (await opened.keys.listing("")).entries == [hidden]
        assert await opened.keys.show("a") == hidden

    async def test_one_entry(self) -> None:
        opened = Opened("", "vault")
        assert await opened.keys.show("vault/top") == KeyEntry(path="vault/top", size_bytes=1)
        for path in ("", "vault"):
            assert await opened.keys.show(path) == KeyEntry(path=path, folder=True)
        assert await Opened("a/b").keys.show("a") == KeyEntry(path="a", folder=True)


class TestHealth:
    async def test_it_is_as_the_last_check_found_it(self) -> None:
        opened = Opened("", "vault")
        assert [(each.provider, each.ok, each.problem, each.checked_at) for each in opened.keys.health] == [
            ("shelf", False, "", None)
        ] * 2
        opened.shelves["vault"].fault = KeyStorageError(f"bad {_TOKEN}", reason=KeyFailure.AUTHENTICATION)
        good, bad = await opened.keys.check()
        assert (good.ok, good.problem) == (True, "")
        assert good.checked_at is not None
        assert (bad.ok, bad.problem, bad.reason) == (False, "bad [SECURE]", KeyFailure.AUTHENTICATION)
        assert opened.keys.health == [good, bad]
        assert [each.problem for each in opened.keys.infos] == ["", "bad [SECURE]"]
        opened.shelves["vault"].fault = None
        await opened.keys.check()
        assert all(each.ok for each in opened.keys.health)

    async def test_what_the_heartbeat_says(self) -> None:
        one, other = Opened("").keys.infos[0], Opened("vault").keys.infos[0]
        assert (one.type, one.path, other.path) == ("shelf", "", "vault")
        assert one.digest != other.digest
        assert one.digest == RunnerKeys([_settings("", name="root", token="other")], _PLUGINS).infos[0].digest
