"""Whoever asks for keys waits longer than the one it asks: also who sends no more than the schema demands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from runbus.cli import keys as command
from runbus.plugin import KeyEntry
from schemas.codec import decode
from schemas.errors import RunbusError
from schemas.keys import PROVIDER_WITHIN_S, KeyBrowseRequest, KeyLookRequest
from services.keyproxy.asking import ANSWER_WITHIN_S
from services.runner.keyanswers import KeyAnswers
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.patience import MOST_S
from services.runner.keystorage.settings import StorageSettings

BROWSE = decode(b'{"type":"runbus.key_browse.v1","path":"db"}', KeyBrowseRequest)
LOOK = decode(b'{"type":"runbus.key_look.v1","path":"db/pw"}', KeyLookRequest)


class NoSettings(msgspec.Struct, frozen=True):
    """None."""


class Silent:
    """A provider that takes a connection and says nothing."""

    version: ClassVar[str] = "1"
    config_type: ClassVar[type[Any]] = NoSettings
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: NoSettings) -> None:
        """Nothing is needed."""

    async def read(self, path: str) -> str:  # noqa: ARG002
        return str(await asyncio.Event().wait())

    async def show(self, path: str) -> KeyEntry:
        return KeyEntry(path=await self.read(path))

    async def children(self, path: str, *, deep: bool = False) -> Sequence[KeyEntry]:  # noqa: ARG002
        return [await self.show(path)]

    async def check(self) -> None:
        """It is never asked here."""

    async def close(self) -> None:
        """Nothing is open."""


def test_each_waits_longer_than_the_one_it_asks() -> None:
    for request in (BROWSE, LOOK):
        assert MOST_S < request.timeout_s == PROVIDER_WITHIN_S
        assert request.timeout_s + ANSWER_WITHIN_S < command._RUNNER_WITHIN_S


@pytest.mark.parametrize("kind", ["browse", "look"])
async def test_the_reason_of_who_knows_it_arrives(kind: str) -> None:
    """All times a twentieth: the provider's own limit ends the wait, and its text says so."""
    settings = [StorageSettings(type="silent", config={}, origin="a test")]
    keys = RunnerKeys(settings, {"silent": Silent}, deadline_s=MOST_S / 20)
    answers = KeyAnswers(keys, "r1")
    browse = msgspec.structs.replace(BROWSE, timeout_s=BROWSE.timeout_s / 20)
    look = msgspec.structs.replace(LOOK, timeout_s=LOOK.timeout_s / 20)
    with pytest.raises(RunbusError) as caught:
        await (answers.browse(browse) if kind == "browse" else answers.look(look))
    assert "had not answered after 2.5 s" in caught.value.message
    assert caught.value.details["reason"] == "timeout"
    await keys.close()


def test_the_documents_say_the_same() -> None:
    text = " ".join(Path(__file__).parents[2].joinpath("docs", "keys.md").read_text().split())
    assert f"{MOST_S:g} s at most" in text
    assert f"within {PROVIDER_WITHIN_S:g} s" in text
    assert f"{command._RUNNER_WITHIN_S:g} s in all" in text
