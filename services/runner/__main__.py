"""``python -m services.runner``: one runner, on the standard event loop (uvloop spawns three times slower)."""

from __future__ import annotations

import sys

from bus.lifecycle import main_of_service
from services.runner.app import NAME, run
from services.runner.settings import RunnerSettings

if __name__ == "__main__":
    sys.exit(main_of_service(NAME, RunnerSettings, run, use_uvloop=False))
