"""Jobs, and the file that holds them."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec
import yaml

from domain.jobfile.fields import (
    Fields,
    Reader,
    harmless_if,
    ignored,
    one_of,
    read_map,
    unsupported,
)
from domain.jobfile.notes import Notes, Place, Position, Refused
from domain.jobfile.selector import runner_selector
from domain.jobfile.source import Inspection, documents
from domain.jobfile.steps import sequence
from domain.jobfile.values import (
    duration,
    filled_text,
    is_null,
    optional_boolean,
    optional_text,
    quoted,
    wrong_type,
)
from schemas.errors import RunbusError
from schemas.jobs import JobDefinition
from schemas.tokens import identifier

JOB_NAMESPACE: Final = uuid.UUID("6f2d1c1e-0f4b-5d0a-9a55-3d1b6f0f7c21")
"""Of the uuids made from project, group and name: a constant for ever, or files put twice would make two jobs."""


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a job file holds, and what in it has no effect here (one line each, with its place)."""

    jobs: list[JobDefinition]
    warnings: list[str]


def read_job_file(text: str, *, project: str, file: str = "") -> JobFile:
    """Read the original's YAML: each document a list of jobs, or one job.

    ``file`` is only a name for messages. Raises one ``invalid_job`` for all problems of the file: the message has
    the first of them, one a line, as ``FILE:LINE:COLUMN: PATH: what is wrong; what to do``; ``details["problems"]``
    has line, column, path and text of each. Never raises anything else, whatever the text.
    """
    notes = Notes(file)
    jobs = _read_jobs(_job_places(documents(text, notes), notes), notes, project)
    if notes.count:
        raise notes.error()
    return JobFile(jobs=jobs, warnings=notes.warnings)


def _name(place: Place) -> str:
    value = _printable(place, filled_text(place))
    if "/" in value:
        raise Refused(f"{quoted(value)} contains '/'; put what is before it into 'group'")
    return value


def _group(place: Place) -> str | None:
    return _printable(place, optional_text(place) or "").strip("/") or None


def _printable(place: Place, value: str) -> str:
    if not value.isprintable():
        raise wrong_type(place, "one line of printable text")
    return value


def _uuid(place: Place) -> str | None:
    value = optional_text(place)
    if value is None:
        return None
    try:
        return identifier("uuid", value)
    except RunbusError:
        raise Refused(f"{quoted(value)} is not a valid uuid; use 1 to 64 letters, digits, '-' or '_'") from None


_ENABLED: Final = one_of("true", "yes", "on")


def _no_retry(node: yaml.Node) -> bool:
    if isinstance(node, yaml.MappingNode):
        return all(getattr(key, "value", "") != "retry" or _no_retry(value) for key, value in node.value)
    return isinstance(node, yaml.ScalarNode) and (is_null(node) or node.value.strip() in {"", "0"})


JOB_FIELDS: Final[dict[str, Reader]] = {
    "name": _name,
    "group": _group,
    "uuid": _uuid,
    "id": _uuid,
    "description": optional_text,
    "timeout": duration,
    "runnerSelector": runner_selector,
    "runnerSelectorEditable": optional_boolean,
    "sequence": sequence,
    "averageDuration": ignored("executions are measured here anew"),
    "defaultTab": ignored("it concerns the original's web page only"),
    "executionEnabled": harmless_if(_ENABLED, "true is how every job is"),
    "loglevel": ignored("the whole log is kept"),
    "loglimit": unsupported,
    "loglimitAction": ignored("it means something beside 'loglimit' only"),
    "loglimitStatus": ignored("it means something beside 'loglimit' only"),
    "maxMultipleExecutions": unsupported,
    "multipleExecutions": ignored("executions of one job may always overlap"),
    "nodeFilterEditable": ignored("it means something beside 'nodefilters' only"),
    "nodefilters": unsupported,
    "nodesSelectedByDefault": ignored("it means something beside 'nodefilters' only"),
    "notification": unsupported,
    "notifyAvgDurationThreshold": ignored("it means something beside 'notification' only"),
    "options": unsupported,
    "orchestrator": unsupported,
    "plugins": unsupported,
    "project": ignored("a job goes into the project it is put into"),
    "retry": harmless_if(_no_retry, "0 retries is how jobs run anyway"),
    "retryDelay": ignored("it means something beside 'retry' only"),
    "schedule": unsupported,
    "scheduleEnabled": ignored("it means something beside 'schedule' only"),
    "schedules": unsupported,
    "tags": ignored("they label the job in the original's lists; runners are chosen by 'runnerSelector'"),
    "timeZone": ignored("it means something beside 'schedule' only"),
}


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


def _read_jobs(places: list[Place], notes: Notes, project: str) -> list[JobDefinition]:
    inspection = Inspection(notes)
    known: dict[tuple[str, str], int] = {}
    jobs = []
    for place in places:
        if not inspection.accepts(place):
            break
        job = _read_job(place, project)
        if job:
            jobs.append(job)
            same_path = _repeats(known, place, "group and name", job.ref.path)
            if not same_path or job.uuid != _made_uuid(project, job.ref.path):
                _repeats(known, place, "uuid", job.uuid)
    return jobs


def _repeats(known: dict[tuple[str, str], int], place: Place, what: str, value: str) -> bool:
    first = known.get((what, value))
    if first is None:
        known[what, value] = place.position.line
        return False
    place.problem(f"same {what} as the job in line {first} ({quoted(value)}); change one, or remove it")
    return True


def _read_job(place: Place, project: str) -> JobDefinition | None:
    """The job, also where parts of it are wrong (noted), so that it still counts as one of its file."""
    try:
        fields = read_map(place, JOB_FIELDS)
    except Refused as refused:
        place.problem(refused.text)
        return None
    fields.require("name", "every job has a name")
    fields.require("sequence", "write 'sequence: {commands: [...]}' with the job's steps")
    if "name" not in fields.values:
        return None
    return _definition(fields, project)


def _definition(fields: Fields, project: str) -> JobDefinition:
    values: dict[str, Any] = fields.values
    group, name = values.get("group", ""), values["name"]
    given = {values[key] for key in ("uuid", "id") if key in values}
    if len(given) > 1:
        fields.places["id"].problem(f"differs from uuid {quoted(values['uuid'])}; keep one of the two")
    made = _made_uuid(project, f"{group}/{name}" if group else name)
    return JobDefinition(
        uuid=values.get("uuid") or values.get("id") or made,
        name=name,
        project=project,
        group=group,
        description=values.get("description", ""),
        steps=values.get("sequence", []),
        timeout=values.get("timeout", ""),
        runner=values.get("runnerSelector"),
        runner_editable=values.get("runnerSelectorEditable", False),
    )


def _made_uuid(project: str, path: str) -> str:
    """The same for the same job: putting a file twice updates its jobs."""
    return str(uuid.uuid5(JOB_NAMESPACE, f"{project}/{path}"))
