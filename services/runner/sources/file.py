"""``file``: the nodes of a file on the runner ("Node sources: names, settings, results")."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import msgspec

from runbus.plugin import Discovered, SourceContext, SourceError, SourceFailure
from schemas.version import VERSION
from services.runner.scope import own_node
from services.runner.sources.documents import absolute, discovered_in_file, format_by_extension, format_named


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The original's settings; nothing is ever written here, whatever the last two say."""

    file: str
    format: str | None = None
    """A format's name, or a MIME type; without it the file's extension says it."""
    require_file_exists: bool = False
    include_server_node: bool = False
    """The runner itself as one more node, unless the file has one of its name."""
    generate_file_automatically: bool = False
    writeable: bool = False


class FileNodes:
    """Reads a document of nodes anew for every discovery. A file that is missing has no nodes, as in the original."""

    version: ClassVar[str] = VERSION
    config_type: ClassVar[type[FileSettings]] = FileSettings
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ()

    async def discover(self, config: FileSettings, context: SourceContext) -> Discovered:
        """The nodes of the file. Raises :class:`SourceError`; a fault in the document has its file and line."""
        return await asyncio.to_thread(_discovered, config, context.runner)


def _discovered(config: FileSettings, runner: str) -> Discovered:
    path = absolute(config.file, "file")
    format_name = format_named(config.format) if config.format else format_by_extension(path)
    warnings = _unheeded(config)
    try:
        found = discovered_in_file(path, format_name)
    except SourceError as error:
        if error.reason is not SourceFailure.NOT_FOUND or config.require_file_exists:
            raise
        found = Discovered(
            warnings=[f"{error.message}: until then it has no nodes. requireFileExists=true makes this a failure"]
        )
    nodes = found.nodes
    if config.include_server_node and all(node.name != runner for node in nodes):
        nodes = [own_node(runner, []), *nodes]
    return Discovered(nodes=nodes, warnings=[*warnings, *found.warnings])


def _unheeded(config: FileSettings) -> list[str]:
    given = {"generateFileAutomatically": config.generate_file_automatically, "writeable": config.writeable}
    return [f"{name}=true has no effect: nodes are read here, never written" for name, on in given.items() if on]
