"""``python -m services.nodesource``: one nodesource."""

from __future__ import annotations

import sys

from bus.lean import import_lean


def main() -> int:
    """Import what the service needs, run it, and return its exit code."""
    import_lean()
    from bus.lifecycle import main_of_service  # noqa: PLC0415  (imports structlog)
    from services.nodesource.app import NAME, run  # noqa: PLC0415
    from services.nodesource.settings import NodesourceSettings  # noqa: PLC0415

    return main_of_service(NAME, NodesourceSettings, run, use_uvloop=True)


if __name__ == "__main__":
    sys.exit(main())
