"""A job as the map that its file holds in YAML and JSON; what holds anyway is left out, as in the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from domain.jobfile.read.notifications import URLS
from domain.jobfile.write.steps import log_filters, node_filters, step_map
from domain.notify.config import EMAIL
from schemas.jobs import JobDefinition, Notification, RunnerSelector, SelectorMode
from schemas.options import DEFAULT_DELIMITER, Option

_TYPES: Final = {
    SelectorMode.TAGS: "TAG_FILTER_AND",
    SelectorMode.FILTER: "TAG_FILTER_AND",
    SelectorMode.LOCAL: "LOCAL_RUNNER",
}


def job_map(job: JobDefinition) -> dict[str, Any]:
    """The fields of a job."""
    found: dict[str, Any] = {
        "name": job.name,
        "description": job.description,
        "loglevel": job.log_level,
        "executionEnabled": job.execution_enabled,
        "scheduleEnabled": job.schedule_enabled,
        "nodeFilterEditable": job.node_filter_editable,
        "sequence": _sequence(job),
    }
    if job.has_uuid:
        found |= {"id": job.uuid, "uuid": job.uuid}
    found |= _given(
        {
            "group": job.group,
            "options": [_option(option) for option in job.options],
            "runnerSelector": job.runner and _selector(job.runner),
            "runnerSelectorEditable": job.runner_editable,
            "timeout": job.timeout,
            "multipleExecutions": job.multiple_executions,
            "maxMultipleExecutions": job.max_multiple_executions,
            "notification": _notifications(job.notifications),
            "notifyAvgDurationThreshold": job.average_duration_threshold,
        }
    )
    if not job.nodes_selected_by_default or job.nodes:
        found["nodesSelectedByDefault"] = job.nodes_selected_by_default
    if job.nodes:
        found["nodefilters"] = node_filters(job.nodes)
    return found | _limits(job) | _times(job) | job.extras


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those with something in them."""
    return {name: value for name, value in values.items() if value not in (None, "", False, [], {}, ())}


def _sequence(job: JobDefinition) -> dict[str, Any]:
    extras = dict(job.flow.extras)
    config = log_filters(job.flow.log_filters) | extras.pop("pluginConfig", {})
    return {
        "commands": [step_map(step) for step in job.steps],
        "keepgoing": job.flow.keepgoing,
        "strategy": job.flow.strategy.value,
        **({"pluginConfig": config} if config else {}),
        **extras,
    }


def _option(option: Option) -> dict[str, Any]:
    """By the names they have on the wire, which are the original's."""
    defaults = {each.encode_name: each.default for each in msgspec.structs.fields(Option)}
    found = {
        name: value for name, value in msgspec.to_builtins(option).items() if value not in ({}, defaults.get(name))
    }
    found.pop("extras", None)
    found.pop("sortIndex", None)
    if option.values:
        found |= {"values": list(option.values), "valuesListDelimiter": option.values_list_delimiter}
    if option.multivalued:
        found["delimiter"] = option.delimiter or DEFAULT_DELIMITER
    return found | option.extras


def _selector(selector: RunnerSelector) -> dict[str, str]:
    filter_text = {"filter": selector.filter} if selector.filter else {}
    return {**filter_text, "runnerFilterMode": selector.mode.value, "runnerFilterType": _TYPES[selector.mode]}


def _notifications(notifications: Sequence[Notification]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for each in notifications:
        found.setdefault(each.trigger.value, []).append(_notification(each))
    return found


def _notification(notification: Notification) -> dict[str, Any]:
    config = dict(notification.config)
    if notification.type == EMAIL:
        return {EMAIL: config}
    if notification.type == URLS:
        return config
    return {"plugin": {"type": notification.type, "configuration": config}}


def _limits(job: JobDefinition) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if job.retry:
        count, delay = job.retry.count, job.retry.delay
        found["retry"] = {"retry": count, "delay": delay} if delay else count
    if job.log_limit:
        limit = job.log_limit
        found |= {"loglimit": limit.limit, "loglimitAction": limit.action, "loglimitStatus": limit.status}
    return found


def _times(job: JobDefinition) -> dict[str, Any]:
    if job.schedule is None:
        return {}
    schedule = job.schedule
    zone = {"timeZone": schedule.time_zone} if schedule.time_zone else {}
    return {"schedule": schedule.parts or {"crontab": schedule.crontab}, **zone}
