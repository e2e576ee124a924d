"""Key storage ``conjur``: variables of CyberArk Conjur."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from runbus.plugin import KeyEntry
from schemas.version import VERSION
from services.runner.keystorage.conjur.config import AuthnType, ConjurConfig

if TYPE_CHECKING:
    from services.runner.keystorage.conjur.variables import Variables

__all__ = ["AuthnType", "ConjurConfig", "ConjurVariables"]


class ConjurVariables:
    """Variables that the runner may see. Settings: :class:`ConjurConfig`.

    Key ``db/password`` is the variable ``<prefix>/db/password``. A listing asks for names (1,000 a call) and reads no
    value, so it tells no types; one key that is shown is read, and forgotten.
    """

    version: ClassVar[str] = VERSION
    config_type: ClassVar[type[Any]] = ConjurConfig
    secret_settings: ClassVar[frozenset[str]] = frozenset({"apiKey"})
    requires: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: ConjurConfig) -> None:
        self._config = config
        self._made: Variables | None = None

    async def read(self, path: str) -> str:
        """The value. Raises :class:`KeyStorageError`."""
        return await (await self._variables()).value(path)

    async def show(self, path: str) -> KeyEntry:
        """What is known of a variable or folder. Raises :class:`KeyStorageError`."""
        return await (await self._variables()).show(path)

    async def children(self, path: str, *, deep: bool = False) -> Sequence[KeyEntry]:
        """Variables, and the folders that their names make. Raises :class:`KeyStorageError`."""
        return await (await self._variables()).children(path, deep)

    async def check(self) -> None:
        """Log in. Raises :class:`KeyStorageError`."""
        await (await self._variables()).check()

    async def close(self) -> None:
        """Let go of connections and the token."""
        made, self._made = self._made, None
        if made is not None:
            await made.close()

    async def _variables(self) -> Variables:
        if self._made is None:
            made = await asyncio.to_thread(_variables_of, self._config)
            # Another call may have come first, while this one waited.
            self._made = self._made or made
        return self._made


def _variables_of(config: ConjurConfig) -> Variables:
    from services.runner.keystorage.conjur.variables import Variables  # noqa: PLC0415  (an idle runner has none)

    return Variables(config)
