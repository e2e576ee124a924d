"""The errors of this package, built in one place."""

from __future__ import annotations

from schemas.errors import ErrorCode, RunbusError

_MAX_SHOWN_CHARS = 120


def shown(text: str) -> str:
    """What someone wrote, safe and short enough for a message."""
    return repr(text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 3] + "...")


def bad_filter(text: str, reason: str) -> RunbusError:
    """A node filter that cannot be used; ``text`` is the part at fault."""
    return RunbusError(
        ErrorCode.INVALID_SELECTOR,
        f"node filter {shown(text)}: {reason}",
        details={"filter": text[:_MAX_SHOWN_CHARS]},
    )


def bad_nodes(format_name: str, reason: str, line: int = 0) -> RunbusError:
    """A document of nodes that cannot be read or written; ``line`` counts from 1, 0 where none can be named."""
    where = f"{format_name}, line {line}" if line else format_name
    return RunbusError(
        ErrorCode.INVALID_MESSAGE,
        f"{where}: {reason}",
        details={"format": format_name, "line": line},
    )
