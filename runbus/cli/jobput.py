"""``runbus job put``."""

from __future__ import annotations

import click

from runbus.cli import exits
from runbus.cli.context import Options, SharedCommand
from runbus.cli.failure import ORIGIN, paint, print_error
from runbus.cli.jobcheck import file_name, job_files, print_warnings, read_text
from runbus.cli.render import print_json
from runbus.cli.session import Session, connected
from schemas import catalog
from schemas.api import JobPutReply, JobPutRequest
from schemas.errors import ErrorCode, ErrorReply, RunbusError


@click.command(cls=SharedCommand)
@job_files
@click.pass_obj
def put(options: Options, files: tuple[str, ...]) -> None:
    """Store the jobs of each FILE ('-': stdin), all of a file or none: new ones, and changes to those there are."""

    async def work(session: Session) -> list[JobPutReply | ErrorReply]:
        return [await _put(session, file) for file in files]

    replies = connected(options, work)
    if options.as_json:
        print_json(replies)
    else:
        for reply in replies:
            _print_put(reply, options)
    if any(isinstance(reply, ErrorReply) for reply in replies):
        raise click.exceptions.Exit(exits.ERROR)


async def _put(session: Session, file: str) -> JobPutReply | ErrorReply:
    """One file that is refused does not keep the others from being stored; where nobody answers it ends."""
    try:
        request = JobPutRequest(text=read_text(file), project=session.project, file=file_name(file))
        return await session.call(catalog.JOB_PUT, request, timeout_s=30.0)
    except RunbusError as error:
        if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.UNKNOWN_PROJECT):
            raise
        if error.code is not ErrorCode.INVALID_JOB:
            error.message = f"{file_name(file)}: {error.message}"
        return ErrorReply(error=error.info(ORIGIN))


def _print_put(reply: JobPutReply | ErrorReply, options: Options) -> None:
    if isinstance(reply, ErrorReply):
        print_error(reply.error, options)
        return
    for done, jobs in (("created", reply.created), ("updated", reply.updated)):
        for each in jobs:
            click.echo(f"{done} {paint(each.ref.path, bold=True)} ({each.uuid})")
    print_warnings(reply.warnings)
