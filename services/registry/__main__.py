"""``python -m services.registry``: one registry."""

from __future__ import annotations

import sys

from bus.lifecycle import main_of_service
from services.registry.app import NAME, run
from services.registry.settings import RegistrySettings

if __name__ == "__main__":
    sys.exit(main_of_service(NAME, RegistrySettings, run, use_uvloop=True))
