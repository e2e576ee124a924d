from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import images
from .engine import Engine

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def image(docker_engine: Engine, build_directory: Path, python_image: images.PythonImage) -> Iterator[str]:
    name = f"runbus-test-{secrets.token_hex(4)}"
    argument = f"PYTHON_IMAGE={python_image.name}"
    docker_engine.docker("build", "--tag", name, "--build-arg", argument, str(build_directory), timeout_s=600.0)
    yield name
    docker_engine.docker("image", "rm", "--force", name)


def test_the_command_is_what_a_container_starts(docker_engine: Engine, image: str) -> None:
    assert "Usage: runbus" in docker_engine.docker("run", "--rm", image)
    assert "Usage: runbus runner" in docker_engine.docker("run", "--rm", image, "runner", "--help")


def test_it_does_not_run_as_root_and_its_data_directory_is_its_own(docker_engine: Engine, image: str) -> None:
    script = 'touch "$RUNBUS_DATA_DIR/file" && id -u'
    assert _in_bash(docker_engine, image, script) == "10001"


def test_it_holds_the_locked_versions(docker_engine: Engine, image: str) -> None:
    lock = (images.ROOT / "requirements/runtime.lock").read_text()
    locked = {line.split()[0] for line in lock.splitlines() if "==" in line}
    # Projects spell their names with capitals and underscores, the lock never does.
    lines = _in_bash(docker_engine, image, "pip list --format freeze").split()
    installed = {line.lower().replace("_", "-") for line in lines}
    assert locked <= installed


def test_it_holds_no_sources_and_no_wheels(docker_engine: Engine, image: str) -> None:
    assert _in_bash(docker_engine, image, "ls -d /src /dist 2> /dev/null || true") == ""


def _in_bash(engine: Engine, image: str, script: str) -> str:
    return engine.docker("run", "--rm", "--entrypoint", "bash", image, "-c", script).strip()
