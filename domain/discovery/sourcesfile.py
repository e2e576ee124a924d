"""Files of node sources: a YAML list, or the original's ``resources.source.N.…`` properties."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import yaml

from domain.discovery.definition import checked_source
from domain.durations import duration_s
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.sources import SourceDefinition

_PROPERTY: Final = re.compile(r"resources\.source\.(?P<number>\d+)\.(?P<name>[^=:\s]+)\s*[=:]\s*(?P<value>.*)\Z")
_TAG_SEPARATOR: Final = re.compile("[,+]")
_ESCAPE: Final = re.compile(r"\\(.)")
_RUNNER: Final = "extra.runner."
_MAX_BYTES: Final = 1 << 20


class _Entry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    name: str
    type: str
    config: dict[str, str | int | float | bool | None] = {}
    tags: str | list[str] = ""
    runner_selector: dict[str, str] | None = None
    interval: str | int | float = "5m"
    timeout: str | int | float = "2m"
    enabled: bool = True


def read_sources(text: str, file: str) -> list[SourceDefinition]:
    """The sources of a file, in order. Raises ``invalid_source`` with the place of the fault.

    In YAML each has ``name``, ``type``, ``config``, and ``tags`` (or the ``runnerSelector`` of a job file),
    ``interval``, ``timeout``, ``enabled``. Properties are those of the original's ``project.properties``; a source
    is named by its number there (``source-1``), and asks the runners of its ``extra.runner.…``.
    """
    if len(text) > _MAX_BYTES:
        raise _bad(file, f"longer than {_MAX_BYTES >> 20} MiB: split it")
    numbered = _properties(text)
    entries = numbered if numbered is not None else _from_yaml(text, file)
    found = [_definition(entry, f"{file}: source {number}") for number, entry in enumerate(entries, start=1)]
    names = [source.name for source in found]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _bad(file, f"two sources are named {repeated[0]!r}: rename one")
    return found


def _from_yaml(text: str, file: str) -> list[_Entry]:
    try:
        found: Any = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _bad(f"{file}{line}", f"not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _bad(file, f"not valid YAML: {str(error).splitlines()[0]}") from None
    if isinstance(found, dict) and isinstance(found.get("sources"), list):
        found = found["sources"]
    if not isinstance(found, list) or not found:
        raise _bad(file, "no list of sources: begin each with '- name: '")
    entries = []
    for number, each in enumerate(found, start=1):
        try:
            entries.append(msgspec.convert(each, _Entry))
        except msgspec.ValidationError as error:
            raise _bad(file, f"source {number}: {error}") from None
    return entries


def _properties(text: str) -> list[_Entry] | None:
    """None where the file holds no such property."""
    sources: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        found = _PROPERTY.match(line.strip())
        if found:
            value = _ESCAPE.sub(lambda escaped: escaped[1], found["value"])
            sources.setdefault(int(found["number"]), {})[found["name"]] = value
    if not sources:
        return None
    return [_numbered(number, sources[number]) for number in sorted(sources)]


def _numbered(number: int, values: dict[str, str]) -> _Entry:
    selector = {name.removeprefix(_RUNNER): value for name, value in values.items() if name.startswith(_RUNNER)}
    return _Entry(
        name=f"source-{number}",
        type=values.get("type", ""),
        config={name.removeprefix("config."): value for name, value in values.items() if name.startswith("config.")},
        runner_selector=selector or None,
    )


def _definition(entry: _Entry, where: str) -> SourceDefinition:
    try:
        return checked_source(
            SourceDefinition(
                name=entry.name,
                type=entry.type,
                config={name: _text(value) for name, value in entry.config.items()},
                runner=_selector(entry),
                interval_s=_seconds(entry.interval),
                timeout_s=_seconds(entry.timeout),
                enabled=entry.enabled,
            )
        )
    except RunbusError as error:
        raise RunbusError(ErrorCode.INVALID_SOURCE, f"{where}: {error.message}", details=error.details) from None


def _seconds(value: str | float) -> float:
    """0 for never: of a timeout that is refused later."""
    if isinstance(value, str):
        return 0.0 if value.strip() == "never" else duration_s(value) or 0.0
    return float(value)


def _text(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _selector(entry: _Entry) -> RunnerSelector | None:
    if entry.tags:
        given = [entry.tags] if isinstance(entry.tags, str) else entry.tags
        tags = [tag.strip() for each in given for tag in _TAG_SEPARATOR.split(each)]
        return RunnerSelector(mode=SelectorMode.TAGS, filter="+".join(tags))
    named = entry.runner_selector
    if not named:
        return None
    mode = named.get("runnerFilterMode", "")
    if mode not in set(SelectorMode):
        text = f"runnerFilterMode is {mode[:40]!r}: write one of {', '.join(SelectorMode)}."
        raise RunbusError(ErrorCode.INVALID_SELECTOR, text)
    selector = RunnerSelector(mode=SelectorMode(mode), filter=named.get("filter", named.get("runnerFilter", "")))
    return None if selector.mode is SelectorMode.LOCAL and not selector.filter else selector


def _bad(file: str, text: str) -> RunbusError:
    return RunbusError(ErrorCode.INVALID_SOURCE, f"{file}: {text}.")
