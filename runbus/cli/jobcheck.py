"""``runbus job check``: job files, one after the other, and what is said of each. Nothing here needs the bus."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from domain.workflow.plugins import OWN_STEPS, placed_steps
from runbus.cli import exits
from runbus.cli.context import Options, SharedCommand
from runbus.cli.failure import clean, paint
from runbus.cli.render import print_json
from runbus.cli.settings import settings_of
from runbus.plugin import ENTRY_POINT_GROUP
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import MAX_JOB_FILE_BYTES, JobDefinition

_PLACED: Final = re.compile(r"(?P<place>.*?:\d+:\d+): (?:(?P<path>[^\s:]+): )?(?P<text>.*)", re.DOTALL)
_NOT_NOW: Final = re.compile(r"(?P<place>.*?): (?P<text>it could not run now\. .*)", re.DOTALL)
_PLACES_SHOWN: Final = 5

job_files = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True), metavar="FILE..."
)


class Checked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.cli.checked.v1"):
    """What ``job check`` found in one file."""

    file: str
    jobs: list[JobDefinition] = []
    problems: list[dict[str, Any]] = []
    warnings: list[str] = []


class CheckCommand(SharedCommand):
    """It needs no connection."""

    shared = ("project", "as_json", "debug")


def print_warnings(warnings: Sequence[str]) -> None:
    """To stderr, folded."""
    for line in folded(warnings):
        click.echo(f"{paint('Warning:', 'yellow')} {clean(line)}", err=True)


def folded(warnings: Sequence[str]) -> list[str]:
    """Warnings with the same text as one, with the first places of it."""
    groups: dict[tuple[str, str], list[str]] = {}
    for warning in warnings:
        found = _NOT_NOW.fullmatch(warning) or _PLACED.fullmatch(warning)
        parts = found.groupdict() if found else {"place": "", "text": warning}
        field = (parts.get("path") or "").rpartition(".")[2]
        groups.setdefault((field, parts["text"]), []).append(parts["place"])
    return [_one_line(field, text, places) for (field, text), places in groups.items()]


def _one_line(field: str, text: str, places: list[str]) -> str:
    where = ", ".join(places[:_PLACES_SHOWN])
    more = f" and {len(places) - _PLACES_SHOWN} more" if len(places) > _PLACES_SHOWN else ""
    return ": ".join(part for part in (where + more, field, text) if part)


@click.command(cls=CheckCommand)
@job_files
@click.pass_obj
def check(options: Options, files: tuple[str, ...]) -> None:
    """Check each FILE ('-': stdin) without a connection: every problem with its line and column.

    The exit code is 1 where there is one.
    """
    project = settings_of(options).project
    found = [_check(file, project) for file in files]
    if options.as_json:
        print_json(found)
    else:
        for each in found:
            _print_checked(each)
    if any(each.problems for each in found):
        raise click.exceptions.Exit(exits.PROBLEMS)


def _check(file: str, project: str) -> Checked:
    from domain.jobfile import read_job_file  # noqa: PLC0415  (brings the YAML parser, which 'put' leaves to others)
    from domain.options.secure import without_secure_defaults  # noqa: PLC0415  (as above)

    try:
        read = read_job_file(read_text(file), project=project, file=file_name(file))
    except RunbusError as error:
        problems = error.details.get("problems") or [{"line": 0, "column": 0, "path": "", "text": error.message}]
        return Checked(file=file_name(file), problems=problems)
    jobs = list(map(without_secure_defaults, read.jobs))
    return Checked(
        file=file_name(file), jobs=jobs, warnings=[*read.warnings, *strange_steps(read.jobs, file_name(file))]
    )


def strange_steps(jobs: Sequence[JobDefinition], file: str) -> list[str]:
    """A warning for each step whose plugin is not known here: whether a runner bears it shows when it is stored."""
    known = {*OWN_STEPS, *entry_points(group=ENTRY_POINT_GROUP).names}
    return [
        f"{file}: {job.ref.path}, step {place}: plugin {step.plugin!r} is neither Runbus's own nor installed here; "
        "the job needs a runner that bears it"
        for job in jobs
        for place, step in placed_steps(job.steps)
        if step.plugin not in known
    ]


def _print_checked(checked: Checked) -> None:
    for problem in checked.problems:
        where = f"{checked.file}:{problem['line']}:{problem['column']}" if problem["line"] else checked.file
        click.echo(": ".join(part for part in (where, problem["path"], problem["text"]) if part))
    print_warnings(checked.warnings)
    if not checked.problems:
        jobs = "1 job" if len(checked.jobs) == 1 else f"{len(checked.jobs)} jobs"
        click.echo(f"{checked.file}: {paint('good', 'green')}, {jobs}")


def file_name(file: str) -> str:
    """As texts call it."""
    return "stdin" if file == "-" else file


def read_text(file: str) -> str:
    """A file as text. Raises ``invalid_job`` where it is none, and where it is too large to be read at all."""
    if file == "-":
        data = sys.stdin.buffer.read(MAX_JOB_FILE_BYTES + 1)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_JOB_FILE_BYTES + 1)
    if len(data) > MAX_JOB_FILE_BYTES:
        raise _unreadable(file, (1, 1), f"longer than {MAX_JOB_FILE_BYTES >> 20} MiB; split the file")
    try:
        return data.decode()
    except UnicodeDecodeError as cause:
        before = data[: cause.start]
        place = before.count(b"\n") + 1, cause.start - before.rfind(b"\n")
        raise _unreadable(file, place, "not UTF-8 text; save it as UTF-8") from None


def _unreadable(file: str, place: tuple[int, int], text: str) -> RunbusError:
    line, column = place
    return RunbusError(
        ErrorCode.INVALID_JOB,
        f"{file_name(file)}:{line}:{column}: {text}",
        details={"problems": [{"line": line, "column": column, "path": "", "text": text}]},
    )
