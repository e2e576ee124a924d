"""``script``: the nodes that a program on the runner prints ("Node sources: names, settings, results")."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import ClassVar

import msgspec

from domain.context.references import Missing, expand
from domain.context.scopes import DataContext, View
from domain.discovery.lastwords import last_words
from runbus.plugin import Discovered, ProcessOutput, SourceContext, SourceError, SourceFailure
from schemas.version import VERSION
from services.runner.sources.documents import absolute, check_file, discovered_in, format_named


class ScriptSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The original's settings."""

    file: str
    format: str
    """A format's name, or a MIME type."""
    interpreter: str = ""
    """A program with arguments of its own, such as ``python3 -u``; without it the file is run itself."""
    args: str = ""
    """``${context.project}`` and ``${rundeck.project}`` stand for the project."""
    args_quoted: bool = False
    """File and arguments are one argument of the interpreter, as ``bash -c`` takes it."""


class ScriptNodes:
    """Runs ``[interpreter] file [args]`` in a directory of its own and reads what it prints."""

    version: ClassVar[str] = VERSION
    config_type: ClassVar[type[ScriptSettings]] = ScriptSettings
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ()

    async def discover(self, config: ScriptSettings, context: SourceContext) -> Discovered:
        """The nodes. Raises :class:`SourceError` where it ends with another exit code than 0, or prints nothing.

        What it writes to stderr is a warning.
        """
        path = absolute(config.file, "file")
        format_name = format_named(config.format)
        argv = _argv(config, path, context.project)
        await asyncio.to_thread(check_file, path)
        project = {"RD_CONTEXT_PROJECT": context.project, "RD_RUNDECK_PROJECT": context.project}
        ended = await context.run_process(argv, env={**context.env, **project})
        said = last_words(ended.stderr)
        _check(ended, path, said)
        found = await asyncio.to_thread(discovered_in, ended.stdout, format_name, f"the output of {path}")
        warnings = [f"{path} wrote to stderr: {said}"] if said else []
        return Discovered(nodes=found.nodes, warnings=[*warnings, *found.warnings])


def _argv(config: ScriptSettings, path: Path, project: str) -> list[str]:
    names = {"project": project}
    data = DataContext.of({"context": names, "rundeck": names})

    def filled(text: str) -> str:
        return expand(text, data, View(), Missing.LITERAL)

    interpreter = _words(config.interpreter, "interpreter")
    if interpreter and config.args_quoted:
        return [*interpreter, f"{path} {filled(config.args)}" if config.args else str(path)]
    return [*interpreter, str(path), *map(filled, _words(config.args, "args"))]


def _words(line: str, setting: str) -> list[str]:
    r"""A line split at blanks. Quotes keep blanks together, also in a word, and are taken off; ``\`` means nothing.

    So the original does it here, unlike in the arguments of steps (``domain/context/arguments.py``).
    """
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = lexer.escape = ""
    try:
        return list(lexer)
    except ValueError:
        raise SourceError(
            f"in the setting {setting!r} a quote is not closed; close it", reason=SourceFailure.CONFIGURATION
        ) from None


def _check(ended: ProcessOutput, path: Path, said: str) -> None:
    if ended.exit_code != 0:
        how = f"exit code {ended.exit_code}" if ended.signal is None else f"signal {ended.signal}"
        why = said or "it wrote nothing to stderr; run it by hand, as the runner's user"
        raise SourceError(f"{path} ended with {how}: {why}")
    if not ended.stdout:
        why = said or "it has to print a document of nodes to stdout, such as {} where there are none"
        raise SourceError(f"{path} printed nothing: {why}", reason=SourceFailure.MALFORMED)
