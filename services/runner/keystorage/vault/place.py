"""Where a key lies in Vault: ``<secretBackend>/<prefix>/<path>``, each part encoded by itself."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.vault.config import VaultConfig

Parts = tuple[str, ...]

_SHOWN_CHARS: Final = 200
_DECODED_TIMES: Final = 8


class Place:
    """The folder of a mount that a key storage shows. Raises :class:`KeyStorageError` (CONFIGURATION)."""

    def __init__(self, config: VaultConfig) -> None:
        self.mount = "/".join(_setting("secretBackend", config.secret_backend))
        if not self.mount:
            raise KeyStorageError(
                "secretBackend is empty: name the KV engine's mount", reason=KeyFailure.CONFIGURATION
            )
        kept = () if config.remove_path_prefix else ("keys",)
        self._base: Parts = (*_setting("prefix", config.prefix), *kept)
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


def is_part(part: str) -> bool:
    """Whether a text names something in a folder, and nothing else however often somebody decodes it."""
    for _ in range(_DECODED_TIMES):
        if part in ("", ".", "..") or "/" in part or "\\" in part or not part.isprintable():
            return False
        decoded = unquote(part)
        if decoded == part:
            return True
        part = decoded
    return False


def _setting(name: str, value: str) -> Parts:
    stripped = value.strip("/")
    if not stripped:
        return ()
    parts = tuple(stripped.split("/"))
    if not all(is_part(part) for part in parts):
        text = f"{name} is {value[:_SHOWN_CHARS]!r}, which is no path: write folder/name"
        raise KeyStorageError(text, reason=KeyFailure.CONFIGURATION)
    return parts
