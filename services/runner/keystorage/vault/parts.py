"""Parts of paths in Vault: what may be one, whoever decodes it on the way."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

Parts = tuple[str, ...]

_DECODED_TIMES: Final = 8


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


def setting_parts(name: str, value: str) -> Parts:
    """Those of a setting; of an empty one none. Raises ValueError that names the setting, and no value."""
    stripped = value.strip("/")
    if not stripped:
        return ()
    parts = tuple(stripped.split("/"))
    if not all(is_part(part) for part in parts):
        raise ValueError(f"{name} is no path: write folder/name, without . and .. parts")
    return parts
