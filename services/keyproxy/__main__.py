"""``python -m services.keyproxy``: one keyproxy."""

from __future__ import annotations

import sys

from bus.lean import import_lean


def main() -> int:
    """Import what the service needs, run it, and return its exit code."""
    import_lean()
    from bus.lifecycle import main_of_service  # noqa: PLC0415  (imports structlog)
    from services.keyproxy.app import NAME, run  # noqa: PLC0415
    from services.keyproxy.settings import KeyproxySettings  # noqa: PLC0415

    return main_of_service(NAME, KeyproxySettings, run, use_uvloop=True)


if __name__ == "__main__":
    sys.exit(main())
