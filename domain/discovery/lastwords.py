"""What a process wrote to stderr, short enough for an error or a warning."""

from __future__ import annotations

from typing import Final

from domain.context.masking import Masker, MaskStream

_LINES: Final = 5
_CHARS: Final = 500


def last_words(stderr: bytes) -> str:
    """The last lines, in one. Secrets are to be masked before: nobody recognizes a part of one."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    text = " / ".join(lines[-_LINES:])
    if len(text) <= _CHARS:
        return text
    return f"...{text[-_CHARS:].partition(' ')[2]}"


def words_so_far(stderr: bytes, masker: Masker) -> str:
    """How a text goes on about a process that has not ended. What may yet become a secret is left out."""
    said = last_words(MaskStream(masker.by_line()).feed(stderr))
    return f"; until then it wrote to stderr: {said}" if said else "; it wrote nothing to stderr until then"
