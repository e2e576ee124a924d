"""Write the golden bytes of message types that have none yet: ``python -m tests.golden.write``.

Bytes once written are never overwritten: they are what older senders and the stored history hold.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from schemas.catalog import type_of
from schemas.codec import encode
from tests.golden.samples import SAMPLES

FOLDER: Final = Path(__file__).parent


def path_of(sample: msgspec.Struct, folder: Path = FOLDER) -> Path:
    """Where the golden bytes of a message type are."""
    return folder / f"{type_of(type(sample))}.json"


def write(folder: Path = FOLDER) -> list[Path]:
    """Write those that are missing, and say which."""
    missing = [sample for sample in SAMPLES if not path_of(sample, folder).exists()]
    for sample in missing:
        with path_of(sample, folder).open("xb") as file:
            file.write(encode(sample))
    return [path_of(sample, folder) for sample in missing]


if __name__ == "__main__":
    for written in write():
        sys.stdout.write(f"{written.name}\n")
