"""Job files for tests: small ones, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from domain.jobfile import JobFile, read_job_file
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition, Step

STEPS = "sequence: {commands: [{exec: ls}]}"


def job(text: str = "", *, steps: str = STEPS) -> str:
    """One job; ``text`` begins in line 2."""
    return "\n".join(line for line in ("name: n", text, steps) if line) + "\n"


def step(text: str) -> str:
    """One job with one step, a flow map's inside, from column 24 of line 2."""
    return job(steps=f"sequence: {{commands: [{{{text}}}]}}")


def xml(text: str, *, steps: str = "<command><exec>ls</exec></command>") -> str:
    """One job in XML; ``text`` begins in line 2."""
    return f"<joblist><job><name>n</name>\n{text}<sequence>{steps}</sequence></job></joblist>"


def read(text: str) -> JobFile:
    """The file ``f.yaml``, of project ``p``."""
    return read_job_file(text, project="p", file="f.yaml")


def one(text: str) -> JobDefinition:
    """Its only job."""
    (only,) = read(text).jobs
    return only


def one_step(text: str) -> Step:
    """The only step of its only job."""
    (only,) = one(text).steps
    return only


def read_or_error(text: str) -> JobFile | RunbusError:
    """Either of the two that may come of a text."""
    try:
        return read(text)
    except RunbusError as error:
        return error


def problems(text: str) -> list[dict[str, Any]]:
    """All problems; their lines in the message are looked at, too."""
    with pytest.raises(RunbusError) as caught:
        read(text)
    assert caught.value.code is ErrorCode.INVALID_JOB
    found: list[dict[str, Any]] = caught.value.details["problems"]
    assert found
    for line, problem in zip(caught.value.message.splitlines(), found, strict=False):
        path = f"{problem['path']}: " if problem["path"] else ""
        assert line == f"f.yaml:{problem['line']}:{problem['column']}: {path}{problem['text']}"
        assert "; " in line, "no word on what to do"
    return found


def the_problem(text: str) -> tuple[int, int, str, str]:
    """The only problem: line, column, path, text."""
    (only,) = problems(text)
    return only["line"], only["column"], only["path"], only["text"]
