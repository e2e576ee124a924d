"""Importing structlog without what it would bring along. Imports nothing itself: it must come first."""

from __future__ import annotations

import importlib
import sys


def import_structlog_alone() -> None:
    """Import structlog without rich, which it loads for tracebacks that we never print: 45 ms, and 4 MB a process."""
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]
