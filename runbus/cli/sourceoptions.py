"""What the command line says of a node source: its type, settings, runners and times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
import msgspec

from domain.discovery.definition import MAX_TIMEOUT_S
from runbus.cli.jobcheck import read_text
from runbus.cli.render import duration
from runbus.cli.values import chosen_tags, pairs_of, seconds_of, selector_of
from schemas.sources import SourceDefinition

F = TypeVar("F", bound=Callable[..., Any])


class Every(click.ParamType[float]):
    """An interval in seconds; 0, or ``never``, for none."""

    name = "interval"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        seconds = 0.0 if str(value) == "never" else seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} is no interval: write 30s, 5m, 1h, or never.", param, ctx)
        return seconds


class Limit(click.ParamType[float]):
    """How long one refresh may take, in seconds: there is always an end to it."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        seconds = seconds_of(str(value))
        if str(value) == "never" or seconds == 0:
            self.fail(
                f"a refresh cannot go on for ever: give it a limit, {duration(MAX_TIMEOUT_S)} at most.", param, ctx
            )
        if seconds is None or seconds > MAX_TIMEOUT_S:
            limit = duration(MAX_TIMEOUT_S)
            self.fail(f"{value!r} is no time above 0, {limit} at most: write 30s, 2m, 1h.", param, ctx)
        return seconds


def definition_options(command: F) -> F:
    """What a source is."""
    return _with_options(command, by_default="  [{}]")


def change_options(command: F) -> F:
    """The same for one that is there: what is not named stays as it is."""
    return _with_options(command, by_default="")


def _with_options(command: F, *, by_default: str) -> F:
    interval, timeout, local = map(by_default.format, ("5m", "2m", "default"))
    options = (
        click.option("--type", "kind", metavar="TYPE", help="The plugin: ansible, docker, file, kubernetes, ..."),
        click.option("--config", multiple=True, metavar="K=V", help="A setting; a secret names a key (keys/...)."),
        click.option("--tags", multiple=True, metavar="T,...", help="Ask a runner that bears all these tags."),
        click.option("--filter", "filter_text", metavar="TAGS", help="The same, typed: 'linux+dev'."),
        click.option("--local", is_flag=True, help=f"Ask the Local Runner.{local}"),
        click.option("--interval", type=Every(), metavar="TIME",
                     help=f"Between refreshes; never: on request.{interval}"),
        click.option("--timeout", type=Limit(), metavar="TIME", help=f"For one refresh, 1h at most.{timeout}"),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def changed(source: SourceDefinition, given: dict[str, Any]) -> SourceDefinition:
    """The source with what the command line says of it."""
    changes: dict[str, Any] = {}
    if given["kind"]:
        changes["type"] = given["kind"]
    changes["config"] = {**source.config, **pairs_of("--config", given["config"])}
    tags = chosen_tags(given["tags"])
    selector = selector_of(tags, given["filter_text"], local=given["local"])
    if selector is not None:
        changes["runner"] = None if given["local"] else selector
    for name, field in (("interval", "interval_s"), ("timeout", "timeout_s")):
        if given[name] is not None:
            changes[field] = given[name]
    return msgspec.structs.replace(source, **changes)


def without(source: SourceDefinition, unset: Sequence[str]) -> dict[str, str]:
    """The settings without these. Raises a usage error for one that it does not have."""
    for name in unset:
        if name not in source.config:
            has = f"there are: {', '.join(sorted(source.config))}" if source.config else "it has none"
            raise click.UsageError(f"--unset {name!r}: node source {source.name} has no such setting; {has}.")
    return {name: value for name, value in source.config.items() if name not in unset}


def new_source(name: str, given: dict[str, Any]) -> SourceDefinition:
    """A source that is there not yet. Raises a usage error where its type is not told."""
    if not given["kind"]:
        raise click.UsageError("which plugin? Give its --type: ansible, docker, file, kubernetes, script, vmware.")
    return changed(SourceDefinition(name=name, type=""), given)


def sources_of_file(file: str) -> list[SourceDefinition]:
    """The sources of a file, or of stdin (``-``). Raises ``invalid_source`` with the place of the fault."""
    from domain.discovery.sourcesfile import read_sources  # noqa: PLC0415  (brings the YAML parser)

    return read_sources(read_text(file), file)
