"""``sequence`` and its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from domain.jobfile.fields import (
    Fields,
    Reader,
    harmless_if,
    ignored,
    mistake,
    one_of,
    read_list,
    read_map,
    unsupported,
)
from domain.jobfile.notes import Place, Refused
from domain.jobfile.values import (
    arguments,
    command_text,
    filled_text,
    optional_boolean,
    optional_text,
    plain_map,
)
from schemas.jobs import Step

_ONLY_FALSE: Final = harmless_if(one_of("false", "no", "off"), "false is how the step runs anyway")

STEP_FIELDS: Final[dict[str, Reader]] = {
    "description": optional_text,
    "exec": command_text,
    "script": command_text,
    "scriptfile": command_text,
    "scripturl": unsupported,
    "type": filled_text,
    "jobref": unsupported,
    "args": arguments,
    "scriptInterpreter": optional_text,
    "interpreterArgsQuoted": optional_boolean,
    "fileExtension": optional_text,
    "expandTokenInScriptFile": _ONLY_FALSE,
    "nodeStep": optional_boolean,
    "configuration": plain_map,
    "config": mistake("Rundeck does not read this name and runs the plugin without it; write 'configuration'"),
    "errorhandler": unsupported,
    "plugins": unsupported,
    "enabled": harmless_if(one_of("true", "yes", "on"), "true is how the step runs anyway"),
    "keepgoingOnSuccess": ignored("it means something in an error handler only"),
    "autoSecureInput": _ONLY_FALSE,
    "passSecureInput": _ONLY_FALSE,
}

_SCRIPT_CONFIG: Final = {
    "args": "args",
    "scriptInterpreter": "interpreter",
    "interpreterArgsQuoted": "interpreter_args_quoted",
    "fileExtension": "file_extension",
}
_SCRIPTS: Final = ("script", "scriptfile", "scripturl")
_BELONGS_TO: Final = {
    **dict.fromkeys((*_SCRIPT_CONFIG, "expandTokenInScriptFile"), _SCRIPTS),
    **dict.fromkeys(("nodeStep", "configuration"), ("type",)),
}


def _command(fields: Fields) -> Step:
    return _step(fields, "command", {"command": fields.get("exec")})


def _script(fields: Fields) -> Step:
    return _step(fields, "script", {"script": fields.get("script"), **_script_config(fields)})


def _script_file(fields: Fields) -> Step:
    return _step(fields, "script", {"file": fields.get("scriptfile"), **_script_config(fields)})


def _plugin(fields: Fields) -> Step:
    return _step(fields, fields.get("type"), fields.get("configuration", {}))


def _script_config(fields: Fields) -> dict[str, Any]:
    return {ours: fields.get(name) for name, ours in _SCRIPT_CONFIG.items() if name in fields.values}


def _step(fields: Fields, plugin: str, config: dict[str, Any]) -> Step:
    return Step(plugin=plugin, config=config, description=fields.get("description", ""))


KINDS: Final[dict[str, Callable[[Fields], Step] | None]] = {
    "exec": _command,
    "script": _script,
    "scriptfile": _script_file,
    "type": _plugin,
    "scripturl": None,
    "jobref": None,
}
"""The fields that make a step what it is, and what builds it; None for those not supported yet."""


def read_step(place: Place) -> Step:
    """One step; exactly one of the fields in :data:`KINDS` says what it is."""
    before = place.notes.count
    fields = read_map(place, STEP_FIELDS)
    kind = _kind(fields)
    _check_companions(fields, kind)
    build = KINDS[kind]
    if build is None or place.notes.count > before:
        raise Refused
    return build(fields)


def _kind(fields: Fields) -> str:
    kinds = [name for name in KINDS if name in fields.places]
    if len(kinds) > 1:
        raise Refused(f"both {' and '.join(map(repr, kinds))}; a step does one thing: make a step of each")
    if kinds:
        return kinds[0]
    if fields.unknown:
        raise Refused  # most likely the kind, misspelt, and noted as such
    raise Refused("does nothing; give it one of exec, script, scriptfile or type")


def _check_companions(fields: Fields, kind: str) -> None:
    for name, kinds in _BELONGS_TO.items():
        if kind not in kinds and kind != "jobref" and fields.given(name):
            fields.places[name].problem_of_field(f"goes with {' or '.join(kinds)}, not with {kind}; remove it")


def _commands(place: Place) -> list[Step]:
    steps = read_list(place, read_step, "begin each step with '- '")
    if not any(True for _ in place.items()):
        raise Refused("no step; give at least one")
    return steps


SEQUENCE_FIELDS: Final[dict[str, Reader]] = {
    "commands": _commands,
    "keepgoing": harmless_if(one_of("false", "no", "off"), "false is how the steps run anyway"),
    "strategy": harmless_if(one_of("node-first", "sequential", "step-first"), "steps run one after the other anyway"),
    "pluginConfig": unsupported,
}


def sequence(place: Place) -> list[Step]:
    """The steps of a job, in order."""
    fields = read_map(place, SEQUENCE_FIELDS)
    fields.require("commands", "list the steps there")
    steps: list[Step] = fields.get("commands", [])
    return steps
