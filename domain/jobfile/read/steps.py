"""``sequence`` and its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.calls import job_call
from domain.jobfile.read.fields import (
    Fields,
    Kept,
    Table,
    Unknown,
    mistake,
    one_of,
    read_list,
    read_map,
    refuse_unknown,
)
from domain.jobfile.read.oldsteps import OLD_TYPES
from domain.jobfile.read.plugins import plugins
from domain.jobfile.read.values import (
    boolean,
    filled_text,
    flag,
    is_blank,
    plain,
    plain_map,
    quoted,
    some_text,
    trimmed_text,
)
from schemas.jobs import Flow, JobCall, Step, Strategy

_NO_SECURE_INPUT: Final = Kept(
    "secure options of the called script are not filled in by themselves", one_of("false", "no", "off")
)


def _handler(place: Place) -> Step | None:
    """An error handler is a step that has none itself."""
    return None if is_blank(place.node) else _read_step(place, HANDLER_FIELDS)


HANDLER_FIELDS: Final[Table] = {
    "description": some_text,
    "exec": filled_text,
    "script": filled_text,
    "scriptfile": filled_text,
    "scripturl": filled_text,
    "type": filled_text,
    "jobref": job_call,
    "args": some_text,
    "scriptInterpreter": some_text,
    "interpreterArgsQuoted": flag,
    "fileExtension": some_text,
    "expandTokenInScriptFile": flag,
    "nodeStep": flag,
    "configuration": plain_map,
    "config": plain,
    "keepgoingOnSuccess": boolean,
    "plugins": plugins,
    "enabled": flag,
    "autoSecureInput": _NO_SECURE_INPUT,
    "passSecureInput": _NO_SECURE_INPUT,
    "runnerNode": Kept("a step runs where its job runs"),
    "conditionGroups": plain,
    "subSteps": plain,
    "project": some_text,
    "importOptions": flag,
    "failOnDisable": flag,
    "childNodes": flag,
    "errorhandler": mistake("an error handler has none itself; remove it"),
}
STEP_FIELDS: Final[Table] = {**HANDLER_FIELDS, "errorhandler": _handler}

_SCRIPT_CONFIG: Final = {
    "args": "args",
    "scriptInterpreter": "interpreter",
    "interpreterArgsQuoted": "interpreter_args_quoted",
    "fileExtension": "file_extension",
}
_SCRIPTS: Final = frozenset({"script", "scriptfile", "scripturl"})
_CALL_FIELDS: Final = {
    "project": "project",
    "importOptions": "import_options",
    "failOnDisable": "fail_on_disable",
    "childNodes": "child_nodes",
}
"""What older files write beside ``jobref`` and not in it."""
_BELONGS_TO: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(_SCRIPT_CONFIG, _SCRIPTS),
    **dict.fromkeys(_CALL_FIELDS, frozenset({"jobref"})),
    "expandTokenInScriptFile": frozenset({"scriptfile", "scripturl"}),
    "configuration": frozenset({"type"}),
    "nodeStep": frozenset({"type", "conditionGroups"}),
    "subSteps": frozenset({"conditionGroups"}),
}
CONDITIONAL: Final = "conditional"
"""The type of a step that holds others, which run where its conditions are met."""


def _exec(fields: Fields) -> Step:
    return Step(plugin="exec", config={"command": fields.get("exec")})


def _script(fields: Fields) -> Step:
    return Step(
        plugin="script", config={"script": fields.get("script"), **_script_config(fields), "expand_tokens": True}
    )


def _script_elsewhere(name: str, field: str) -> Callable[[Fields], Step]:
    def build(fields: Fields) -> Step:
        expanded = {"expand_tokens": fields.get("expandTokenInScriptFile", False)}
        return Step(plugin=name, config={field: fields.get(name), **_script_config(fields), **expanded})

    return build


def _script_config(fields: Fields) -> dict[str, Any]:
    return {ours: fields.get(name) for name, ours in _SCRIPT_CONFIG.items() if fields.get(name)}


def _call(fields: Fields) -> Step:
    call: JobCall
    call, node_step = fields.get("jobref")
    beside = {ours: fields.get(name) for name, ours in _CALL_FIELDS.items() if fields.get(name)}
    return Step(plugin="jobref", call=msgspec.structs.replace(call, **beside), node_step=node_step)


def _plugin(fields: Fields) -> Step:
    name, config = fields.get("type"), fields.get("configuration", {})
    if name in OLD_TYPES:
        return OLD_TYPES[name](config)
    if fields.get("config"):
        fields.keep("config")
        fields.places["config"].warn("kept, and without effect: the original reads 'configuration' only")
    return Step(plugin=name, config=config, node_step=fields.get("nodeStep", True))


def _conditional(fields: Fields) -> Step:
    for name in ("conditionGroups", "subSteps"):
        if name in fields.values:
            fields.keep(name)
    fields.place.warn("kept, but it cannot run: steps under conditions are not supported")
    name = fields.get("type", CONDITIONAL)
    return Step(plugin=name, config=fields.get("configuration", {}), node_step=fields.get("nodeStep", False))


KINDS: Final[dict[str, Callable[[Fields], Step]]] = {
    "conditionGroups": _conditional,
    "jobref": _call,
    "exec": _exec,
    "script": _script,
    "scriptfile": _script_elsewhere("scriptfile", "file"),
    "scripturl": _script_elsewhere("scripturl", "url"),
    "type": _plugin,
}
"""The fields that make a step what it is, and what builds it."""


def read_step(place: Place) -> Step:
    """One step; exactly one of the fields in :data:`KINDS` says what it is."""
    return _read_step(place, STEP_FIELDS)


def _read_step(place: Place, table: Table) -> Step:
    before = place.notes.count
    fields = read_map(place, table, unknown=Unknown.KEPT)
    kind = _kind(fields)
    if place.notes.count > before:
        raise Refused
    _keep_strangers(fields, kind)
    step = KINDS[kind](fields)
    own = fields.get("plugins")
    if own and own.others:
        fields.extras["plugins"] = own.others
    return msgspec.structs.replace(
        step,
        description=fields.get("description", ""),
        error_handler=fields.get("errorhandler"),
        keepgoing_on_success=fields.get("keepgoingOnSuccess", False),
        log_filters=own.log_filters if own else [],
        enabled=fields.get("enabled", True),
        extras=fields.extras,
    )


def _kind(fields: Fields) -> str:
    kinds = [name for name in KINDS if name in fields.places]
    if kinds[:1] == ["conditionGroups"]:
        return kinds[0]
    if len(kinds) > 1:
        raise Refused(f"both {' and '.join(map(repr, kinds))}; a step does one thing: make a step of each")
    if kinds:
        return kinds[0]
    if fields.unknown:  # most likely the kind, misspelt
        for name, place in fields.unknown.items():
            refuse_unknown(name, place, STEP_FIELDS)
        raise Refused
    raise Refused("does nothing; give it one of exec, script, scriptfile, scripturl, jobref or type")


def _keep_strangers(fields: Fields, kind: str) -> None:
    """What goes with another kind of step is not read by the original either."""
    for name, kinds in _BELONGS_TO.items():
        if kind not in kinds and fields.get(name):
            fields.keep(name)
            if name != "nodeStep" or kind == "jobref":
                text = f"kept, and without effect: it goes with {' or '.join(sorted(kinds))}, not with {kind}"
                fields.places[name].warn(text)
            del fields.values[name]


def _commands(place: Place) -> list[Step]:
    steps = read_list(place, read_step, "begin each step with '- '")
    if not any(True for _ in place.items()):
        raise Refused("no step; give at least one")
    return steps


_STRATEGIES: Final = {each.value: each for each in Strategy} | {"step-first": Strategy.SEQUENTIAL}


def _strategy(place: Place) -> Strategy | None:
    value = trimmed_text(place)
    if value is None or value in _STRATEGIES:
        return None if value is None else _STRATEGIES[value]
    raise Refused(f"{quoted(value)} is no strategy; use {', '.join(_STRATEGIES)}")


SEQUENCE_FIELDS: Final[Table] = {
    "commands": _commands,
    "keepgoing": boolean,
    "strategy": _strategy,
    "pluginConfig": plugins,
    "workflowStepMetadata": Kept(),
    "threadcount": Kept("the threads are those of 'nodefilters.dispatch'", one_of("1")),
}


def sequence(place: Place) -> tuple[list[Step], Flow]:
    """The steps of a job, in order, and how they follow one another."""
    fields = read_map(place, SEQUENCE_FIELDS, unknown=Unknown.KEPT)
    fields.require("commands", "list the steps there")
    own = fields.get("pluginConfig")
    if own and own.others:
        fields.extras["pluginConfig"] = own.others
    flow = Flow(
        strategy=fields.get("strategy", Strategy.NODE_FIRST),
        keepgoing=fields.get("keepgoing", False),
        log_filters=own.log_filters if own else [],
        extras=fields.extras,
    )
    return fields.get("commands", []), flow
