"""``python -m services.registry``: one registry."""

from __future__ import annotations

import sys

from bus.lean import import_lean


def main() -> int:
    """Import what the service needs, run it, and return its exit code."""
    import_lean()
    from bus.lifecycle import main_of_service  # noqa: PLC0415  (imports structlog)
    from services.registry.app import NAME, run  # noqa: PLC0415
    from services.registry.settings import RegistrySettings  # noqa: PLC0415

    return main_of_service(NAME, RegistrySettings, run, use_uvloop=True)


if __name__ == "__main__":
    sys.exit(main())
