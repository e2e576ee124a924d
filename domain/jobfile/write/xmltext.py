"""Job maps as the original's XML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from domain.jobfile.read.options import OPTION_FIELDS
from domain.jobfile.write.xmlwriter import NAME, RESERVED, Writer, word

_OPTION_ELEMENTS: Final = frozenset(
    {"description", "label", "dateFormat", "optionValuesPluginType", "isDate", "hidden"}
)
_OPTION_EXTRAS: Final = frozenset({"configRemoteUrl", "remoteUrlAuthenticationType"})
_OPTION_NAMES: Final = {"enforced": "enforcedvalues"}
_WORDS: Final = frozenset({
    "executionEnabled", "scheduleEnabled", "nodeFilterEditable", "nodesSelectedByDefault",
    "runnerSelectorEditable", "multipleExecutions", "maxMultipleExecutions", "interpreterArgsQuoted",
    "expandTokenInScriptFile", "enabled", "keepgoingOnSuccess", "keepgoing", "nodeStep", "excludePrecedence",
    "successOnEmptyNodeFilter", "nodeIntersect", "importOptions", "childNodes", "failOnDisable",
    "ignoreNotifications", "isDate", "hidden",
})  # fmt: skip
"""Fields that are known to be true, false or a number, so that in XML the word for it is enough."""


def xml_text(jobs: list[dict[str, Any]]) -> str:
    """A ``joblist``. Raises ``invalid_job`` for a character that XML cannot hold."""
    writer = Writer()
    with writer.element("joblist"):
        for job in jobs:
            with writer.element("job"):
                _write_job(writer, job)
    return writer.text()


def _write_job(writer: Writer, job: Mapping[str, Any]) -> None:
    for name in sorted(job):
        write = _JOB.get(name)
        if write:
            write(writer, job)
        else:
            _value(writer, name, job[name])


def _value(writer: Writer, name: str, value: Any) -> None:
    """A field whose type is known when it is read: true, false and numbers are texts."""
    if name in _WORDS and isinstance(value, bool | int):
        writer.leaf(name, word(value))
    else:
        writer.plain(name, value)


def _write_options(writer: Writer, job: Mapping[str, Any]) -> None:
    with writer.element("context"), writer.element("options", {"preserveOrder": True}):
        for option in job["options"]:
            _write_option(writer, option)


def _write_option(writer: Writer, option: Mapping[str, Any]) -> None:
    inner = _OPTION_ELEMENTS | _OPTION_EXTRAS | {"config"}
    inside = {name: value for name, value in option.items() if name in inner or _is_no_attribute(name, value)}
    outside = {_OPTION_NAMES.get(name, name): value for name, value in option.items() if name not in inside}
    if "values" in outside:
        outside["values"] = option["valuesListDelimiter"].join(option["values"])
    with writer.element("option", {name: outside[name] for name in sorted(outside)}):
        for name in sorted(inside):
            if name == "config":
                writer.entries(name, inside[name])
            else:
                _value(writer, name, inside[name])


def _is_no_attribute(name: str, value: Any) -> bool:
    """Of a field that nobody knows: its type would be lost."""
    return name not in OPTION_FIELDS and not (isinstance(value, str) and NAME.match(name) and name not in RESERVED)


def _write_node_filters(writer: Writer, job: Mapping[str, Any]) -> None:
    filters = dict(job["nodefilters"])
    _write_dispatch(writer, filters.pop("dispatch", {}))
    if filters:
        writer.plain("nodefilters", filters)


def _write_dispatch(writer: Writer, dispatch: Mapping[str, Any]) -> None:
    if dispatch:
        with writer.element("dispatch"):
            for name in sorted(dispatch):
                _value(writer, name, dispatch[name])


def _write_logging(writer: Writer, job: Mapping[str, Any]) -> None:
    names = {"limit": "loglimit", "limitAction": "loglimitAction", "status": "loglimitStatus"}
    writer.flat("logging", {theirs: job[name] for theirs, name in names.items() if name in job})


def _write_beside_limit(name: str) -> Callable[[Writer, Mapping[str, Any]], None]:
    def write(writer: Writer, job: Mapping[str, Any]) -> None:
        if "loglimit" not in job:
            writer.plain(name, job[name])

    return write


def _write_retry(writer: Writer, job: Mapping[str, Any]) -> None:
    retry = job["retry"]
    if isinstance(retry, dict):
        writer.leaf("retry", retry["retry"], {"delay": retry["delay"]})
    else:
        writer.leaf("retry", retry)


def _write_schedule(writer: Writer, job: Mapping[str, Any]) -> None:
    schedule = job["schedule"]
    if "crontab" in schedule:
        writer.flat("schedule", schedule)
        return
    month = {"month": schedule["month"]} if "month" in schedule else {}
    month |= schedule.get("dayofmonth", {})
    with writer.element("schedule"):
        for name, values in (
            ("month", month),
            ("time", schedule.get("time")),
            ("weekday", schedule.get("weekday")),
            ("year", {"year": schedule["year"]} if "year" in schedule else None),
        ):
            if values:
                writer.flat(name, values)


def _write_notifications(writer: Writer, job: Mapping[str, Any]) -> None:
    with writer.element("notification"):
        for trigger, sent in job["notification"].items():
            with writer.element(trigger):
                for each in sent:
                    _write_notification(writer, each)


def _write_notification(writer: Writer, sent: Mapping[str, Any]) -> None:
    if "email" in sent:
        _write_settings(writer, "email", sent["email"])
    elif "plugin" in sent:
        with writer.element("plugin", {"type": sent["plugin"]["type"]}):
            writer.entries("configuration", sent["plugin"]["configuration"])
    else:
        _write_settings(writer, "webhook", sent)


def _write_settings(writer: Writer, name: str, settings: Mapping[str, Any]) -> None:
    if all(NAME.match(key) and not isinstance(value, dict) for key, value in settings.items()):
        writer.flat(name, settings)
    else:
        writer.leaf(name, settings)


def _write_plugins(writer: Writer, job: Mapping[str, Any]) -> None:
    services = job["plugins"]
    if not all(isinstance(providers, dict) for providers in services.values()):
        writer.leaf("plugins", services)
        return
    with writer.element("plugins"):
        for service, providers in sorted(services.items()):
            for provider, config in sorted(providers.items()):
                with writer.element(service, {"type": provider}):
                    writer.plain("configuration", config)


def _write_sequence(writer: Writer, job: Mapping[str, Any]) -> None:
    sequence = dict(job["sequence"])
    commands = sequence.pop("commands")
    with writer.element("sequence", {name: sequence.pop(name) for name in ("keepgoing", "strategy")}):
        for command in commands:
            with writer.element("command"):
                _write_step(writer, command)
        for name in sorted(sequence):
            _with_log_filters(writer, name, sequence[name])


def _write_step(writer: Writer, step: Mapping[str, Any]) -> None:
    rest = dict(step)
    kind = rest.pop("type", None)
    if kind is not None:
        name = "node-step-plugin" if rest.pop("nodeStep", False) else "step-plugin"
        with writer.element(name, {"type": kind}):
            writer.entries("configuration", rest.pop("configuration", {}))
    _write_interpreter(writer, rest)
    for name in sorted(rest):
        if name == "errorhandler":
            handler = dict(rest[name])
            attributes = {"keepgoingOnSuccess": True} if handler.pop("keepgoingOnSuccess", False) else None
            with writer.element(name, attributes):
                _write_step(writer, handler)
        elif name == "jobref":
            _write_call(writer, rest[name])
        elif name == "args":
            writer.leaf("scriptargs", rest[name])
        elif name == "plugins":
            _with_log_filters(writer, name, rest[name])
        else:
            _value(writer, name, rest[name])


def _write_interpreter(writer: Writer, step: dict[str, Any]) -> None:
    quoted = {"argsquoted": True} if step.get("interpreterArgsQuoted") else None
    if quoted or "scriptInterpreter" in step:
        writer.leaf("scriptinterpreter", step.pop("scriptInterpreter", None), quoted)
        step.pop("interpreterArgsQuoted", None)


def _write_call(writer: Writer, call: Mapping[str, Any]) -> None:
    names = ("name", "group", "project", "nodeStep")
    with writer.element("jobref", {name: call[name] for name in names if name in call}):
        for name in sorted(call.keys() - set(names)):
            if name == "args":
                writer.flat("arg", {"line": call[name]})
            elif name == "nodefilters":
                _write_node_filters(writer, call)
            else:
                _value(writer, name, call[name])


def _with_log_filters(writer: Writer, name: str, value: Any) -> None:
    """A field, and in a map of plugins its log filters in the original's form."""
    if not isinstance(value, dict) or "LogFilter" not in value:
        writer.plain(name, value)
        return
    with writer.element(name):
        for each in value["LogFilter"]:
            with writer.element("LogFilter", {"type": each["type"]}):
                writer.plain("config", each.get("config"))
        for service in sorted(value.keys() - {"LogFilter"}):
            writer.plain(service, value[service])


_JOB: Final[Mapping[str, Callable[[Writer, Mapping[str, Any]], None]]] = {
    "options": _write_options,
    "nodefilters": _write_node_filters,
    "loglimit": _write_logging,
    "loglimitAction": _write_beside_limit("loglimitAction"),
    "loglimitStatus": _write_beside_limit("loglimitStatus"),
    "retry": _write_retry,
    "schedule": _write_schedule,
    "notification": _write_notifications,
    "plugins": _write_plugins,
    "sequence": _write_sequence,
}
