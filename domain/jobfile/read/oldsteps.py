"""The built-in steps by the names that the original gives them as plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas.jobs import Step

_OLD_CONFIG: Final = {
    "argString": "args",
    "scriptInterpreter": "interpreter",
    "interpreterArgsQuoted": "interpreter_args_quoted",
    "fileExtension": "file_extension",
    "expandTokenInScriptFile": "expand_tokens",
}


def _old_exec(config: Mapping[str, Any]) -> Step:
    return Step(plugin="exec", config={"command": str(config.get("adhocRemoteString") or "")})


def _old_script(config: Mapping[str, Any]) -> Step:
    given = {**_old_settings(config), "expand_tokens": True}
    return Step(plugin="script", config={"script": str(config.get("adhocLocalString") or ""), **given})


def _old_script_file(config: Mapping[str, Any]) -> Step:
    path = str(config.get("adhocFilepath") or "")
    is_url = path.lower().startswith(("http:", "https:", "file:"))
    name, field = ("scripturl", "url") if is_url else ("scriptfile", "file")
    return Step(plugin=name, config={field: path, "expand_tokens": False, **_old_settings(config)})


def _old_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, ours in _OLD_CONFIG.items():
        value = config.get(name)
        if ours in ("interpreter_args_quoted", "expand_tokens"):
            value = str(value).lower() == "true"
        if value:
            given[ours] = value if isinstance(value, bool) else str(value)
    return given


OLD_TYPES: Final[Mapping[str, Callable[[Mapping[str, Any]], Step]]] = {
    "exec-command": _old_exec,
    "script-inline": _old_script,
    "script-file-url": _old_script_file,
}
"""Each is read as the built-in step that it is, which is how the original exports it."""
