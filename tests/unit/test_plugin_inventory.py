"""What counts as there: modules and programs that a plugin needs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from runbus.plugin import Discovered
from schemas.errors import ErrorCode, RunbusError
from schemas.runners import PluginInfo
from services.runner.inventory import PluginInventory


class NoSettings(msgspec.Struct, frozen=True):
    """None."""


class WantsProgram:
    """Started as a program that may be anywhere."""

    version: ClassVar[str] = "1.2"
    config_type: ClassVar[type[Any]] = NoSettings
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ()
    programs: ClassVar[Mapping[str, str]] = {"lister": "lister-dir"}

    async def discover(self, config: NoSettings, context: object) -> Discovered:  # noqa: ARG002
        """None."""
        return Discovered()


class WantsProgramOnPath(WantsProgram):
    """Nothing says where it is otherwise."""

    programs: ClassVar[Mapping[str, str]] = {"lister": ""}


class WantsModule(WantsProgram):
    """Its module comes first: without it there is nothing to start the program."""

    requires: ClassVar[tuple[str, ...]] = ("no_such_module",)


def loaded(name: str) -> tuple[PluginInventory, PluginInfo]:
    entry = EntryPoint("node-source/list", f"{__name__}:{name}", "runbus.plugins")
    plugins = PluginInventory("r1", [entry])
    plugins.load()
    return plugins, next(each for each in plugins.infos if each.name == "list")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_program_that_is_there(directory: Path) -> None:
    (directory / "lister").write_text("#!/bin/sh\n")
    (directory / "lister").chmod(0o755)
    plugins, info = loaded("WantsProgram")
    assert info == PluginInfo(name="list", version="1.2", kind="node-source")
    assert plugins.source("list").version == "1.2"


@pytest.mark.usefixtures("directory")
def test_a_program_that_a_setting_may_find() -> None:
    plugins, info = loaded("WantsProgram")
    assert info.problem == "lister is not on its PATH; lister-dir may name its directory"
    assert (info.unless, info.version) == ("lister-dir", "1.2")
    assert plugins.source("list").version == "1.2"  # for those that have the setting


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("WantsProgramOnPath", "lister is not on its PATH"),
        ("WantsModule", "no_such_module is not installed on the runner"),
    ],
)
def test_what_is_missing_makes_a_plugin_not_be_there(name: str, problem: str) -> None:
    plugins, info = loaded(name)
    assert (info.problem, info.unless) == (problem, "")
    with pytest.raises(RunbusError, match="was not found on Runner ID = r1") as caught:
        plugins.source("list")
    assert caught.value.code is ErrorCode.PLUGIN_NOT_FOUND
