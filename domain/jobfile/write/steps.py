"""Steps, calls and node filters as the maps that a job file holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from domain.jobfile.read.plugins import LOG_FILTER
from domain.jobfile.read.steps import CONDITIONAL
from schemas.jobs import JobCall, LogFilter, NodeDispatch, Step

_CONTENT: Final = {"exec": "command", "script": "script", "scriptfile": "file", "scripturl": "url"}
"""By kind: the name of what it carries out, in a step's configuration."""
_SETTINGS: Final = {
    "args": "args",
    "interpreter": "scriptInterpreter",
    "interpreter_args_quoted": "interpreterArgsQuoted",
    "file_extension": "fileExtension",
}


def step_map(step: Step) -> dict[str, Any]:
    """The fields of a step; of a handler, too."""
    extras = dict(step.extras)
    services = log_filters(step.log_filters) | extras.pop("plugins", {})
    found = _what(step)
    if step.description:
        found["description"] = step.description
    if step.error_handler:
        found["errorhandler"] = step_map(step.error_handler)
    if step.keepgoing_on_success:
        found["keepgoingOnSuccess"] = True
    if not step.enabled:
        found["enabled"] = False
    if services:
        found["plugins"] = services
    return found | extras


def _what(step: Step) -> dict[str, Any]:
    if step.call:
        return {"jobref": _call(step.call, node_step=step.node_step)}
    if _is_built_in(step):
        return _built_in(step)
    found: dict[str, Any] = {"type": step.plugin, "nodeStep": step.node_step}
    if step.plugin == CONDITIONAL and "conditionGroups" in step.extras:
        del found["type"]
    return found | ({"configuration": step.config} if step.config else {})


def _is_built_in(step: Step) -> bool:
    """Whether a step is as a file makes it of its kind; else its configuration is written as that of a plugin."""
    content = _CONTENT.get(step.plugin)
    if content is None or not step.node_step or not str(step.config.get(content, "")).strip():
        return False
    if step.plugin == "exec":
        return step.config.keys() == {content}
    expands = step.config.get("expand_tokens")
    return (
        step.config.keys() <= {content, "expand_tokens", *_SETTINGS}
        and (expands is True or (expands is False and step.plugin != "script"))
        and all(step.config[name] for name in _SETTINGS if name in step.config)
    )


def _built_in(step: Step) -> dict[str, Any]:
    found = {step.plugin: step.config[_CONTENT[step.plugin]]}
    found |= {theirs: step.config[ours] for ours, theirs in _SETTINGS.items() if ours in step.config}
    if step.plugin in ("scriptfile", "scripturl"):
        found["expandTokenInScriptFile"] = step.config["expand_tokens"]
    return found


def _call(call: JobCall, *, node_step: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: value
        for name, value in (
            ("name", call.name),
            ("group", call.group),
            ("uuid", call.uuid),
            ("project", call.project),
            ("args", call.args),
            ("importOptions", call.import_options),
            ("childNodes", call.child_nodes),
            ("failOnDisable", call.fail_on_disable),
            ("ignoreNotifications", call.ignore_notifications),
        )
        if value
    }
    for name, is_set in (("useName", call.use_name), ("nodeStep", node_step)):
        if is_set:
            found[name] = "true"
    if call.nodes:
        found["nodefilters"] = node_filters(call.nodes)
    return found | call.extras


def node_filters(nodes: NodeDispatch) -> dict[str, Any]:
    """A ``nodefilters`` map."""
    dispatch: dict[str, Any] = {
        "threadcount": nodes.threadcount,
        "keepgoing": nodes.keepgoing,
        "excludePrecedence": nodes.exclude_precedence,
        "successOnEmptyNodeFilter": nodes.success_on_empty_node_filter,
        "rankOrder": nodes.rank_order,
    }
    if nodes.rank_attribute:
        dispatch["rankAttribute"] = nodes.rank_attribute
    if nodes.intersect:
        dispatch["nodeIntersect"] = True
    found: dict[str, Any] = {"dispatch": dispatch, "filter": nodes.filter}
    return found | ({"filterExclude": nodes.filter_exclude} if nodes.filter_exclude else {})


def log_filters(filters: Sequence[LogFilter]) -> dict[str, Any]:
    """A map of plugins with these log filters; empty without any."""
    listed = [{"type": each.type, **({"config": each.config} if each.config else {})} for each in filters]
    return {LOG_FILTER: listed} if listed else {}
