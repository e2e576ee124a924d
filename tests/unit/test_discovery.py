"""One discovery on a runner: settings, keys, deadline, and what becomes of what a plugin does."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from runbus.plugin import Discovered, SourceContext, SourceError, SourceFailure
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import Node
from services.runner.discovery import Discoverer, Question
from services.runner.inventory import PluginInventory
from services.runner.keyuse import Use
from tests.support.keydirs import own_keys

SECRET = "correct horse"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    do: str = ""
    count: int = 1
    on: bool = False
    password: str = ""


class Scripted:
    """Does what its setting ``do`` says."""

    version: ClassVar[str] = "2.1"
    config_type: ClassVar[type[Settings]] = Settings
    secret_settings: ClassVar[frozenset[str]] = frozenset({"password"})
    requires: ClassVar[tuple[str, ...]] = ()

    async def discover(self, config: Settings, context: SourceContext) -> Discovered:
        node = Node(name="b", attributes={"on": str(config.on), "told": f"<{config.password}>"})
        match config.do:
            case "refuse":
                raise SourceError(f"no entry with {config.password}.", reason=SourceFailure.AUTHENTICATION)
            case "crash":
                raise ZeroDivisionError(config.password)
            case "exit":
                sys.exit(config.password)
            case "hang":
                await asyncio.Event().wait()
            case "twice":
                return Discovered(
                    nodes=[node, Node(name="a"), msgspec.structs.replace(node, attributes={"last": "1"})]
                )
            case "run":
                script = f"echo out; echo {config.password} >&2; pwd; exit {config.count}"
                done = await context.run_process(["/bin/sh", "-c", script])
                return Discovered(
                    nodes=[Node(name=f"exit-{done.exit_code}", attributes={"out": done.stdout.decode()})]
                )
            case "missing":
                await context.run_process(["/nowhere/at-all"])
            case "flood":
                await context.run_process(["/bin/sh", "-c", "echo $$ > pid; exec cat /dev/zero"])
        return Discovered(nodes=[node], warnings=[f"saw {config.password}"])


class Plugins(PluginInventory):
    def load(self) -> None:
        super().load()
        self._sources["scripted"] = Scripted


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    (tmp_path / "keys" / "db").mkdir(parents=True)
    key = tmp_path / "keys" / "db" / "password"
    key.write_text(f"{SECRET}\n")
    key.chmod(0o600)
    return tmp_path / "keys"


@pytest.fixture
def discoverer(keys: Path) -> Discoverer:
    plugins = Plugins("r1", entries=[])
    plugins.load()
    return Discoverer(runner="r1", plugins=plugins, keys=own_keys(keys, "r1"), env=dict(os.environ))


def question(timeout_s: float = 20.0, plugin: str = "scripted", **config: str) -> Question:
    return Question(project="p", source="web", type=plugin, config=config, timeout_s=timeout_s)


async def refused(discoverer: Discoverer, asked: Question) -> RunbusError:
    with pytest.raises(RunbusError) as caught:
        await discoverer.discover(asked)
    assert SECRET not in repr((caught.value.message, caught.value.details))
    return caught.value


def reasons(error: RunbusError) -> tuple[ErrorCode, object]:
    return error.code, error.details.get("reason")


async def test_settings_are_converted_and_strange_ones_named(discoverer: Discoverer) -> None:
    found = await discoverer.discover(question(on="true", count=" ", colour="red"))
    assert found.nodes[0].attributes["on"] == "True"
    assert found.warnings[0] == "setting 'colour' means nothing to scripted"


async def test_a_key_is_read_and_its_value_is_in_nothing_that_comes_back(discoverer: Discoverer) -> None:
    found = await discoverer.discover(question(password="keys/db/password"))
    assert found.nodes[0].attributes["told"] == "<[SECURE]>"
    assert found.warnings == ["saw [SECURE]"]
    assert (
        "[SECURE]" in (await refused(discoverer, question(do="refuse", password="runner/keys/db/password"))).message
    )
    assert SECRET not in (await refused(discoverer, question(do="crash", password="keys/db/password"))).message
    assert SECRET not in (await refused(discoverer, question(do="exit", password="keys/db/password"))).message


async def test_a_name_that_two_nodes_bear_is_the_last_ones(discoverer: Discoverer) -> None:
    found = await discoverer.discover(question(do="twice"))
    assert [(node.name, dict(node.attributes)) for node in found.nodes] == [("a", {}), ("b", {"last": "1"})]
    assert "1 node bears a name" in found.warnings[0]


@pytest.mark.parametrize(
    ("config", "reason", "words"),
    [
        ({"count": "many"}, SourceFailure.CONFIGURATION, "expected `int`, got `str` (setting 'count')"),
        ({"password": "swordfish"}, SourceFailure.CONFIGURATION, "'password' has to name a key"),
        ({"do": "refuse"}, SourceFailure.AUTHENTICATION, "no entry with ."),
        ({"do": "crash"}, SourceFailure.FAILED, "internal error"),
        ({"do": "exit"}, SourceFailure.FAILED, "internal error"),
        ({"do": "missing"}, SourceFailure.NOT_FOUND, "/nowhere/at-all"),
    ],
)
async def test_what_goes_wrong_is_told_with_its_cause(
    discoverer: Discoverer, config: dict[str, str], reason: SourceFailure, words: str
) -> None:
    asked = msgspec.structs.replace(question(), config=config)
    error = await refused(discoverer, asked)
    assert reasons(error) == (ErrorCode.DISCOVERY_FAILED, reason)
    assert error.message.startswith("node source web (scripted): ")
    assert words in error.message
    assert "swordfish" not in error.message


async def test_the_deadline_ends_it(discoverer: Discoverer) -> None:
    error = await refused(discoverer, question(timeout_s=0.05, do="hang"))
    assert reasons(error) == (ErrorCode.DISCOVERY_FAILED, SourceFailure.TIMEOUT)
    assert "not answered after 0.05 s" in error.message


async def test_a_process_has_a_directory_of_its_own_that_is_removed(discoverer: Discoverer) -> None:
    found = await discoverer.discover(question(do="run", count="3", password="keys/db/password"))
    output = found.nodes[0].attributes["out"].splitlines()
    assert (found.nodes[0].name, output[0]) == ("exit-3", "out")
    assert not Path(output[1]).exists()


async def test_a_flood_is_cut_off(discoverer: Discoverer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.runner.discovery.MAX_OUTPUT_BYTES", 1 << 20)
    error = await refused(discoverer, question(do="flood"))
    assert reasons(error) == (ErrorCode.DISCOVERY_FAILED, SourceFailure.TOO_LARGE)


async def test_a_plugin_that_is_not_there(discoverer: Discoverer) -> None:
    error = await refused(discoverer, question(plugin="datadog-resource-model"))
    assert error.message == (
        "Reason: The datadog-resource-model plugin was not found on Runner ID = r1. "
        "You may need to upgrade your Runner or select a different Runner."
    )


def spoiled(path: Path, **how: object) -> None:
    match how:
        case {"mode": int(mode)}:
            path.chmod(mode)
        case {"data": bytes(data)}:
            path.write_bytes(data)


@pytest.mark.parametrize(
    ("key", "how", "words"),
    [
        ("keys/db/nothing", {}, "no such file"),
        ("keys/db", {}, "it is a folder, and no key"),
        ("keys/../keys/db/password", {}, "has the part"),
        ("keys//db", {}, "empty part"),
        ("keys/db/pass\0word", {}, "control character"),
        ("keys/db/password", {"mode": 0o644}, r"mode 0644\): chmod 600"),
        ("keys/db/password", {"data": b"\xff"}, "no UTF-8"),
        ("keys/db/password", {"data": b"x" * (1 << 21)}, "larger than 1 MiB"),
    ],
)
async def test_keys_that_cannot_be_read(keys: Path, key: str, how: Mapping[str, object], words: str) -> None:
    spoiled(keys / "db" / "password", **how)
    with pytest.raises(RunbusError, match=words) as caught:
        await own_keys(keys, "r1").read(key, Use(project="p"))
    assert caught.value.code is ErrorCode.KEY_UNAVAILABLE
    assert SECRET not in caught.value.message


async def test_a_runner_without_keys_says_how_to_have_some() -> None:
    with pytest.raises(RunbusError, match="RUNBUS_KEYS_DIR"):
        await own_keys(None, "r1").read("keys/a", Use(project="p"))
