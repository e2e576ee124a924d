"""The services of compose.yaml in containers, from an image built for the test."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .engine import DockerError, Engine, MissingError
from .images import ROOT, PythonImage

_BUILD_TIMEOUT_S = 600.0
_TIMEOUT_S = 120.0


def build_context(directory: Path, wheels: Path) -> Path:
    """A copy of what an image build sees of this repository, with the wheels to install without network."""
    shutil.copytree(wheels, directory / "dist/wheels")
    for name in ("Dockerfile", ".dockerignore", "compose.yaml", *_names_let_in_by_dockerignore()):
        source, target = ROOT / name, directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target)
    return directory


def _names_let_in_by_dockerignore() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line[1:] for line in lines if line.startswith("!") and line != "!dist/wheels"]


@dataclass(frozen=True, slots=True)
class Stack:
    """One project of Compose: the containers of a compose.yaml under a name of their own."""

    engine: Engine
    command: tuple[str, ...]
    context: Path
    project: str
    settings: dict[str, str]

    def compose(self, *arguments: str, timeout_s: float = _TIMEOUT_S) -> str:
        """What Compose prints. Raises DockerError."""
        command = (*self.command, "--project-name", self.project, *arguments)
        return self.engine.run(*command, timeout_s=timeout_s, cwd=self.context, env=self.settings)

    def nats_url(self) -> str:
        """Where the published port of the NATS server is reached from here."""
        return f"nats://{self.compose('port', 'nats', '4222').strip()}"

    def containers(self, *filters: str) -> list[str]:
        """The ids of the project's containers that fit the filters of `docker ps`, the stopped ones too."""
        label = f"label=com.docker.compose.project={self.project}"
        options = [option for text in (label, *filters) for option in ("--filter", text)]
        return self.engine.docker("ps", "--all", "--quiet", *options).split()

    def container(self, service: str) -> str:
        """The id of the one container of a service."""
        (found,) = self.containers(f"label=com.docker.compose.service={service}")
        return found

    def volumes(self) -> list[str]:
        """The names of the project's volumes."""
        label = f"label=com.docker.compose.project={self.project}"
        return self.engine.docker("volume", "ls", "--quiet", "--filter", label).split()


@contextmanager
def stack_up(engine: Engine, context: Path, *, nats_image: str, python_image: PythonImage) -> Iterator[Stack]:
    """The project built and started; taken down with volumes and image at the end. Raises MissingError."""
    project = f"runbus-test-{secrets.token_hex(4)}"
    settings = {
        "SERVICE_IMAGE": f"{project}:latest",
        "NATS_IMAGE": nats_image,
        "NATS_PUBLISH": "127.0.0.1:0",
        "PYTHON_IMAGE": python_image.name,
    }
    stack = Stack(engine, _compose_command(engine), context, project, settings)
    try:
        stack.compose("up", "--build", "--detach", timeout_s=_BUILD_TIMEOUT_S)
        yield stack
    finally:
        stack.compose("down", "--volumes")
        engine.docker("image", "rm", "--force", settings["SERVICE_IMAGE"])


def _compose_command(engine: Engine) -> tuple[str, ...]:
    try:
        engine.docker("compose", "version")
    except DockerError:
        if shutil.which("docker-compose") is None:
            raise MissingError("there is no Compose: apt-get install docker-compose") from None
        return ("docker-compose",)
    return ("docker", "compose")
