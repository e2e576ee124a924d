"""Small images with busybox in them: a shell, the commands that are named, and directories."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from .engine import Engine


class Busybox(NamedTuple):
    """What an image is made of; directories with their modes."""

    name: str
    commands: Sequence[str]
    directories: Mapping[str, int]


def required_busybox(engine: Engine, image: Busybox, directory: Path) -> None:
    """Make it. Where there is no busybox the test is skipped; where CI=true it fails."""
    busybox = shutil.which("busybox")
    if busybox is None:
        text = "there is no busybox to make an image of; tests/real/install-docker.sh installs it on Debian"
        if os.environ.get("CI") == "true":
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    archive = directory / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(busybox, "bin/busybox")
        for name in image.commands:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name, mode in image.directories.items():
            made = tarfile.TarInfo(name)
            made.type, made.mode = tarfile.DIRTYPE, mode
            tar.addfile(made)
    engine.docker("import", str(archive), image.name)
