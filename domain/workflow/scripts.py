"""The original's own steps, as far as they are known before anything is started: words, names and paths. Pure.

The runner carries out what is said here, and a dry run shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

import msgspec

from domain.context.arguments import split_arguments
from domain.context.commands import SCRIPT_FILE, Interpreter, StepPlace, script_invocation
from domain.context.references import Missing
from schemas.nodes import Node

LOCAL: Final = "local"
SSH: Final = "ssh"
EXECUTOR: Final = "node-executor"
COPIER: Final = "file-copier"
DIRECTORY: Final = "file-copy-destination-dir"
KEEPS: Final = "script-step-remove-tmp-file"
"""``false`` keeps the script on the node."""
_DEFAULT_DIRECTORY: Final = "/tmp/"  # noqa: S108 (the original's default)
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]", re.ASCII)
_REFERENCE: Final = re.compile(r"(\$\{[^\s}]+\})")
_MOST_NAME_CHARS: Final = 200


class ExecConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``command``: split, expanded and quoted by the original's rules ("Substitution", command step)."""

    command: str


class CommandConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``command`` is a line for the node's shell, as it is: nothing is expanded or quoted in it."""

    command: str


class ScriptConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of ``script`` (its text), ``file`` (a path on the runner) and ``url``."""

    script: str | None = None
    file: str | None = None
    url: str | None = None
    args: str | list[str] = []
    """A list is passed as it is; a text is split, expanded and quoted by the original's rules."""
    interpreter: str = ""
    """``${scriptfile}`` in it says where the script goes, else it is appended."""
    interpreter_args_quoted: bool = False
    """Pass file and arguments to the interpreter as one quoted argument (``su - app -c`` wants that)."""
    file_extension: str = ""
    expand_tokens: bool = False
    """Replace ``@group.key@`` in the text."""

    @property
    def is_sound(self) -> bool:
        """Whether it names exactly one script."""
        return (self.script, self.file, self.url).count(None) == 2


def expanded(config: Any, place: StepPlace) -> Any:
    """A plugin's configuration with every reference filled in that has a value; others stay as they are."""
    if isinstance(config, str):
        return place.expanded(config, Missing.LITERAL)
    if isinstance(config, list):
        return [expanded(each, place) for each in config]
    if isinstance(config, dict):
        return {key: expanded(value, place) for key, value in config.items()}
    return config


def setting_of(name: str, node: Node, settings: Mapping[str, str], place: StepPlace) -> str | None:
    """A setting of the node, else of the project, its references filled in."""
    found = node.attributes.get(name, settings.get(name))
    if found is None or "${" not in found:
        return found
    return place.expanded(found, Missing.LITERAL)


def executor_name(named: str | None, *, own_node: bool) -> str:
    """The node executor that is named; ``local`` for the runner itself, ``ssh`` for all others."""
    return named or (LOCAL if own_node else SSH)


def copier_name(named: str | None, executor: str) -> str:
    """The file copier that is named, else the one that goes with the executor."""
    return named or (LOCAL if executor == LOCAL else SSH)


def script_path(config: ScriptConfig, place: StepPlace) -> str:
    """Where a script file is on the runner."""
    return place.expanded(config.file or "", Missing.BLANK_OPTION)


def script_url(config: ScriptConfig, place: StepPlace) -> str:
    """Where a script is fetched; values are encoded for a URL."""
    pieces = _REFERENCE.split(config.url or "")
    return "".join(
        quote(place.expanded(piece, Missing.BLANK), safe="") if number % 2 else piece
        for number, piece in enumerate(pieces)
    )


def script_words(path: str, config: ScriptConfig, place: StepPlace) -> list[str]:
    """The words that run the script at ``path`` on its node."""
    interpreter = Interpreter(config.interpreter, config.interpreter_args_quoted) if config.interpreter else None
    if isinstance(config.args, str):
        return script_invocation(path, config.args, place, interpreter=interpreter)
    quoted = [place.target.quote(each) if each else "''" for each in config.args]
    before = script_invocation(path, [], place, interpreter=interpreter)
    if interpreter is not None and interpreter.args_quoted:
        words = [word for word in split_arguments(interpreter.line) if SCRIPT_FILE not in word]
        return [*words, place.target.quote(" ".join([path, *quoted]))]
    return [*before, *quoted]


def script_file_name(config: ScriptConfig, *, counter: int | str, execution: str, node: str) -> str:
    """``<counter>-<execid>-<nodename>-<name>`` and the extension, fit for a file's name ("Script steps")."""
    extension = config.file_extension or ".sh"
    suffix = extension if extension.startswith(".") else f".{extension}"
    name = PurePosixPath(config.file).name.removesuffix(suffix) if config.file else "dispatch-script"
    return _UNFIT.sub("_", f"{counter}-{execution}-{node}-{name}"[:_MOST_NAME_CHARS] + suffix)


def remote_path(directory: str | None, file_name: str) -> str:
    """Where a script is placed on its node ("Script steps", Dir); without a directory in ``/tmp``."""
    return f"{(directory or _DEFAULT_DIRECTORY).rstrip('/')}/{file_name}"
