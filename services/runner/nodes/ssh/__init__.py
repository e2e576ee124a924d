"""Node executor and file copier ``ssh``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from runbus.plugin import Node, NodeContext, ProcessExit

if TYPE_CHECKING:
    from services.runner.nodes.ssh.service import SshService


class SshNodes:
    """Commands by ``exec``, files by SFTP, over connections that are kept for a while and shared.

    Settings: see ``services/runner/nodes/ssh/resolve.py``.
    """

    version: ClassVar[str] = "1.0"
    requires: ClassVar[tuple[str, ...]] = ("asyncssh",)

    def __init__(self) -> None:
        self._service: SshService | None = None

    async def execute(self, node: Node, words: Sequence[str], context: NodeContext) -> ProcessExit:
        """Run the line by the login shell of the node's user."""
        return await self._loaded().execute(node, " ".join(words), context)

    async def copy(self, node: Node, content: bytes, destination: str, context: NodeContext) -> None:
        """Write a file that only the node's user reads."""
        await self._loaded().copy(node, content, destination, context)

    async def close(self) -> None:
        """Close every connection."""
        if self._service is not None:
            await self._service.close()
            self._service = None

    def _loaded(self) -> SshService:
        if self._service is None:
            from services.runner.nodes.ssh.service import SshService  # noqa: PLC0415  (an idle runner has no SSH)

            self._service = SshService()
        return self._service
