"""Node executor and file copier ``docker``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from runbus.plugin import Node, NodeContext, ProcessExit

if TYPE_CHECKING:
    from services.runner.nodes.docker.service import DockerService


class DockerNodes:
    """Commands by ``exec`` in a running container, files as an archive.

    Settings: see ``services/runner/nodes/docker/place.py``.
    """

    version: ClassVar[str] = "1.0"
    requires: ClassVar[tuple[str, ...]] = ("aiodocker",)

    def __init__(self) -> None:
        self._service: DockerService | None = None

    async def execute(self, node: Node, words: Sequence[str], context: NodeContext) -> ProcessExit:
        """Run the line by the container's shell."""
        return await self._loaded().execute(node, " ".join(words), context)

    async def copy(self, node: Node, content: bytes, destination: str, context: NodeContext) -> None:
        """Write a file that only the container's user reads."""
        await self._loaded().copy(node, content, destination, context)

    async def close(self) -> None:
        """Close every connection."""
        if self._service is not None:
            await self._service.close()
            self._service = None

    def _loaded(self) -> DockerService:
        if self._service is None:
            from services.runner.nodes.docker.service import DockerService  # noqa: PLC0415  (an idle runner has none)

            self._service = DockerService()
        return self._service
