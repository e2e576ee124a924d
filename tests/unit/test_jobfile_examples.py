"""The job files under ``examples`` are good, without a warning, and keep all they say in every format."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.jobfile import FORMATS, read_job_file, write_job_file

FOLDER = Path(__file__).parents[2] / "examples" / "jobs"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix != ".md")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_is_good(path: Path) -> None:
    found = read_job_file(path.read_text(encoding="utf-8"), project="p", file=path.name)
    assert found.warnings == []
    for form in FORMATS:
        assert read_job_file(write_job_file(found.jobs, form), project="p").jobs == found.jobs


def test_the_readme_names_every_example() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert FILES
    assert [path.name for path in FILES if f"[{path.name}]({path.name})" not in readme] == []


def test_calls_between_examples_find_their_jobs() -> None:
    jobs = [job for path in FILES for job in read_job_file(path.read_text(encoding="utf-8"), project="p").jobs]
    paths = {job.ref.path for job in jobs}
    called = {f"{step.call.group}/{step.call.name}" for job in jobs for step in job.steps if step.call}
    assert called
    assert called <= paths
