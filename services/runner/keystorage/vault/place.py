"""Where a key lies in Vault: ``<secretBackend>/<prefix>/<path>``, each part encoded by itself."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.vault.config import VaultConfig
from services.runner.keystorage.vault.parts import Parts, is_part, setting_parts

__all__ = ["Parts", "Place", "is_part", "parts_of"]

_SHOWN_CHARS: Final = 200


class Place:
    """The folder of a mount that a key storage shows."""

    def __init__(self, config: VaultConfig) -> None:
        self.mount = "/".join(setting_parts("secretBackend", config.secret_backend))
        kept = () if config.remove_path_prefix else ("keys",)
        self._base: Parts = (*setting_parts("prefix", config.prefix), *kept)
        self.version = config.engine_version

    def secret(self, parts: Parts) -> str:
        """The address, from ``/v1`` on, where a secret is read."""
        return self._url("data", parts)

    def folder(self, parts: Parts) -> str:
        """The address where a folder is listed, and where a secret's metadata (KV 2) are read."""
        return self._url("metadata", parts)

    def name(self, parts: Parts) -> str:
        """The same for people."""
        return "/".join((self.mount, *self._base, *parts))

    def _url(self, kind: str, parts: Parts) -> str:
        between = (kind,) if self.version == 2 else ()
        path = (*between, *(quote(part, safe="") for part in (*self._base, *parts)))
        return "/".join(("/v1", quote(self.mount), *path))


def parts_of(path: str) -> Parts:
    """The parts of a key's path; of the root none. Raises :class:`KeyStorageError` (OUTSIDE)."""
    if not path:
        return ()
    parts = tuple(path.split("/"))
    if not all(is_part(part) for part in parts):
        text = f"{path[:_SHOWN_CHARS]!r} is no path below this key storage. Write folder/name, without . and .. parts"
        raise KeyStorageError(text, reason=KeyFailure.OUTSIDE)
    return parts
