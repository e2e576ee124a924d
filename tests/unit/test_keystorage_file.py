"""Keys as files."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.keys.metadata import PROBLEM
from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError, KeyType
from services.runner.keystorage import file as module
from services.runner.keystorage.file import FileKeys, FileKeysConfig

_PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"


def _write(path: Path, data: str | bytes = "s3cret\n", mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(mode)
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "keys"
    _write(root / "db/password")
    _write(root / "db/deep/key", _PEM)
    _write(root / "open", mode=0o644)
    _write(root / ".hidden")
    _write(root / ".git/config")
    _write(tmp_path / "outside", "elsewhere")
    return root


def _keys(directory: Path) -> FileKeys:
    return FileKeys(FileKeysConfig(directory=str(directory)))


async def _failure(directory: Path, path: str, reason: KeyFailure) -> str:
    with pytest.raises(KeyStorageError) as caught:
        await _keys(directory).read(path)
    assert caught.value.reason is reason
    assert "s3cret" not in caught.value.message
    assert str(directory) in caught.value.message
    return caught.value.message


def _names(entries: object) -> list[str]:
    assert isinstance(entries, list)
    return [entry.path + "/" * entry.folder for entry in entries]


class TestReading:
    @pytest.mark.parametrize(
        ("data", "value"),
        [("s3cret", "s3cret"), ("s3cret\n", "s3cret"), ("s3cret\n\n", "s3cret\n"), (_PEM, _PEM[:-1]), ("", ""),
         ("é", "é")],
    )  # fmt: skip
    async def test_values(self, directory: Path, data: str, value: str) -> None:
        _write(directory / "a/b", data)
        assert await _keys(directory).read("a/b") == value

    async def test_it_is_read_anew(self, directory: Path) -> None:
        keys = _keys(directory)
        assert await keys.read("db/password") == "s3cret"
        _write(directory / "db/password", "other")
        assert await keys.read("db/password") == "other"

    @pytest.mark.parametrize(
        ("path", "reason", "text"),
        [
            ("none", KeyFailure.NOT_FOUND, "no such file"),
            ("db/password/x", KeyFailure.NOT_FOUND, "not a directory"),
            ("db", KeyFailure.NO_KEY, "folder"),
            ("open", KeyFailure.FORBIDDEN, "others may read it (mode 0644): chmod 600"),
            (".hidden", KeyFailure.NOT_FOUND, "dot"),
            (".git/config", KeyFailure.NOT_FOUND, "dot"),
            ("db/..", KeyFailure.NOT_FOUND, "dot"),
            ("a\0b", KeyFailure.FORBIDDEN, ""),
            ("a" * 300, KeyFailure.FAILED, "too long"),
        ],
    )
    async def test_what_is_none(self, directory: Path, path: str, reason: KeyFailure, text: str) -> None:
        assert text in await _failure(directory, path, reason)

    async def test_the_size(self, directory: Path) -> None:
        _write(directory / "large", "x" * (1 << 20))
        assert len(await _keys(directory).read("large")) == 1 << 20
        _write(directory / "large", "x" * ((1 << 20) + 1))
        assert "1 MiB" in await _failure(directory, "large", KeyFailure.TOO_LARGE)

    async def test_no_text(self, directory: Path) -> None:
        _write(directory / "bytes", b"\xff\xfe")
        assert "UTF-8" in await _failure(directory, "bytes", KeyFailure.MALFORMED)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o610])
    async def test_others_may_do_nothing_with_it(self, directory: Path, mode: int) -> None:
        _write(directory / "a", mode=mode)
        await _failure(directory, "a", KeyFailure.FORBIDDEN)

    async def test_a_pipe_does_not_hold_it_up(self, directory: Path) -> None:
        os.mkfifo(directory / "pipe", 0o600)
        assert "no file" in await _failure(directory, "pipe", KeyFailure.FORBIDDEN)
        assert "pipe" not in [entry.path for entry in await _keys(directory).children("", deep=True)]

    async def test_no_descriptor_is_left(self, directory: Path) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for path in ("db", "open", "none", "db/password"):
            for _ in range(5):
                try:
                    await _keys(directory).read(path)
                except KeyStorageError:
                    continue
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


class TestLinks:
    async def test_as_a_volume_of_kubernetes_has_them(self, directory: Path) -> None:
        _write(directory / "..2026_03_01/token", "from-volume")
        (directory / "..data").symlink_to("..2026_03_01")
        (directory / "token").symlink_to("..data/token")
        assert await _keys(directory).read("token") == "from-volume"
        assert "token" in _names(await _keys(directory).children(""))

    async def test_one_that_leaves_the_directory(self, directory: Path) -> None:
        (directory / "away").symlink_to("../outside")
        (directory / "far").symlink_to("/etc")
        assert "leaves the directory" in await _failure(directory, "away", KeyFailure.OUTSIDE)
        await _failure(directory, "far/hostname", KeyFailure.OUTSIDE)
        assert not {"away", "far/"} & set(_names(await _keys(directory).children("", deep=True)))

    async def test_a_directory_beside_with_the_same_beginning(self, directory: Path) -> None:
        _write(directory.with_name("keys-other") / "a")
        (directory / "near").symlink_to("../keys-other/a")
        await _failure(directory, "near", KeyFailure.OUTSIDE)

    async def test_circles_end(self, directory: Path) -> None:
        (directory / "db/up").symlink_to("..")
        (directory / "self").symlink_to("self")
        names = _names(await _keys(directory).children("", deep=True))
        assert {"db/", "db/up/", "db/password"} <= set(names)
        assert "db/up/db/" not in names
        await _failure(directory, "self", KeyFailure.FAILED)

    async def test_the_directory_itself_may_be_one(self, directory: Path) -> None:
        link = directory.with_name("link")
        link.symlink_to(directory)
        assert await _keys(link).read("db/password") == "s3cret"

    async def test_one_that_comes_about_between_look_and_read(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = _keys(directory)
        real = keys._real("db/password")
        (directory / "db/password").unlink()
        (directory / "db/password").symlink_to("../../outside")
        monkeypatch.setattr(keys, "_real", lambda _path: real)
        with pytest.raises(KeyStorageError):
            await keys.read("db/password")


class TestListing:
    async def test_a_folder(self, directory: Path) -> None:
        assert _names(await _keys(directory).children("")) == ["db/", "open"]
        assert _names(await _keys(directory).children("db")) == ["db/deep/", "db/password"]

    async def test_all(self, directory: Path) -> None:
        assert _names(await _keys(directory).children("", deep=True)) == [
            "db/", "db/deep/", "db/deep/key", "db/password", "open",
        ]  # fmt: skip

    async def test_what_is_told_of_a_key(self, directory: Path) -> None:
        os.utime(directory / "db/deep/key", (0, 1_700_000_000))
        shown = await _keys(directory).show("db/deep/key")
        assert shown.type is KeyType.PRIVATE_KEY
        assert shown.size_bytes == len(_PEM)
        assert shown.modified_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
        assert shown.meta["Rundeck-content-modify-time"] == "2023-11-14T22:13:20Z"
        assert (await _keys(directory).show("db/password")).type is KeyType.PASSWORD
        assert await _keys(directory).show("db") == KeyEntry(path="db", folder=True)
        assert await _keys(directory).show("") == KeyEntry(path="", folder=True)

    async def test_one_that_cannot_be_used_says_why(self, directory: Path) -> None:
        shown = await _keys(directory).show("open")
        assert shown.type is None
        assert shown.meta == {PROBLEM: "others may read it (mode 0644): chmod 600"}

    @pytest.mark.parametrize(("path", "text"), [("none", "No such file"), ("db/password", "no folder")])
    async def test_no_folder(self, directory: Path, path: str, text: str) -> None:
        with pytest.raises(KeyStorageError) as caught:
            await _keys(directory).children(path)
        assert caught.value.reason is KeyFailure.NOT_FOUND
        assert text.lower() in caught.value.message.lower()

    async def test_names_that_no_key_can_have(self, directory: Path) -> None:
        for name in ("a\nb", "a\\b", "a%2fb", os.fsdecode(b"a\xff")):
            _write(directory / name)
        assert _names(await _keys(directory).children("")) == ["db/", "open"]

    async def test_too_many(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_ENTRIES", 4)
        with pytest.raises(KeyStorageError) as caught:
            await _keys(directory).children("", deep=True)
        assert caught.value.reason is KeyFailure.TOO_LARGE
        assert await _keys(directory).children("")


class TestTheDirectory:
    async def test_all_is_well(self, directory: Path) -> None:
        await _keys(directory).check()
        await _keys(directory).close()

    async def test_it_is_not_there(self, tmp_path: Path) -> None:
        for call in (_keys(tmp_path / "none").check(), _keys(tmp_path / "none").children("")):
            with pytest.raises(KeyStorageError) as caught:
                await call
            assert caught.value.reason is KeyFailure.CONFIGURATION

    async def test_it_is_a_file(self, directory: Path) -> None:
        with pytest.raises(KeyStorageError, match="no directory") as caught:
            await _keys(directory / "open").check()
        assert caught.value.reason is KeyFailure.CONFIGURATION

    @pytest.mark.parametrize("given", ["", "keys", "./keys"])
    def test_it_has_to_be_absolute(self, given: str) -> None:
        with pytest.raises(ValueError, match="absolute"):
            FileKeysConfig(directory=given)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["..", ".", "db", "a", "outside", "", "%2e%2e", "~", "x" * 300, "\ud800"])).map("/".join)
)
async def test_no_path_leads_out(directory: Path, path: str) -> None:
    """Those with such parts do not come here; and if they did, they would find nothing."""
    for call in (_keys(directory).read(path), _keys(directory).show(path), _keys(directory).children(path)):
        try:
            assert "elsewhere" not in str(await call)
        except KeyStorageError as error:
            assert error.message
