"""``directory``: the nodes of all files of a directory on the runner ("Node sources: names, settings, results")."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from domain.nodes.formats import format_of
from runbus.plugin import Discovered, Node, SourceContext, SourceError, SourceFailure
from schemas.errors import RunbusError
from schemas.version import VERSION
from services.runner.sources.documents import absolute, discovered_in_file

MAX_NODES: Final = 1_000_000
"""Of all files together."""


class DirectorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The original's only setting."""

    directory: str


class DirectoryNodes:
    """Reads every file whose extension tells a format, in the order of their names, subdirectories left out.

    As in the original, a file that cannot be read is a warning, a directory that is not there has no nodes, and of a
    node that several files have the last counts.
    """

    version: ClassVar[str] = VERSION
    config_type: ClassVar[type[DirectorySettings]] = DirectorySettings
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ()

    async def discover(self, config: DirectorySettings, context: SourceContext) -> Discovered:  # noqa: ARG002 - as asked
        """The nodes of the files. Raises :class:`SourceError` where the directory itself cannot be read."""
        return await asyncio.to_thread(_discovered, absolute(config.directory, "directory"))


def _discovered(directory: Path) -> Discovered:
    try:
        names = sorted(each.name for each in directory.iterdir())
    except FileNotFoundError:
        text = f"there is no directory {directory}; create it on the runner: until then it has no nodes"
        return Discovered(warnings=[text])
    except NotADirectoryError:
        raise SourceError(
            f"{directory} is no directory; name one, or use the source type 'file'",
            reason=SourceFailure.CONFIGURATION,
        ) from None
    except OSError as cause:
        raise SourceError(
            f"the directory {directory} cannot be read: {cause.strerror or cause}; "
            "give the runner's user access to it"
        ) from None
    nodes: list[Node] = []
    warnings: list[str] = []
    for name in names:
        if format_name := _format(name):
            try:
                found = discovered_in_file(_sayable(directory, name), format_name)
            except SourceError as error:
                warnings.append(f"left out: {error.message}")
            else:
                nodes += found.nodes
                warnings += found.warnings
        if len(nodes) > MAX_NODES:
            text = f"the files of {directory} hold more than {MAX_NODES:,} nodes; make several sources of them"
            raise SourceError(text, reason=SourceFailure.TOO_LARGE)
    return Discovered(nodes=nodes, warnings=warnings)


def _sayable(directory: Path, name: str) -> Path:
    if not name.isprintable():  # so is what was no UTF-8, and that could not even be sent
        raise SourceError(f"{name!a} in {directory}: no such name is read; rename the file")
    return directory / name


def _format(name: str) -> str:
    """The format of a file's name; none where it has no extension that tells one, or nothing before it."""
    try:
        return format_of(name) if name.rfind(".") > 0 else ""
    except RunbusError:
        return ""
