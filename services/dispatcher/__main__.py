"""``python -m services.dispatcher``: one dispatcher."""

from __future__ import annotations

import sys

from bus.lifecycle import main_of_service
from services.dispatcher.app import NAME, run
from services.dispatcher.settings import DispatcherSettings

if __name__ == "__main__":
    sys.exit(main_of_service(NAME, DispatcherSettings, run, use_uvloop=True))
