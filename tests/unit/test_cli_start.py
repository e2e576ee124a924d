"""How the command starts: every subcommand loads, and none loads what it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from runbus.cli.context import LazyGroup
from runbus.cli.main import cli, run_command
from schemas.version import VERSION


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command under a group."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        assert found is not None, name
        yield (*path, name), found
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))


ALL = dict(commands(cli))


def test_the_commands_are_those_documented() -> None:
    assert {" ".join(path) for path, command in ALL.items() if not isinstance(command, click.Group)} == {
        "up", "demo", "run", "contract", "service registry", "service dispatcher", "service nodesource",
        "service keyproxy", "keys list", "keys show", "keys put", "keys rm",
        "keys audit", "keys rotate",
        "runner start", "runner list", "runner show", "runner ping", "runner tags", "runner create", "runner drain",
        "runner remove", "runner nodes", "job put", "job check", "job export", "job list", "job schedule", "job plan",
        "job show", "job run", "job remove",
        "execution list", "execution show", "execution log", "execution abort", "project create", "project list",
        "project show", "project set", "nodes load", "nodes list", "nodes show", "nodes filter",
        "nodes discover", "nodes source add", "nodes source set", "nodes source list", "nodes source show",
        "nodes source test", "nodes source refresh", "nodes source remove",
    }  # fmt: skip


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_has_its_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: runbus {' '.join(path)} ")
    assert max(map(len, text.splitlines())) <= 80


def test_a_command_says_the_same_of_itself_as_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0
    text = capsys.readouterr().out
    for group in (each for each in ALL.values() if isinstance(each, LazyGroup)):
        assert group.help
    for name in cli.list_commands(click.Context(cli)):
        assert f"\n  {name} " in text


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out == f"runbus {VERSION}\n"


def imported(*words: str) -> set[str]:
    """What a fresh interpreter has imported after finding a command (and its services)."""
    code = (
        "import sys, click\n"
        "from runbus.cli.main import cli\n"
        "command = cli\n"
        f"for name in {words!r}:\n"
        "    command = command.get_command(click.Context(command), name)\n"
        "if 'start' in sys.argv: import services.runner.app\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words[-1:]], capture_output=True, text=True, check=True, timeout=30
    )  # fmt: skip
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        ((), {"asyncio", "msgspec", "nats", "rich", "structlog", "yaml"}),
        (("job",), {"asyncio", "nats", "rich", "yaml"}),
        (("job", "check"), {"asyncio", "nats", "rich", "structlog"}),
        (("contract",), {"asyncio", "nats", "rich", "yaml"}),
        (("run",), {"rich", "yaml", "sqlite3", "services.dispatcher", "services.registry", "services.runner"}),
        (("runner", "list"), {"rich", "yaml", "sqlite3"}),
        (("nodes", "list"), {"rich", "yaml", "sqlite3"}),
        (("nodes", "filter"), {"asyncio", "nats", "rich", "structlog"}),
        (("runner", "start"), {"rich", "yaml", "sqlite3", "runbus.client", "services.dispatcher"}),
        (("service", "registry"), {"rich", "yaml", "sqlite3", "runbus.client"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_imports_no_more_than_it_needs(words: tuple[str, ...], absent: set[str]) -> None:
    assert not imported(*words) & absent


@pytest.mark.parametrize("service", ["runner", "dispatcher", "registry", "nodesource", "keyproxy"])
@pytest.mark.slow
def test_a_service_runs_without_rich(service: str) -> None:
    """It ends at its settings: all that it needs has been imported by then."""
    env = {"PATH": os.environ["PATH"], "RUNBUS_NIX": ""}
    command = [sys.executable, "-X", "importtime", "-m", f"services.{service}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=30)
    assert done.returncode == 1
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert {"structlog.dev", f"services.{service}.app"} <= modules
    assert not {module for module in modules if module.startswith("rich.")}
