"""``plugins`` and ``pluginConfig``: log filters, and what other plugins of the original are given."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import yaml

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.fields import Table, one_or_more, read_map
from domain.jobfile.read.values import filled_text, is_blank, kind, plain, plain_map, wrong_type
from domain.logs.build import build_filters
from schemas.errors import RunbusError
from schemas.jobs import LogFilter

LOG_FILTER: Final = "LogFilter"
STRATEGY: Final = "WorkflowStrategy"

LOG_FILTER_FIELDS: Final[Table] = {"type": filled_text, "config": plain_map}

_MISSED: Final = {
    "ExecutionLifecycle": "lifecycle plugins of the original are not run",
    STRATEGY: "strategies have no settings here",
}


class Plugins(NamedTuple):
    """What a map of plugins holds."""

    log_filters: list[LogFilter]
    others: dict[str, Any]
    """By service; without those that are given nothing."""


def plugins(place: Place) -> Plugins | None:
    """The plugins of a job, a step or a workflow; None where nothing is given."""
    if is_blank(place.node) and not isinstance(place.node, yaml.MappingNode):
        return None
    if kind(place.node) != "map":
        raise wrong_type(place, "a map", "write 'LogFilter: [...]'")
    filters: list[LogFilter] = []
    others: dict[str, Any] = {}
    for service, part in place.fields():
        if service == LOG_FILTER:
            filters += one_or_more(part, _log_filter, "begin each log filter with '- type: '")
        elif not _is_idle(service, part.node):
            others[service] = _providers(plain(part))
            part.warn(f"kept, and without effect: {_MISSED.get(service, f'no {service} plugins here')}")
    return Plugins(filters, others)


def _providers(value: Any) -> Any:
    """A provider that is given nothing is given no settings."""
    if not isinstance(value, dict):
        return value
    return {name: {} if config is None else config for name, config in value.items()}


def _is_idle(service: str, node: yaml.Node) -> bool:
    """A provider without settings is in use all the same, but for strategies, which stand beside the one in use."""
    if isinstance(node, yaml.MappingNode):
        return (service == STRATEGY and is_blank(node)) or not node.value
    return is_blank(node)


def _log_filter(place: Place) -> LogFilter:
    before = place.notes.count
    fields = read_map(place, LOG_FILTER_FIELDS)
    fields.require("type", "name the log filter")
    if place.notes.count > before:
        raise Refused
    found = LogFilter(type=fields.get("type"), config=fields.get("config", {}))
    _warn_of(found, place)
    return found


def _warn_of(log_filter: LogFilter, place: Place) -> None:
    """Whether it is supported; settings that are wrong fail the runs, as in the original, and not the file."""
    try:
        _, warnings = build_filters([log_filter])
    except RunbusError as error:
        warnings = [f"runs will fail: {error.message}"]
    for text in warnings:
        place.warn(text.removesuffix("."))
