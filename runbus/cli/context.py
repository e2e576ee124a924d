"""Options that all commands share, before or after the command's name; groups that import their commands late."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

import click

from bus.lean import import_lean
from domain.calm import uncollected
from runbus.cli import exits

Sections: TypeAlias = Mapping[str, Mapping[str, tuple[str, str]]]
"""Heading → command → (``module:attribute``, short help)."""


OFFLINE: Final = frozenset(
    {"runbus.cli.groups", "runbus.cli.contract", "runbus.cli.jobcheck", "runbus.cli.nodesfile"}
)
"""What needs neither the bus nor its log."""


@dataclass(slots=True)
class Options:
    """What was given on the command line; None where the environment or the default holds."""

    nats_url: str | None = None
    prefix: str | None = None
    project: str | None = None
    as_json: bool = False
    debug: bool = False

    def hint(self, command: str) -> str:
        """``command`` as the user would have to type it now: with the options that this call was given."""
        given = {"--nats-url": self.nats_url, "--prefix": self.prefix, "--project": self.project}
        return " ".join(["runbus", command, *(f"{name} {value}" for name, value in given.items() if value)])


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.find_root().ensure_object(Options), name, value)

    return callback


_HELP: Final = {
    "nats_url": ("--nats-url", "NATS server.  [env: RUNBUS_NATS_URL; default: nats://127.0.0.1:4222]"),
    "prefix": ("--prefix", "First token of all subjects.  [env: RUNBUS_PREFIX; default: rb]"),
    "project": ("--project", "Project.  [env: RUNBUS_PROJECT; default: default]"),
    "as_json": ("--json", "Print JSON."),
    "debug": ("--debug", "Tell what goes on, and show tracebacks."),
}


def _shared_options(names: tuple[str, ...], taken: set[str]) -> list[click.Parameter]:
    """The shared options, but for those of which a command has its own form."""
    return [
        click.Option(
            [flag, f"shared_{name}"],
            is_flag=name in ("as_json", "debug"),
            metavar=None if name in ("as_json", "debug") else name.rpartition("_")[2].upper(),
            help=text,
            expose_value=False,
            callback=_remember(name),
        )
        for name, (flag, text) in _HELP.items()
        if name in names and flag not in taken
    ]


class SharedCommand(click.Command):
    """A command with the shared options behind its own; ends quietly where nobody reads its output any more."""

    shared: ClassVar[tuple[str, ...]] = tuple(_HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options(self.shared, {flag for param in self.params for flag in param.opts})

    def invoke(self, ctx: click.Context) -> Any:
        """Carry it out, and write the rest of its output."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            forget_stdout()
            raise click.exceptions.Exit(exits.CLOSED_PIPE) from None
        return result


class ServiceCommand(SharedCommand):
    """A command that becomes a service: it has no project and prints no data."""

    shared: ClassVar[tuple[str, ...]] = ("nats_url", "prefix", "debug")


class LazyGroup(click.Group):
    """A group that knows its commands by name and short help, and imports one when it is used."""

    def __init__(self, *args: Any, sections: Sections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections
        self._targets = {name: target for commands in sections.values() for name, (target, _) in commands.items()}
        self.params += _shared_options(tuple(_HELP), set())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """In the order of the sections."""
        return list(self._targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command."""
        if cmd_name not in self._targets:
            return None
        module, _, attribute = self._targets[cmd_name].partition(":")
        with uncollected():  # a hundred thousand objects and no garbage: looking takes a tenth of the start
            if module not in OFFLINE:
                import_lean()
            command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a guess at what was meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches  # noqa: PLC0415  (only where something went wrong)

            near = get_close_matches(args[0], self._targets, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"{error.message}{hint}", error.ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """By section, from the short helps given: nothing is imported for this."""
        width = max(map(len, self._targets))
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, (_, text) in commands.items()])


def forget_stdout() -> None:
    """Let what is still buffered go nowhere: its reader has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
