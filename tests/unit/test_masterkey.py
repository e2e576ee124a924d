"""The master key: where it may stand, what is refused, and how one is made."""

from __future__ import annotations

import base64
import os
import pickle
import stat
from functools import partial
from pathlib import Path

import pytest

from schemas.errors import ErrorCode, RunbusError
from services.keyproxy.masterkey import (
    MasterFault,
    MasterKey,
    make_master_key,
    parse_master_key,
    read_master_key,
)

SECRET = bytes(range(32))
TEXT = base64.b64encode(SECRET).decode()


def kept(path: Path, text: str = TEXT, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def reason(error: RunbusError) -> MasterFault:
    return MasterFault(error.details["reason"])


@pytest.mark.parametrize("text", [TEXT, f"{TEXT}\n", f"  {TEXT}\r\n"])
def test_it_is_read_from_a_text_and_from_a_file(tmp_path: Path, text: str) -> None:
    assert parse_master_key(text, "here").secret == SECRET
    assert read_master_key(kept(tmp_path / "master.key", text)).secret == SECRET
    assert read_master_key(kept(tmp_path / "other.key", text, 0o400)).secret == SECRET


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", MasterFault.WRONG_LENGTH),
        (TEXT[:-4], MasterFault.WRONG_LENGTH),
        (base64.b64encode(bytes(33)).decode(), MasterFault.WRONG_LENGTH),
        (TEXT[:-1], MasterFault.NOT_BASE64),
        ("hunter2 hunter2", MasterFault.NOT_BASE64),
        ("schlüssel", MasterFault.NOT_BASE64),
        (SECRET.hex(), MasterFault.WRONG_LENGTH),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, text: str, why: MasterFault) -> None:
    path = kept(tmp_path / "master.key", text)
    for read in (partial(parse_master_key, text, "RUNBUS_MASTER_KEY"), partial(read_master_key, path)):
        with pytest.raises(RunbusError) as caught:
            read()
        assert caught.value.code is ErrorCode.INVALID_MESSAGE
        assert reason(caught.value) is why
        assert "openssl rand -base64 32" in caught.value.message
        assert not text or text not in caught.value.message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = kept(tmp_path / "master.key", mode=mode)
    with pytest.raises(RunbusError, match=f"mode {mode:04o}.*chmod 600 {path}") as caught:
        read_master_key(path)
    assert reason(caught.value) is MasterFault.SHARED


def test_a_missing_file_and_what_is_no_file_are_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, why in (("none", MasterFault.MISSING), ("", MasterFault.UNREADABLE), ("pipe", MasterFault.UNREADABLE)):
        with pytest.raises(RunbusError) as caught:
            read_master_key(tmp_path / name)
        assert reason(caught.value) is why
        if why is MasterFault.MISSING:
            assert "RUNBUS_MASTER_KEY_FILE, or give the key itself as RUNBUS_MASTER_KEY." in caught.value.message


def test_one_is_made_for_its_owner_only_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    old = os.umask(0)
    try:
        key = make_master_key(path)
    finally:
        os.umask(old)
    assert read_master_key(path).secret == key.secret != bytes(32)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(RunbusError, match="never written over") as caught:
        make_master_key(path)
    assert caught.value.code is ErrorCode.ALREADY_EXISTS
    assert read_master_key(path).secret == key.secret
    assert [each.name for each in path.parent.iterdir()] == ["master.key"]


def test_a_link_to_nowhere_counts_as_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "master.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunbusError, match="never written over"):
        make_master_key(tmp_path / "master.key")
    assert not (tmp_path / "elsewhere").exists()


def test_it_cannot_be_made_where_there_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunbusError, match="cannot be made") as caught:
        make_master_key(tmp_path / "file" / "master.key")
    assert reason(caught.value) is MasterFault.UNREADABLE


def test_ended_while_it_is_made_no_half_key_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunbusError, match="No space left"):
        make_master_key(tmp_path / "master.key")
    assert list(tmp_path.iterdir()) == []


def test_it_is_neither_shown_nor_pickled() -> None:
    key = parse_master_key(TEXT, "here")
    assert repr(key) == "MasterKey(origin='here')"
    with pytest.raises(TypeError, match="stays in the memory"):
        pickle.dumps(key)
    with pytest.raises(RunbusError, match="31 bytes instead of 32"):
        MasterKey(bytes(31))
