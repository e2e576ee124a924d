"""Job files of all forms through the bus: put, exported, and put again without a change."""

from __future__ import annotations

import pytest

from domain.jobfile import read_job_file
from schemas import api
from schemas.codec import decode
from tests.integration.cli_system import Cli
from tests.support.jobfixtures import XML, YAML
from tests.support.system import System

pytestmark = pytest.mark.slow

_SECOND = "\n- name: second\n  sequence: {commands: [{exec: ls}]}\n"


async def test_jobs_come_back_as_they_were_put(system: System) -> None:
    cli = Cli.of(await system.up())
    (cli.directory / "jobs.xml").write_text(XML)
    put = await cli("job", "put", "--json", "jobs.xml")
    (stored,) = decode(put.out, list[api.JobPutReply])[0].created
    for arguments, file in (((), "a.yaml"), (("--format", "xml"), "b.txt"), ((), "c.json")):
        written = await cli("job", "export", stored.ref.path, "--output", file, *arguments)
        assert (written.code, written.err) == (0, f"Wrote 1 job to {file}.\n")
        again = read_job_file((cli.directory / file).read_text(), project="default", file=file).jobs
        assert again == [stored]
        updated = decode((await cli("job", "put", "--json", file)).out, list[api.JobPutReply])[0]
        assert (updated.created, updated.updated) == ([], [stored])


async def test_all_jobs_are_exported_where_none_is_named(system: System) -> None:
    cli = Cli.of(await system.up())
    none = await cli("job", "export")
    assert (none.code, none.out) == (125, b"")
    assert "There is no job in this project: nothing to write." in none.err
    await cli("job", "put", "-", stdin=(YAML + _SECOND).encode())
    shown = await cli("job", "export")
    assert {job.ref.path for job in read_job_file(shown.text, project="default").jobs} == {
        "ops/web/Restart",
        "second",
    }
    unknown = await cli("job", "export", "second", "nix")
    assert (unknown.code, unknown.out) == (125, b"")
    assert "nix" in unknown.err
    twice = await cli("job", "export", "second", "second", "--json")
    assert [job.name for job in read_job_file(twice.text, project="default", file="f.json").jobs] == ["second"]
    refused = await cli("job", "export", "--output", "/nowhere/jobs.yaml")
    assert refused.code == 125
    assert "No such file or directory: /nowhere/jobs.yaml" in refused.err
