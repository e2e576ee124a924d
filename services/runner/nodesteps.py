"""The original's own steps on a node: ``exec``, ``script``, and ``command``, a line for the shell as it is."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import structlog

from domain.context.arguments import split_arguments
from domain.context.commands import Interpreter, command_step, script_invocation, script_text
from domain.context.references import Missing, expand
from runbus.plugin import FailureReason, FileCopier, NodeExecutor, ProcessExit, StepError
from services.runner.hosted import Hosted, NodeSide

LOCAL: Final = "local"
SSH: Final = "ssh"
MAX_SCRIPT_BYTES: Final = 64 * 1024 * 1024
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]", re.ASCII)
_COUNTER: Final[Iterator[int]] = itertools.count(1)
_URL_WITHIN_S: Final = 60.0

log = structlog.get_logger("runner")


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


async def run_exec(config: ExecConfig, at: Hosted) -> ProcessExit:
    """Run a command step on the node."""
    words = command_step(config.command, at.place)
    if not "".join(words).strip():
        raise StepError(
            f"the command {config.command[:80]!r} is empty once its references are filled in.",
            reason=FailureReason.CONFIGURATION,
        )
    return await _executor(at).execute(at.node, words, NodeSide(at))


async def run_command(config: CommandConfig, at: Hosted) -> ProcessExit:
    """Run a line by the node's shell."""
    return await _executor(at).execute(at.node, [config.command], NodeSide(at))


async def run_script(config: ScriptConfig, at: Hosted) -> ProcessExit:
    """Place the script on the node, run it, and remove it ("Script steps")."""
    given = [kind for kind in ("script", "file", "url") if getattr(config, kind) is not None]
    if len(given) != 1:
        raise StepError(
            "a script step needs one of 'script' (its text), 'file' (a path on the runner) and 'url'.",
            reason=FailureReason.CONFIGURATION,
        )
    if _executor_name(at) == LOCAL:
        return await _run_here(config, at)
    content = await _content(config, at)
    path = _remote_path(config, at)
    await _copier(at).copy(at.node, content, path, NodeSide(at))
    try:
        await _make_executable(path, at)
        return await _executor(at).execute(at.node, _words(path, config, at), NodeSide(at))
    finally:
        if at.setting("script-step-remove-tmp-file") != "false":
            await _remove(path, at)


async def _run_here(config: ScriptConfig, at: Hosted) -> ProcessExit:
    """On the runner itself the private work directory takes the script; a program is run where it is."""
    path = _program(config, at)
    if path is None:
        path = at.work_dir / _file_name(config, at)
        path.write_bytes(await _content(config, at))
        path.chmod(0o700)
    return await _executor(at).execute(at.node, _words(str(path), config, at), NodeSide(at))


async def _content(config: ScriptConfig, at: Hosted) -> bytes:
    if config.script is not None:
        text = config.script
    elif config.file is not None:
        path = Path(expand(config.file, at.place.data, at.place.view, Missing.BLANK_OPTION))
        text = await asyncio.to_thread(_read, path, at)
    else:
        text = await _fetch(config.url or "", at)
    written = script_text(text, at.place, expand_tokens=config.expand_tokens)
    return written.encode("utf-8", "surrogateescape")


def _program(config: ScriptConfig, at: Hosted) -> Path | None:
    """The script file itself, where it can be run as it stands."""
    if config.file is None or config.expand_tokens:
        return None
    path = Path(expand(config.file, at.place.data, at.place.view, Missing.BLANK_OPTION))
    if not path.is_file():
        raise _no_file(str(path), at)
    return path if config.interpreter or os.access(path, os.X_OK) else None


def _read(path: Path, at: Hosted) -> str:
    try:
        if path.stat().st_size > MAX_SCRIPT_BYTES:
            raise StepError(f"the script file {path} on runner {at.runner} is larger than 64 MiB.")
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as cause:
        raise _no_file(str(path), at) from cause


async def _fetch(template: str, at: Hosted) -> str:
    """The text behind a URL; values are encoded for it."""
    import httpx  # noqa: PLC0415 (a runner whose jobs name no URL does not load it)

    url = _expand_url(template, at)
    try:
        async with httpx.AsyncClient(timeout=_URL_WITHIN_S, follow_redirects=True) as client:
            reply = await client.get(url)
            reply.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as cause:
        raise StepError(
            f"the script at {url} could not be fetched by runner {at.runner}: {str(cause) or type(cause).__name__}.",
            reason=FailureReason.IO_FAILURE,
        ) from cause
    return reply.content.decode("utf-8", "surrogateescape")


def _expand_url(template: str, at: Hosted) -> str:
    pieces = re.split(r"(\$\{[^\s}]+\})", template)
    return "".join(
        quote(expand(piece, at.place.data, at.place.view, Missing.BLANK), safe="") if number % 2 else piece
        for number, piece in enumerate(pieces)
    )


def _words(path: str, config: ScriptConfig, at: Hosted) -> list[str]:
    interpreter = Interpreter(config.interpreter, config.interpreter_args_quoted) if config.interpreter else None
    if isinstance(config.args, str):
        return script_invocation(path, config.args, at.place, interpreter=interpreter)
    quoted = [at.place.target.quote(each) if each else "''" for each in config.args]
    before = script_invocation(path, [], at.place, interpreter=interpreter)
    if interpreter is not None and interpreter.args_quoted:
        words = [word for word in split_arguments(interpreter.line) if "${scriptfile}" not in word]
        return [*words, at.place.target.quote(" ".join([path, *quoted]))]
    return [*before, *quoted]


def _file_name(config: ScriptConfig, at: Hosted) -> str:
    """``<counter>-<execid>-<nodename>-<name>`` and the extension, fit for a file's name ("Script steps")."""
    extension = config.file_extension or ".sh"
    suffix = extension if extension.startswith(".") else f".{extension}"
    name = Path(config.file).name.removesuffix(suffix) if config.file else "dispatch-script"
    return _UNFIT.sub("_", f"{next(_COUNTER)}-{at.execution}-{at.node.name}-{name}"[:200] + suffix)


def _remote_path(config: ScriptConfig, at: Hosted) -> str:
    directory = at.setting("file-copy-destination-dir") or "/tmp/"  # noqa: S108 (the original's default)
    return f"{directory.rstrip('/')}/{_file_name(config, at)}"


async def _make_executable(path: str, at: Hosted) -> None:
    if at.place.target.is_windows:
        return
    ended = await _executor(at).execute(at.node, ["chmod", "+x", at.place.target.quote(path)], NodeSide(at))
    if ended.exit_code != 0:
        raise StepError(
            f"the script {path} could not be made executable on node {at.node.name} (chmod ended with "
            f"{ended.exit_code if ended.exit_code is not None else ended.signal}).",
            reason=FailureReason.IO_FAILURE,
        )


async def _remove(path: str, at: Hosted) -> None:
    """A script that cannot be removed is only logged."""
    command = "del" if at.place.target.is_windows else "rm -f"
    try:
        await _executor(at).execute(at.node, [command, at.place.target.quote(path)], NodeSide(at))
    except StepError as error:
        log.warning("script.not_removed", execution=at.execution, node=at.node.name, path=path, error=error.message)


def _executor_name(at: Hosted) -> str:
    return at.setting("node-executor") or (LOCAL if at.is_own_node else SSH)


def _executor(at: Hosted) -> NodeExecutor:
    """The executor that the node, else the project names; ``local`` for the runner itself, ``ssh`` for all others."""
    return at.bench.plugins.executor(_executor_name(at), at.node.name)


def _copier(at: Hosted) -> FileCopier:
    name = at.setting("file-copier") or (LOCAL if at.is_own_node else SSH)
    return at.bench.plugins.copier(name, at.node.name)


def _no_file(path: str, at: Hosted) -> StepError:
    return StepError(
        f"the script file {path} is not there on runner {at.runner}, or cannot be read by its user.",
        reason=FailureReason.NOT_FOUND,
    )
