"""Secure options on the command line: nothing of them is stored, shown, exported or taken from an argument."""

from __future__ import annotations

import pytest

from bus.bucket import Bucket
from domain.jobfile import read_job_file
from schemas import catalog
from schemas.api import ExecutionListRequest
from schemas.jobs import JobDefinition
from tests.integration.cli_system import Cli
from tests.integration.test_secure_options import everything
from tests.support.system import System

pytestmark = pytest.mark.slow

SECRET = "DefaultSecret-123"
JOB = f"""\
- name: login
  options:
  - {{name: tok, secure: true, valueExposed: true, value: {SECRET}, required: true}}
  - {{name: to, value: prod}}
  sequence: {{commands: [{{script: 'echo "to $RD_OPTION_TO, ${{#RD_OPTION_TOK}} letters"'}}]}}
"""


async def test_a_default_is_never_stored(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    put = await cli("job", "put", "-", stdin=JOB.encode())
    assert put.code == 0
    assert "Warning: stdin:3:51: value: without effect, and not stored: a secure option has no default" in put.err
    again = await cli("job", "put", "--json", "-", stdin=JOB.encode())
    shown = [await cli("job", "show", "login", *form) for form in ((), ("--json",))] + [
        await cli("job", "export", "--format", form) for form in ("yaml", "json", "xml")
    ]
    for each in (put, again, *shown):
        assert SECRET not in each.text + each.err
        assert "login" in each.text
    assert "prod" in shown[2].text
    assert SECRET.encode() not in await everything(system)


async def test_what_an_earlier_version_has_stored_is_not_shown(system: System) -> None:
    cli = Cli.of(await system.up())
    (old,) = read_job_file(JOB, project="default").jobs
    bucket = await Bucket.open(system.bus, system.subjects.jobs_bucket, JobDefinition)
    await bucket.put(f"default.{old.uuid}", old)
    for words in (("export",), ("export", "--format", "xml"), ("show", "login", "--json")):
        shown = await cli("job", *words)
        assert "login" in shown.text
        assert SECRET not in shown.text


async def test_a_value_in_an_argument_is_refused_and_a_missing_one_explained(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    await cli("job", "put", "-", stdin=JOB.encode())
    for words in (("-o", f"tok={SECRET}"), ("--", "-tok", SECRET), ("-o", "to=x", "-o", f"tok={SECRET}")):
        done = await cli("job", "run", "login", *words)
        assert (done.code, done.text) == (2, ""), done.err
        assert "option 'tok' is secure" in done.err
        assert "--secure-option tok" in done.err
        assert SECRET not in done.err
    missing = await cli("job", "run", "login", "-o", "to=x")
    assert missing.code == 125
    assert (
        "option 'tok' is required: give it a value\n--secure-option tok asks for it, or reads a line" in missing.err
    )
    reply = await system.client.call(catalog.EXECUTION_LIST, ExecutionListRequest())
    assert reply.executions == [], "nothing was sent"
    done = await cli("job", "run", "login", "-o", "to=x", "--secure-option", "tok", stdin=b"12345\n")
    assert (done.code, done.text) == (0, "to x, 5 letters\n"), done.err
    (cli.directory / "long").write_bytes(b"x" * 200_000)
    done = await cli("job", "run", "login", "--secure-option", "tok=@long")
    assert done.code == 2
    assert "option 'tok' has 200,000 bytes, and a process can be given 131,0" in done.err
    unknown = await cli("job", "run", "logon", "-o", "to=x")
    assert unknown.code == 125
    assert "Did you mean 'login'?" in unknown.err


async def test_where_nobody_knows_the_job_it_is_warned_of(system: System) -> None:
    done = await Cli.of(system)("job", "run", "login", "-o", f"tok={SECRET}")
    assert done.code == 125
    assert "Warning: whether 'tok' of this job is secure could not be looked up" in done.err
    assert SECRET not in done.err
