"""Jobs, and the file that holds them."""

from __future__ import annotations

import uuid
from typing import Any, Final

from domain.jobfile.notes import Notes, Place, Refused
from domain.jobfile.read.exposed import tell_of_arguments
from domain.jobfile.read.fields import Fields, Kept, Table, Unknown, read_map, without_effect
from domain.jobfile.read.handedon import tell_of_calls
from domain.jobfile.read.limits import log_limit, log_limit_of, retry, retry_of
from domain.jobfile.read.nodes import dispatch, idle_settings, node_dispatch, nodefilters
from domain.jobfile.read.notifications import notifications
from domain.jobfile.read.options import check_names, options
from domain.jobfile.read.plugins import Plugins, plugins
from domain.jobfile.read.schedule import schedule, time_zone
from domain.jobfile.read.selector import runner_selector
from domain.jobfile.read.steps import sequence
from domain.jobfile.read.storagepath import tell_of_references
from domain.jobfile.read.together import look_at
from domain.jobfile.read.values import (
    boolean,
    duration,
    filled_text,
    one_word,
    optional_text,
    quoted,
    trimmed_text,
    whole_number,
    wrong_type,
)
from domain.jobfile.source import Inspection
from schemas.errors import RunbusError
from schemas.jobs import Flow, JobDefinition, Schedule
from schemas.options import Option
from schemas.tokens import identifier

JOB_NAMESPACE: Final = uuid.UUID("6f2d1c1e-0f4b-5d0a-9a55-3d1b6f0f7c21")
"""Of the uuids made from project, group and name: a constant for ever, or files put twice would make two jobs."""

_LOG_LEVELS: Final = ("DEBUG", "VERBOSE", "INFO", "NORMAL", "WARN", "ERROR", "OTHER")


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
    value = trimmed_text(place)
    if value is None:
        return None
    try:
        return identifier("uuid", value)
    except RunbusError:
        raise Refused(f"{quoted(value)} is not a valid uuid; use 1 to 64 letters, digits, '-' or '_'") from None


def _most_executions(place: Place) -> int | None:
    value = whole_number(least=1)(place)
    if value is not None and not value.isdigit():
        raise Refused(f"{quoted(value)} is no whole number; write one")
    return None if value is None else int(value)


def _options(place: Place) -> list[Option]:
    found = options(place)
    check_names(found, place)
    return found


def _plugins(place: Place) -> Plugins | None:
    found = plugins(place)
    if found and found.log_filters:
        raise Refused("a job has no log filters of its own; put them into sequence.pluginConfig.LogFilter")
    return found


JOB_FIELDS: Final[Table] = {
    "name": _name,
    "group": _group,
    "uuid": _uuid,
    "id": _uuid,
    "description": optional_text,
    "project": without_effect("a job goes into the project it is put into"),
    "sequence": sequence,
    "options": _options,
    "runnerSelector": runner_selector,
    "runnerSelectorEditable": boolean,
    "nodefilters": nodefilters,
    "dispatch": dispatch,
    "nodesSelectedByDefault": boolean,
    "nodeFilterEditable": boolean,
    "excludeFilterUncheck": Kept(),
    "timeout": duration,
    "retry": retry,
    "retryDelay": duration,
    "loglevel": one_word(*_LOG_LEVELS, folded=str.upper),
    "loglimit": log_limit,
    "loglimitAction": one_word("halt", "truncate"),
    "loglimitStatus": trimmed_text,
    "multipleExecutions": boolean,
    "maxMultipleExecutions": _most_executions,
    "schedule": schedule,
    "timeZone": time_zone,
    "scheduleEnabled": boolean,
    "executionEnabled": boolean,
    "schedules": Kept("the job does not run by schedules that are defined outside of it"),
    "notification": notifications,
    "notifyAvgDurationThreshold": trimmed_text,
    "orchestrator": Kept("nodes take turns by rank and thread count only"),
    "plugins": _plugins,
    "jobQueueEnabled": Kept("runs of one job are not queued behind one another"),
    "jobQueueSizeLimit": Kept(),
    "tags": Kept(),
    "defaultTab": Kept(),
    "averageDuration": Kept(),
    "user": Kept(),
}


_VITAL: Final = ("runnerSelector", "nodefilters")
"""Without them the job would run, on the Local Runner, where it was not meant to."""


def read_jobs(places: list[Place], notes: Notes, project: str) -> list[JobDefinition]:
    """All jobs of a file; problems, also of jobs that contradict one another, are noted."""
    inspection = Inspection(notes)
    known: dict[tuple[str, str], int] = {}
    jobs: list[JobDefinition] = []
    own_places: list[Place] = []
    for place in places:
        if not inspection.accepts(place):
            break
        job = _read_job(place, project)
        if job:
            jobs.append(job)
            own_places.append(place)
            same_path = _repeats(known, place, "group and name", job.ref.path)
            if not same_path or job.uuid != made_uuid(project, job.ref.path):
                _repeats(known, place, "uuid", job.uuid)
    tell_of_calls(jobs, own_places)
    return jobs


def made_uuid(project: str, path: str) -> str:
    """The same for the same job: putting a file twice updates its jobs."""
    return str(uuid.uuid5(JOB_NAMESPACE, f"{project}/{path}"))


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
        fields = read_map(place, JOB_FIELDS, unknown=Unknown.KEPT, vital=_VITAL)
    except Refused as refused:
        place.problem(refused.text)
        return None
    fields.require("name", "every job has a name")
    fields.require("sequence", "write 'sequence: {commands: [...]}' with the job's steps")
    if "name" not in fields.values:
        return None
    return _definition(fields, project)


def _definition(fields: Fields, project: str) -> JobDefinition:
    group, name = fields.get("group", ""), fields.get("name")
    given = _given_uuid(fields)
    steps, flow = fields.get("sequence", ([], Flow()))
    job = JobDefinition(
        uuid=given or made_uuid(project, f"{group}/{name}" if group else name),
        has_uuid=given is not None,
        name=name,
        project=project,
        group=group,
        description=fields.get("description", ""),
        steps=steps,
        flow=flow,
        options=fields.get("options", []),
        runner=fields.get("runnerSelector"),
        runner_editable=fields.get("runnerSelectorEditable", False),
        **_nodes(fields),
        **_limits(fields),
        **_times(fields),
        notifications=fields.get("notification", []),
        average_duration_threshold=fields.get("notifyAvgDurationThreshold", ""),
        extras=_extras(fields),
    )
    look_at(job, fields)
    tell_of_arguments(job, fields)
    tell_of_references(job, fields)
    return job


def _given_uuid(fields: Fields) -> str | None:
    given = {fields.values[key] for key in ("uuid", "id") if key in fields.values}
    if len(given) > 1:
        fields.places["id"].problem(f"differs from uuid {quoted(fields.values['uuid'])}; keep one of the two")
    found: str | None = fields.get("uuid") or fields.get("id")
    return found


def _nodes(fields: Fields) -> dict[str, Any]:
    """The original lets whoever runs a job change its nodes unless the job says no."""
    filters, beside = fields.get("nodefilters"), fields.get("dispatch")
    nodes = node_dispatch(filters, beside)
    if nodes is None and (idle := idle_settings(filters, beside)):
        fields.extras["nodefilters"] = {"dispatch": idle}
        where = fields.places.get("nodefilters") or fields.places["dispatch"]
        where.warn("kept, and without effect: there is no 'filter', so the job is not dispatched to nodes")
    return {
        "nodes": nodes,
        "node_filter_editable": fields.get("nodeFilterEditable", True),
        "nodes_selected_by_default": fields.get("nodesSelectedByDefault", True),
    }


def _limits(fields: Fields) -> dict[str, Any]:
    found = {"retry": retry_of(fields), "log_limit": log_limit_of(fields)}
    for name, beside in (("retryDelay", "retry"), ("loglimitAction", "loglimit"), ("loglimitStatus", "loglimit")):
        if name in fields.values and beside not in fields.values:
            fields.keep(name)
            fields.places[name].warn(f"kept, and without effect: it means something beside {beside!r} only")
    return found | {
        "timeout": fields.get("timeout", ""),
        "log_level": fields.get("loglevel", "INFO"),
        "multiple_executions": fields.get("multipleExecutions", False),
        "max_multiple_executions": fields.get("maxMultipleExecutions"),
    }


def _times(fields: Fields) -> dict[str, Any]:
    times: Schedule | None = fields.get("schedule")
    zone = fields.get("timeZone", "")
    if times is None and zone:
        fields.keep("timeZone")
    return {
        "schedule": times and Schedule(crontab=times.crontab, time_zone=zone, parts=times.parts),
        "schedule_enabled": fields.get("scheduleEnabled", True),
        "execution_enabled": fields.get("executionEnabled", True),
    }


def _extras(fields: Fields) -> dict[str, Any]:
    own: Plugins | None = fields.get("plugins")
    return fields.extras | ({"plugins": own.others} if own and own.others else {})
