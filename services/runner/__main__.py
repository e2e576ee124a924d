"""``python -m services.runner``: one runner, on the standard event loop (uvloop spawns three times slower)."""

from __future__ import annotations

import sys

from bus.lean import import_lean


def main() -> int:
    """Import what the service needs, run it, and return its exit code."""
    import_lean()
    from bus.lifecycle import main_of_service  # noqa: PLC0415  (imports structlog)
    from services.runner.app import NAME, run  # noqa: PLC0415
    from services.runner.settings import RunnerSettings  # noqa: PLC0415

    return main_of_service(NAME, RunnerSettings, run, use_uvloop=False)


if __name__ == "__main__":
    sys.exit(main())
