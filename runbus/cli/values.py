"""Values on the command line: durations, moments, tags, the choice of runners."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import click

from schemas.jobs import NodeDispatch, RunnerSelector, SelectorMode

F = TypeVar("F", bound=Callable[..., Any])

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNIT_S: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds_of(text: str) -> float | None:
    """Seconds from ``90``, ``1.5h``, ``1h30m``; None for anything else."""
    compact = re.sub(r"\s+", "", text.lower())
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        return float(compact)
    if not compact or _PART.sub("", compact):
        return None
    return sum(float(count) * _UNIT_S[unit] for count, unit in _PART.findall(compact))


class Duration(click.ParamType[float]):
    """A duration above 0, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        seconds = value if isinstance(value, float) else seconds_of(str(value))
        if seconds is None or seconds <= 0:
            self.fail(f"{value!r} is not a duration above 0: write 90, 30s, 5m, 1h30m or 2d.", param, ctx)
        return seconds


class Moment(click.ParamType[datetime]):
    """A moment: a duration before now, or an ISO time (local, where it has no offset)."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        seconds = seconds_of(str(value))
        try:
            if seconds is not None:
                return datetime.now().astimezone() - timedelta(seconds=seconds)
            return datetime.fromisoformat(str(value)).astimezone()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no moment: write how long ago (30m, 2h, 7d) or a time (2026-11-24, 2026-11-24T08:30).",
                param,
                ctx,
            )


DURATION: Final = Duration()
MOMENT: Final = Moment()


def tags_of(text: str) -> list[str]:
    """Tags joined by ``,`` or ``+``; none for an empty text.

    What is empty between two separators stays, and is refused as a tag.
    """
    return re.split(r"[,+]", text) if text.strip() else []


def chosen_tags(values: Sequence[str]) -> list[str]:
    """The tags of ``--tags`` where it selects runners, given once or more. Raises a usage error for an empty one.

    It is mostly a shell variable without a value: to go on without a selection would be to ask somebody else.
    """
    if any(not value.strip() for value in values):
        raise click.UsageError("--tags is empty: name tags, or leave it away.")
    return [tag for value in values for tag in tags_of(value)]


def names_of(values: tuple[str, ...]) -> list[str]:
    """Names from an option that is repeated, or given once with commas."""
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def target_options(command: F) -> F:
    """``--tags``, ``--filter``, ``--local``: see :func:`selector_of`."""
    options = (
        click.option("--tags", multiple=True, metavar="A+B", help="On a runner that bears all these tags."),
        click.option("--filter", "filter_text", metavar="TEXT", help="The same, as a tag filter typed by hand."),
        click.option("--local", is_flag=True, help="On the Local Runner."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def node_options(command: F) -> F:
    """Which nodes, and how many at a time: see :func:`nodes_of`."""
    options = (
        click.option("--nodes", metavar="FILTER", help="On the nodes that this filter selects, through the runner."),
        click.option("--exclude-nodes", metavar="FILTER", default="", help="But not on these."),
        click.option("--threads", type=click.IntRange(1), metavar="N", help="So many nodes at a time.  [1]"),
        click.option("--node-keepgoing", is_flag=True, help="Go on with other nodes after one that failed."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def nodes_of(nodes: str | None, exclude: str, threads: int | None, *, keepgoing: bool) -> NodeDispatch | None:
    """The dispatch that was chosen, None for none. Raises a usage error for manners without nodes."""
    if nodes is None:
        if exclude or threads is not None or keepgoing:
            raise click.UsageError("--exclude-nodes, --threads and --node-keepgoing go with --nodes.")
        return None
    return NodeDispatch(filter=nodes, filter_exclude=exclude, threadcount=str(threads or 1), keepgoing=keepgoing)


def limit_options(command: F) -> F:
    """Limits and manner of a run."""
    options = (
        click.option("--timeout", "timeout_s", type=DURATION, help="Limit of the running time: 30s, 5m, 1h30m."),
        click.option("--deadline", "deadline_s", type=DURATION, help="It must have ended by then, even if queued."),
        click.option("--wait-for-runner", is_flag=True, help="Queue it where no such runner is connected now."),
        click.option("--detach", is_flag=True, help="Print the execution's id and leave."),
        click.option("--id", "chosen_id", default="", metavar="ID",
                     help="Choose the id: the same id is the same execution."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def selector_of(tags: tuple[str, ...] | list[str], filter_text: str | None, *, local: bool) -> RunnerSelector | None:
    """The choice that was made, None for none. Raises a usage error for two."""
    if sum((bool(tags), filter_text is not None, local)) > 1:
        raise click.UsageError("--tags, --filter and --local exclude each other: give one of them.")
    if local:
        return RunnerSelector(mode=SelectorMode.LOCAL)
    if tags:
        return RunnerSelector(mode=SelectorMode.TAGS, filter="+".join(tags))
    if filter_text is not None:
        return RunnerSelector(mode=SelectorMode.FILTER, filter=filter_text)
    return None


def pairs_of(option: str, given: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` each. Raises a usage error."""
    pairs = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not (key and equals):
            raise click.UsageError(f"{option} {each!r}: write NAME=VALUE.")
        pairs[key] = value
    return pairs
