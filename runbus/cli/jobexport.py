"""``runbus job export``."""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

import click

from domain.jobfile import FORMATS, Format, write_job_file
from runbus.cli.context import Options, SharedCommand
from runbus.cli.session import Session, connected
from schemas import catalog
from schemas.api import JobListRequest, JobShowRequest
from schemas.jobs import JobDefinition

_BY_SUFFIX: Final[dict[str, Format]] = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".xml": "xml"}


@click.command(cls=SharedCommand)
@click.argument("names", nargs=-1, metavar="[JOB]...")
@click.option("--format", "form", type=click.Choice(FORMATS), help="How; else as FILE is called, or YAML.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Where to; else stdout.")  # fmt: skip
@click.pass_obj
def export(options: Options, names: tuple[str, ...], form: str | None, output: Path | None) -> None:
    """Write a job file of each JOB, or of all jobs of the project, in the original's form.

    What is read from it is what was stored.
    """

    async def work(session: Session) -> list[JobDefinition]:
        if not names:
            return (
                await session.call(catalog.JOB_LIST, JobListRequest(project=session.project), timeout_s=10.0)
            ).jobs
        return [
            await session.call(catalog.JOB_SHOW, JobShowRequest(project=session.project, job=name)) for name in names
        ]

    jobs = _once(connected(options, work))
    if not jobs:
        raise click.ClickException("There is no job in this project: nothing to write.")
    text = write_job_file(jobs, _format(form, output, as_json=options.as_json))
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    click.echo(f"Wrote {'1 job' if len(jobs) == 1 else f'{len(jobs)} jobs'} to {output}.", err=True)


def _format(form: str | None, output: Path | None, *, as_json: bool) -> Format:
    if form is not None:
        return cast("Format", form)
    suffix = output.suffix.lower() if output else ""
    return _BY_SUFFIX.get(suffix, "json" if as_json else "yaml")


def _once(jobs: list[JobDefinition]) -> list[JobDefinition]:
    """A job that was named twice stands once in the file: with two of one uuid it could not be read."""
    return list({job.uuid: job for job in jobs}.values())
