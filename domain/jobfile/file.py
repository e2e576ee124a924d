"""The file that holds jobs."""

from __future__ import annotations

import msgspec
import yaml

from domain.jobfile.notes import Notes, Place, Position
from domain.jobfile.read.jobs import read_jobs
from domain.jobfile.read.values import is_null, wrong_type
from domain.jobfile.source import documents
from schemas.jobs import JobDefinition


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a job file holds, and what in it has no effect here (one line each, with its place)."""

    jobs: list[JobDefinition]
    warnings: list[str]


def read_job_file(text: str, *, project: str, file: str = "") -> JobFile:
    """Read the original's YAML, JSON or XML: each document a list of jobs, or one job.

    ``file`` is a name for messages; where it ends in ``.xml`` or ``.json`` it says the format, else the text does.
    Raises one ``invalid_job`` for all problems of the file: the message has the first of them, one a line, as
    ``FILE:LINE:COLUMN: PATH: what is wrong; what to do``; ``details["problems"]`` has line, column, path and text of
    each. Never raises anything else, whatever the text.
    """
    notes = Notes(file)
    jobs = read_jobs(_job_places(documents(text, notes, file), notes), notes, project)
    if notes.count:
        raise notes.error()
    return JobFile(jobs=jobs, warnings=notes.warnings)


def _job_places(roots: list[yaml.Node], notes: Notes) -> list[Place]:
    """Where each job stands; a job's fields are named by themselves where it is the only one of its file."""
    if not roots and not notes.count:
        notes.problem(Position(1, 1), "", "the file is empty; write a job into it")
    found: list[Place] = []
    for root in roots:
        place = Place.of(root, "", notes)
        if is_null(root):
            place.problem("an empty document; write a job into it, or remove its '---'")
        elif isinstance(root, yaml.SequenceNode):
            if not root.value:
                place.problem("an empty list of jobs; write a job into it")
            found += place.items()
        elif isinstance(root, yaml.MappingNode):
            found.append(place)
        else:
            place.problem(wrong_type(place, "a list of jobs or one job", "write '- name: ...'").text)
    return [place.at(f"[{index}]" if len(found) > 1 else "") for index, place in enumerate(found)]
