"""References in ``storagePath``: which of them a run fills in is told when the file is looked at."""

from __future__ import annotations

import pytest

from domain.options import resolve_options
from schemas.options import Option
from tests.support.jobfiles import job, read

FILLED = [
    "runner/${option.env}/x", "runner/${unquotedoption.env}/x", "${option.env}", "keys/${job.project}/x",
    "runner/${job.username}/${job.name}", "runner/x",
]  # fmt: skip
UNFILLED = [
    ("${option.q}", "the job has no such option; a path"),
    ("${option.own}", "the option is secure, a path"),
    ("${option.env.more}", "the job has no such option"),
    ("${node.name}", "the key is read before the first step, for all nodes; a path"),
    ("${globals.x}", "a path may refer to plain options"),
    ("${secureOption.own}", "a path may"),
    ("${job.none}", "a path may"),
    ("${data.x}", "a path may"),
    ("${env}", "a path may"),
]


def warnings(path: str) -> list[str]:
    return read(job(f"options: [{{name: env}}, {{name: own, secure: true, storagePath: '{path}'}}]")).warnings


@pytest.mark.parametrize("path", FILLED)
def test_what_a_run_fills_in(path: str) -> None:
    assert warnings(path) == []


@pytest.mark.parametrize(("reference", "why"), UNFILLED)
def test_what_no_run_fills_in(reference: str, why: str) -> None:
    (warning,) = warnings(f"runner/{reference}/${{option.env}}/{reference}")
    assert warning.startswith(
        f"f.yaml:2:50: options[1].storagePath: '{reference}' is never filled in, and the key is looked for under "
        f"this very name: {why}"
    )
    options = [Option(name="env", value="e"), Option(name="own", secure=True, storage_path=f"runner/{reference}")]
    assert resolve_options(options, {}, job={"project": "p"}).stored["own"].path == f"runner/{reference}"


def test_options_by_name_and_a_path_without_effect() -> None:
    (warning,) = read(job("options: {own: {secure: true, storagePath: 'runner/${node.name}'}}")).warnings
    assert ": options.own.storagePath: '${node.name}' is never filled in" in warning
    (warning,) = read(job("options: [{name: own, storagePath: 'runner/${node.name}'}]")).warnings
    assert "without effect: only secure options" in warning
