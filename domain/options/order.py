"""The order of a job's options."""

from __future__ import annotations

from schemas.options import Option


def in_order(option: Option) -> tuple[bool, int, str]:
    """Sorts options as forms show them: by ``sort_index``, then those without one by name."""
    return option.sort_index is None, option.sort_index or 0, option.name
