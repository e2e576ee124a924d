"""Values sealed on their way to be stored: opened by every keyproxy of a file, whichever master key they knew of."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.sealing import SealFault, SealingError, seal
from schemas.errors import RunbusError
from services.keyproxy.masterkey import MasterKey
from services.keyproxy.mastersource import FileMasterKeys
from services.keyproxy.sealed import Sealing
from services.keyproxy.store import KeyStore, rotate


async def test_before_during_and_after_another_master_key(tmp_path: Path) -> None:
    path, source = tmp_path / "keys.sqlite", FileMasterKeys(tmp_path / "master.key", make=True)
    masters = source.read()
    async with KeyStore.open(path, *masters, source=source) as a, KeyStore.open(path, *masters, source=source) as b:
        one, other = Sealing(a), Sealing(b)
        public = await one.public()
        assert public == await other.public()
        before = seal(public, b"before")
        await rotate(path, *source.pair())
        new = await one.public()
        assert new != public  # at once, as the old one may be known to somebody
        assert await other.open(seal(new, b"during")) == b"during"
        source.settle()
        assert await other.public() == new
        for each in (one, other):
            assert await each.open(before) == b"before"
            with pytest.raises(SealingError) as caught:
                await each.open(seal("KPCOxb1BL7jfCRuXP7vnJZFtpvhmZtsz7LLqEyAPNjI=", b"for somebody else"))
            assert caught.value.reason is SealFault.NOT_OPENED
            with pytest.raises(SealingError) as caught:
                await each.open("?")
            assert caught.value.reason is SealFault.NOT_BASE64


async def test_one_that_a_keyproxy_hears_of_before_it_is_in_force(tmp_path: Path) -> None:
    path, source = tmp_path / "keys.sqlite", FileMasterKeys(tmp_path / "master.key", make=True)
    async with KeyStore.open(path, *source.read(), source=source) as store:
        new = source.pair()[1]
        async with KeyStore.open(tmp_path / "other.sqlite", new) as ahead:
            sealed = seal(await Sealing(ahead).public(), b"early")
        assert await Sealing(store).open(sealed) == b"early"


async def test_without_the_master_key_in_force_nothing_can_be_sealed(tmp_path: Path) -> None:
    path, old = tmp_path / "keys.sqlite", MasterKey(bytes(range(32)), "here")
    async with KeyStore.open(path, old) as store:
        await rotate(path, old, MasterKey(bytes(range(1, 33)), "there"))
        with pytest.raises(RunbusError, match="under another master key by now"):
            await Sealing(store).public()
