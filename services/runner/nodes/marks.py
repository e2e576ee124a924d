"""Ending what a command has started on a node: found again by a mark in its environment."""

from __future__ import annotations

import secrets
from typing import Final

NAMES: Final = ("RD_RUNBUS_MARK", "LC_RUNBUS_MARK")
"""Of a server that takes only some variables: ``RD_*`` as the original's documentation sets it up, ``LC_*`` as most
systems come."""

_MARKED: Final = (
    "n=0; for f in $(grep -ls {mark} /proc/[0-9]*/environ 2>/dev/null); do p=${{f#/proc/}}; p=${{p%/environ}}; "
    'kill -s {signal} "$p" 2>/dev/null && n=1; done'
)
_SIBLINGS: Final = (
    '[ $n = 1 ] || ps -A -o pid= -o ppid= | while read -r p q; do [ "$q" = $PPID ] && [ "$p" != $$ ] && '
    '{{ kill -s {signal} -- "-$p" || kill -s {signal} "$p"; }} 2>/dev/null; done'
)


def new_mark() -> str:
    """A mark that nothing else bears."""
    return secrets.token_hex(16)


def environment_of(mark: str) -> dict[str, str]:
    """The variables that bear it. Every process gets them from the one that started it."""
    return dict.fromkeys(NAMES, mark)


def signal_script(mark: str, signal: str, *, siblings: bool) -> str:
    """A script for ``/bin/sh`` that signals (``TERM``, ``KILL``) every process that bears the mark.

    ``siblings``: where none bears it, signal the groups of whatever else has the script's own parent. Only for a
    connection on which nothing else runs.
    """
    parts = [_MARKED.format(mark=mark, signal=signal)]
    if siblings:
        parts.append(_SIBLINGS.format(signal=signal))
    return "; ".join(parts)
