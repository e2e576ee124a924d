"""Jobs that call jobs, and what else planning decides, from the file to the streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas import catalog
from schemas.api import ExecutionView, JobPutRequest, RunRequest
from schemas.errors import ErrorCode
from schemas.states import ExecutionState
from tests.support.system import System, refused

pytestmark = pytest.mark.slow

INNER = """
- name: inner
  uuid: 00000000-0000-4000-8000-00000000000a
  loglevel: INFO
  sequence:
    keepgoing: false
    strategy: node-first
    commands: [{exec: 'echo inner ${option.x} on ${node.name}'}]
  options:
  - {name: x, regex: '[a-z]+', value: default}
"""
OUTER = """
- name: outer
  uuid: 00000000-0000-4000-8000-00000000000b
  loglevel: INFO
  sequence:
    keepgoing: false
    strategy: node-first
    commands:
    - exec: echo outer
    - jobref: {name: inner, group: '', args: '-x ${option.y}'}
      errorhandler: {exec: 'echo handled ${result.reason}', keepgoingOnSuccess: true}
    - exec: echo done
  options:
  - {name: y, value: fine}
"""


@pytest.fixture(autouse=True)
async def local(system: System) -> None:
    await system.up("local")


async def put(system: System, text: str) -> None:
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text, file="jobs.yaml"))


async def run(system: System, job: str, **fields: Any) -> ExecutionView:
    return await system.client.run(RunRequest(job=job, wait_s=20.0, **fields))


def job(name: str, commands: str, more: str = "") -> str:
    return (
        f"- name: {name}\n  loglevel: INFO\n  sequence:\n    keepgoing: false\n    strategy: node-first\n"
        f"    commands: {commands}\n{more}"
    )


async def test_a_job_calls_another(system: System) -> None:
    await put(system, INNER + OUTER)
    ended = await run(system, "outer")
    assert ended.state is ExecutionState.SUCCEEDED, ended.error
    assert await system.output(ended.id) == b"outer\ninner fine on local\ndone\n"
    assert [each.context or str(each.step) for each in ended.outcomes] == ["1", "2/1", "2", "3"]


async def test_its_options_are_checked_and_a_handler_clears_that(system: System) -> None:
    await put(system, INNER + OUTER)
    ended = await run(system, "outer", options={"y": "NOT"})
    assert ended.state is ExecutionState.SUCCEEDED, ended.error
    assert await system.output(ended.id) == b"outer\nhandled InvalidOptions\ndone\n"
    assert [each.context or str(each.step) for each in ended.outcomes] == ["1", "2", "2e", "3"]


async def test_a_circle_is_refused_when_the_run_is_asked_for(system: System) -> None:
    calls = "[{jobref: {name: %s, group: ''}}]"
    await put(system, job("a", calls % "b") + job("b", calls % "c") + job("c", calls % "a"))
    error = await refused(ErrorCode.INVALID_JOB, lambda: run(system, "a"))
    assert "a → b → c → a" in error.message


async def test_a_job_that_is_missing_is_told_when_the_run_is_asked_for(system: System) -> None:
    await put(system, job("a", "[{exec: 'true', errorhandler: {jobref: {name: none, group: x}}}]"))
    error = await refused(ErrorCode.UNKNOWN_JOB, lambda: run(system, "a"))
    assert "x/none" in error.message


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            "  nodefilters: {filter: local, dispatch: {threadcount: '${option.none}'}}\n",
            "threadcount is '${option.none}'",
        ),
        ("  nodefilters: {filter: local, dispatch: {threadcount: '${option.t}'}}\n", "threadcount is 'many'"),
        ("  timeout: ${option.t}\n", "timeout is 'many'"),
        ("  retry: ${option.t}\n", "retry is 'many'"),
        ("  loglimit: ${option.t}\n  loglimitAction: halt\n", "the log limit 'many' cannot be read"),
    ],
)
async def test_what_is_no_number_is_refused_by_name(system: System, more: str, text: str) -> None:
    system.start_nodesource()
    await put(system, job("a", "[{exec: 'true'}]", more + "  options:\n  - {name: t, value: many}\n"))
    error = await refused(ErrorCode.INVALID_JOB, lambda: run(system, "a"))
    assert text in error.message


async def test_scripts_from_elsewhere(system: System, tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text("echo @option.x@ $1")
    commands = (
        f"[{{scriptfile: '{tmp_path}/job.sh', args: '${{option.x}}'}}, "
        f"{{scripturl: 'file:{tmp_path}/job.sh', args: '${{option.x}}', expandTokenInScriptFile: true}}]"
    )
    await put(system, job("a", commands, "  options:\n  - {name: x, value: two words}\n"))
    ended = await run(system, "a")
    assert ended.state is ExecutionState.SUCCEEDED, ended.error
    assert await system.output(ended.id) == b"@option.x@ two words\ntwo words two words\n"


async def test_the_limit_of_an_option(system: System) -> None:
    await put(
        system, job("a", "[{exec: sleep 60}]", "  timeout: ${option.t}\n  options:\n  - {name: t, value: 1s}\n")
    )
    ended = await run(system, "a")
    assert ended.state is ExecutionState.TIMEDOUT
    assert ended.error is not None
    assert "longer than its limit of 1 s" in ended.error.message


async def test_secrets_are_in_no_stream_and_no_file(system: System, tmp_path: Path) -> None:
    options = "  options:\n  - {name: shown, secure: true, valueExposed: true}\n  - {name: hidden, secure: true}\n"
    inner = job("deep", "[{exec: 'echo deep ${option.shown} ${option.hidden}'}]", options)
    commands = (
        "[{exec: 'echo ${option.shown} ${option.hidden}'}, {script: 'test ${#RD_OPTION_SHOWN} = 11'}, "
        "{jobref: {name: deep, group: '', args: '-shown ${option.shown} -hidden ${option.hidden}'}}, "
        "{scriptfile: '/none/${option.shown}'}]"
    )
    await put(system, inner + job("a", commands, options))
    ended = await run(system, "a", options={"shown": "open-sesame", "hidden": "s3cr3t-hidden"})
    assert [each.state for each in ended.outcomes] == ["succeeded"] * 4 + ["failed"], ended.error
    assert ended.error is not None
    assert "[SECURE]" in ended.error.message
    assert await system.output(ended.id) == b"[SECURE]\ndeep [SECURE]\n"
    subjects = system.subjects
    for stream in (subjects.events_stream, subjects.logs_stream, subjects.jobs_stream, subjects.notify_stream):
        for _, data in await system.stored(stream, ">"):
            assert b"open-sesame" not in data
            assert b"s3cr3t-hidden" not in data
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"open-sesame" not in path.read_bytes(), path
            assert b"s3cr3t-hidden" not in path.read_bytes(), path
