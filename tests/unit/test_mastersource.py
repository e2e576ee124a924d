"""Where the master key comes from, and the next one beside it: found by whoever has the old one, at any moment."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import structlog

from schemas.errors import RunbusError
from services.keyproxy.masterkey import MasterFault, MasterKey, make_master_key
from services.keyproxy.mastersource import MasterKeys, master_keys_of
from services.keyproxy.store import KeyStore, rotate
from tests.unit.test_masterkey import SECRET, TEXT, kept, reason

NEW_SECRET = bytes(range(1, 33))
NEW_TEXT = base64.b64encode(NEW_SECRET).decode()


def keys_of(*, text: str = "", new_text: str = "", file: str = "", data_dir: str = "", **more: Any) -> MasterKeys:
    return master_keys_of(text=text, new_text=new_text, file=file, data_dir=data_dir, **more)


def secrets_of(masters: Iterable[MasterKey]) -> list[bytes]:
    return [each.secret for each in masters]


def test_the_settings_give_one_and_without_any_it_is_made_once(tmp_path: Path) -> None:
    assert secrets_of(keys_of(text=TEXT).read()) == [SECRET]
    given = keys_of(file=str(kept(tmp_path / "given.key")), data_dir=str(tmp_path))
    assert secrets_of(given.read()) == [SECRET]
    assert not (tmp_path / "master.key").exists()
    made = keys_of(data_dir=str(tmp_path)).read()
    assert secrets_of(keys_of(data_dir=str(tmp_path)).read()) == secrets_of(made)
    assert made[0].origin == str(tmp_path / "master.key") == keys_of(data_dir=str(tmp_path)).place


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"text": TEXT, "file": "master.key"}, MasterFault.TWO),
        ({"new_text": NEW_TEXT, "file": "master.key"}, MasterFault.TWO),
        ({"new_text": NEW_TEXT, "data_dir": "/nowhere"}, MasterFault.TWO),
        ({"text": TEXT, "new_text": "short"}, MasterFault.NOT_BASE64),
        ({"file": "/nowhere/master.key"}, MasterFault.MISSING),
        ({"data_dir": "/nowhere", "make": False}, MasterFault.MISSING),
    ],
)
def test_settings_that_give_none_or_two_are_refused(given: dict[str, Any], why: MasterFault) -> None:
    with pytest.raises(RunbusError) as caught:
        keys_of(**given).read()
    assert reason(caught.value) is why
    assert TEXT not in caught.value.message
    assert NEW_TEXT not in caught.value.message


def test_a_file_has_the_next_one_beside_it_until_that_takes_its_place(tmp_path: Path) -> None:
    masters = keys_of(file=str(kept(tmp_path / "m.key")))
    old, new = masters.pair()
    assert secrets_of([old]) == [SECRET]
    assert secrets_of(masters.pair()[1:]) == [new.secret]  # a second time: the same, as the first may have been ended
    assert secrets_of(masters.read()) == secrets_of(masters.again()) == [SECRET, new.secret]
    assert masters.settle() == ""
    assert secrets_of(masters.read()) == secrets_of(masters.again()) == [new.secret]
    assert [each.name for each in tmp_path.iterdir()] == ["m.key"]


def test_a_next_one_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    masters = keys_of(file=str(kept(tmp_path / "m.key")))
    kept(tmp_path / "m.key.new", NEW_TEXT, 0o644)
    assert secrets_of(masters.read()) == secrets_of(masters.again()) == [SECRET]
    with pytest.raises(RunbusError, match="mode 0644"):
        masters.pair()
    (tmp_path / "m.key").unlink()
    assert masters.again() == []


def test_where_the_file_cannot_be_replaced_it_is_said_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "m.key").mkdir()
    kept(tmp_path / "m.key.new", NEW_TEXT)
    assert "put the new master key, that of" in keys_of(file=str(tmp_path / "m.key")).settle()


def test_no_master_key_is_made_where_one_is_on_its_way(tmp_path: Path) -> None:
    kept(tmp_path / "master.key.new", NEW_TEXT)
    with pytest.raises(RunbusError) as caught:
        keys_of(data_dir=str(tmp_path)).read()
    assert reason(caught.value) is MasterFault.MISSING
    assert not (tmp_path / "master.key").exists()


def test_of_the_environment_both_must_be_given() -> None:
    one, both = keys_of(text=TEXT), keys_of(text=TEXT, new_text=NEW_TEXT)
    with pytest.raises(RunbusError, match="is to be in RUNBUS_NEW_MASTER_KEY") as caught:
        one.pair()
    assert reason(caught.value) is MasterFault.MISSING
    assert secrets_of(both.pair()) == secrets_of(both.read()) == [SECRET, NEW_SECRET]
    assert both.again() == []
    assert "as RUNBUS_MASTER_KEY from now on" in both.settle()
    assert one.place == "RUNBUS_MASTER_KEY"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_made_by_root_it_belongs_to_whom_the_old_one_belongs_to(tmp_path: Path) -> None:
    path = kept(tmp_path / "m.key")
    os.chown(path, 65534, 65534)
    masters = keys_of(file=str(path))
    masters.pair()
    masters.settle()
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 65534, 0o600)


@pytest.mark.parametrize("settle", [False, True])
async def test_a_store_that_is_open_finds_the_new_master_key_by_itself(tmp_path: Path, *, settle: bool) -> None:
    path, masters = tmp_path / "keys.sqlite", keys_of(data_dir=str(tmp_path))
    async with KeyStore.open(path, *masters.read(), source=masters) as store:
        for round_ in range(3):  # one rotation after the other
            await store.put("a/b", b"%d" % round_, by="ada")
            before = (await store.masters())[0]
            old, new = keys_of(data_dir=str(tmp_path)).pair()
            assert await rotate(path, old, new) == 1
            if settle:
                masters.settle()
            assert await store.read("a/b") == b"%d" % round_
            await store.put("a/c", b"c", by="ada")
            await store.remove("a/c")
            first, *others = await store.masters()
            assert first.secret == new.secret
            assert before.secret in secrets_of(others)
            masters.settle()
    async with KeyStore.open(path, *masters.read()) as store:
        assert await store.read("a/b") == b"2"


async def test_what_cannot_be_found_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    old = make_master_key(tmp_path / "master.key")
    masters = keys_of(data_dir=str(tmp_path))
    async with KeyStore.open(path, *masters.read(), source=masters) as store:
        await store.put("a", b"x", by="ada")
        await rotate(path, old, MasterKey(NEW_SECRET, "elsewhere"))
        with pytest.raises(RunbusError, match=f"neither in {tmp_path}/master.key nor .*nothing has to be restarted"):
            await store.read("a")
        kept(tmp_path / "master.key.new", NEW_TEXT)
        assert await store.read("a") == b"x"


@pytest.mark.parametrize("name", ["master.key", "m.key"])
async def test_none_is_made_beside_keys_that_another_one_has_encrypted(tmp_path: Path, name: str) -> None:
    path = tmp_path / "keys.sqlite"
    async with KeyStore.open(path, *keys_of(file=str(kept(tmp_path / name))).read()) as store:
        await store.put("db/pw", b"x", by="")
    (tmp_path / name).rename(tmp_path / "elsewhere")
    with pytest.raises(RunbusError) as caught:
        keys_of(data_dir=str(tmp_path)).read()
    assert reason(caught.value) is MasterFault.MISSING
    assert f"there is no master key in {tmp_path}/master.key: put it there again (a backup has it)" in (
        caught.value.message
    )
    assert not (tmp_path / "master.key").exists()
    (tmp_path / "elsewhere").rename(tmp_path / "master.key")
    async with KeyStore.open(path, *keys_of(data_dir=str(tmp_path)).read()) as store:
        assert await store.read("db/pw") == b"x"


async def test_one_is_made_beside_a_file_that_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "keys.sqlite").touch(0o600)
    (made,) = keys_of(data_dir=str(tmp_path)).read()
    async with KeyStore.open(tmp_path / "keys.sqlite", made) as store:
        assert await store.count() == 0


async def test_a_keyproxy_without_the_new_one_says_so_once_in_its_log(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    masters = keys_of(text=TEXT)
    (old,) = masters.read()
    async with KeyStore.open(path, old, source=masters) as store:
        await store.put("a", b"x", by="ada")
        with structlog.testing.capture_logs() as logs:
            assert await store.read("a") == b"x"
            assert not logs
            await rotate(path, old, MasterKey(NEW_SECRET))
            for _ in range(3):
                with pytest.raises(RunbusError):
                    await store.read("a")
                with pytest.raises(RunbusError):
                    await store.put("b", b"x", by="ada")
    (told,) = logs
    assert (told["event"], told["log_level"], told["file"]) == ("keys.locked", "error", str(path))
    assert told["error"].startswith("no key can be read or stored: they are under another master key by now")
    assert told["error"].endswith("start the keyproxy with it in one of them.")


def test_the_last_words_of_a_rotation_name_those_that_are_locked_out() -> None:
    said = keys_of(text=TEXT, new_text=NEW_TEXT).settle()
    assert "Keyproxies started without RUNBUS_NEW_MASTER_KEY cannot read any more: restart them with" in said
