"""The original's own steps on a node: ``exec``, ``script``, and ``command``, a line for the shell as it is."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog

from domain.context.commands import command_step, script_text
from domain.workflow.scripts import (
    COPIER,
    DIRECTORY,
    EXECUTOR,
    KEEPS,
    LOCAL,
    CommandConfig,
    ExecConfig,
    ScriptConfig,
    copier_name,
    executor_name,
    remote_path,
    script_file_name,
    script_path,
    script_url,
    script_words,
)
from runbus.plugin import FailureReason, FileCopier, NodeExecutor, ProcessExit, StepError
from services.runner.hosted import Hosted, NodeSide
from services.runner.stopper import StepStoppedError

MAX_SCRIPT_BYTES: Final = 64 * 1024 * 1024
_MODE: Final = "700"
_COUNTER: Final[Iterator[int]] = itertools.count(1)
_URL_WITHIN_S: Final = 60.0
_REMOVE_WITHIN_S: Final = 10.0

log = structlog.get_logger("runner")


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
    if not config.is_sound:
        raise StepError(
            "a script step needs one of 'script' (its text), 'file' (a path on the runner) and 'url'.",
            reason=FailureReason.CONFIGURATION,
        )
    if _executor_name(at) == LOCAL and not at.setting(DIRECTORY):
        return await _run_here(config, at)
    copier, executor = _copier(at), _executor(at)
    content = await _content(config, at)
    path = remote_path(at.setting(DIRECTORY), _file_name(config, at))
    await copier.copy(at.node, content, path, NodeSide(at))
    try:
        await _make_executable(path, at)
        return await executor.execute(at.node, script_words(path, config, at.place), NodeSide(at))
    finally:
        if at.setting(KEEPS) != "false":
            await _remove(path, at)


async def _run_here(config: ScriptConfig, at: Hosted) -> ProcessExit:
    """On the runner itself the private work directory takes the script; a program is run where it is."""
    path = _program(config, at)
    if path is None:
        path = at.work_dir / _file_name(config, at)
        path.write_bytes(await _content(config, at))
        path.chmod(0o700)
        try:
            return await _executor(at).execute(at.node, script_words(str(path), config, at.place), NodeSide(at))
        finally:
            path.unlink(missing_ok=True)
    return await _executor(at).execute(at.node, script_words(str(path), config, at.place), NodeSide(at))


async def _content(config: ScriptConfig, at: Hosted) -> bytes:
    if config.script is not None:
        text = config.script
    elif config.file is not None:
        path = Path(script_path(config, at.place))
        text = await asyncio.to_thread(_read, path, at)
    else:
        text = await _fetch(script_url(config, at.place), at)
    written = script_text(text, at.place, expand_tokens=config.expand_tokens)
    return written.encode("utf-8", "surrogateescape")


def _program(config: ScriptConfig, at: Hosted) -> Path | None:
    """The script file itself, where it can be run as it stands."""
    if config.file is None or config.expand_tokens:
        return None
    path = Path(script_path(config, at.place))
    try:
        is_there = path.is_file()
    except OSError:  # a name that is too long
        is_there = False
    if not is_there:
        raise _no_file(str(path), at)
    return path if config.interpreter or os.access(path, os.X_OK) else None


def _read(path: Path, at: Hosted) -> str:
    try:
        if path.stat().st_size > MAX_SCRIPT_BYTES:
            raise StepError(f"the script file {path} on runner {at.runner} is larger than 64 MiB.")
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except (OSError, ValueError) as cause:  # ValueError: a NUL in the path
        raise _no_file(str(path), at) from cause


async def _fetch(url: str, at: Hosted) -> str:
    """The text behind a URL; values are encoded for it. ``file:`` is a file on the runner."""
    if url.lower().startswith("file:"):
        return await asyncio.to_thread(_read, Path(unquote(urlsplit(url).path)), at)
    import httpx  # noqa: PLC0415 (a runner whose jobs name no URL does not load it)

    content = bytearray()
    try:
        async with (
            httpx.AsyncClient(timeout=_URL_WITHIN_S, follow_redirects=True) as client,
            client.stream("GET", url) as reply,
        ):
            reply.raise_for_status()
            async for piece in reply.aiter_bytes():
                content += piece
                if len(content) > MAX_SCRIPT_BYTES:
                    raise StepError(f"the script at {url} is larger than 64 MiB.", reason=FailureReason.IO_FAILURE)
    except (httpx.HTTPError, httpx.InvalidURL) as cause:
        raise StepError(
            f"the script at {url} could not be fetched by runner {at.runner}: {str(cause) or type(cause).__name__}.",
            reason=FailureReason.IO_FAILURE,
        ) from cause
    return content.decode("utf-8", "surrogateescape")


def _file_name(config: ScriptConfig, at: Hosted) -> str:
    return script_file_name(config, counter=next(_COUNTER), execution=at.execution, node=at.node.name)


async def _make_executable(path: str, at: Hosted) -> None:
    """Its user may read and run it, and nobody else: a script may hold secrets, whatever mode a copier gave it."""
    if at.place.target.is_windows:
        return
    ended = await _executor(at).execute(at.node, ["chmod", _MODE, at.place.target.quote(path)], NodeSide(at))
    if ended.exit_code != 0:
        raise StepError(
            f"the script {path} could not be made executable on node {at.node.name} (chmod ended with "
            f"{ended.exit_code if ended.exit_code is not None else ended.signal}).",
            reason=FailureReason.IO_FAILURE,
        )


async def _remove(path: str, at: Hosted) -> None:
    """A script that cannot be removed is only logged; after an abort, or a timeout, it is tried for a moment."""
    command = "del" if at.place.target.is_windows else "rm -f"
    problem = ""
    try:
        async with asyncio.timeout(_REMOVE_WITHIN_S):
            ended = await _executor(at).execute(at.node, [command, at.place.target.quote(path)], NodeSide(at))
        if ended.exit_code != 0:
            problem = f"{command} ended with {ended.exit_code if ended.exit_code is not None else ended.signal}"
    except StepError as error:
        problem = error.message
    except StepStoppedError:
        problem = "the step was stopped"
    except TimeoutError:
        problem = f"it took longer than {_REMOVE_WITHIN_S:g} s"
    if problem:
        log.warning("script.not_removed", execution=at.execution, node=at.node.name, path=path, error=problem)


def _executor_name(at: Hosted) -> str:
    return executor_name(at.setting(EXECUTOR), own_node=at.is_own_node)


def _executor(at: Hosted) -> NodeExecutor:
    """The executor that the node, else the project names; ``local`` for the runner itself, ``ssh`` for all others."""
    return at.bench.plugins.executor(_executor_name(at), at.node.name)


def _copier(at: Hosted) -> FileCopier:
    return at.bench.plugins.copier(copier_name(at.setting(COPIER), _executor_name(at)), at.node.name)


def _no_file(path: str, at: Hosted) -> StepError:
    shown = at.bench.masker.mask(path)[:500]  # a part of a secret would be recognized by nobody
    return StepError(
        f"the script file {shown} is not there on runner {at.runner}, or cannot be read by its user.",
        reason=FailureReason.NOT_FOUND,
    )
