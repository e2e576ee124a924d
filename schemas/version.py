"""The version of Runbus, as services and runners report it."""

from typing import Final

VERSION: Final = "0.1.0"
