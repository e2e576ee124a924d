"""A Docker engine for the tests: the one that answers, or one of our own that ends with them.

As a program it runs a command with an engine of its own, which several test processes then share:

    python tests/real/engine.py pytest -m docker -n 4
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ANSWER_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 40.0
_INSTALL_HINT = "tests/real/install-docker.sh installs what is needed on Debian"


class MissingError(Exception):
    """Something that the tests need is not on this machine; the text says what, and what to do about it."""


class DockerError(Exception):
    """A docker command failed or did not end in time."""

    def __init__(self, command: tuple[str, ...], output: str) -> None:
        self.command = command
        self.output = output
        super().__init__(f"{' '.join(command)}: {output.strip() or 'no output'}")


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine. `host` is its DOCKER_HOST, or None where docker finds it by itself."""

    host: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment for programs that are to use this engine."""
        return dict(os.environ) if self.host is None else {**os.environ, "DOCKER_HOST": self.host}

    def docker(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """What `docker ARGUMENTS` prints on its standard output. Raises DockerError."""
        return self.run("docker", *arguments, timeout_s=timeout_s)

    def run(self, *command: str, timeout_s: float, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
        """The standard output of a command that uses this engine. Raises DockerError."""
        try:
            done = subprocess.run(
                command,
                env={**self.environment, **(env or {})},
                cwd=cwd,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DockerError(command, f"not done after {timeout_s} s") from error
        except OSError as error:
            raise DockerError(command, str(error)) from error
        if done.returncode != 0:
            raise DockerError(command, done.stdout + done.stderr)
        return done.stdout

    def answers(self) -> bool:
        """Whether the engine is there."""
        try:
            self.docker("version", "--format", "{{.Server.Version}}", timeout_s=10.0)
        except DockerError:
            return False
        return True


@contextmanager
def any_engine() -> Iterator[Engine]:
    """The engine that answers, or our own where RUNBUS_TEST_START_DOCKER=1. Raises MissingError."""
    if shutil.which("docker") is None:
        raise MissingError(f"there is no docker command; {_INSTALL_HINT}")
    engine = Engine()
    if engine.answers():
        yield engine
    elif os.environ.get("RUNBUS_TEST_START_DOCKER") == "1":
        with own_engine() as engine:
            yield engine
    else:
        where = os.environ.get("DOCKER_HOST", "the default socket")
        raise MissingError(
            f"no Docker engine answers at {where}; start one, or let the tests start one of their own: "
            "RUNBUS_TEST_START_DOCKER=1, as root"
        )


@contextmanager
def own_engine() -> Iterator[Engine]:
    """An engine with all its data in a temporary directory; it ends with the context, its containers too.

    It leaves the machine's iptables alone: its containers reach each other and their published ports answer, but
    they have no way to the outside. Raises MissingError where it can not be started.
    """
    if os.geteuid() != 0:
        raise MissingError("only root can start a Docker engine; set DOCKER_HOST to one that runs")
    if shutil.which("dockerd") is None:
        raise MissingError(f"there is no dockerd; {_INSTALL_HINT}")
    with _alone(), tempfile.TemporaryDirectory(prefix="runbus-docker-", ignore_cleanup_errors=True) as name:
        process = _start(Path(name))
        engine = Engine(f"unix://{name}/docker.sock")
        try:
            _wait_for(engine, process, log=Path(name, "dockerd.log"))
            yield engine
        finally:
            _stop(process)


def cache_directory() -> Path:
    """Where the tests keep what is expensive to make. It may be deleted at any time when no test runs."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    directory = Path(base).expanduser() / "runbus-tests"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextmanager
def _alone() -> Iterator[None]:
    # Two engines on one machine would share the bridge docker0 and hand out the same addresses.
    with (cache_directory() / "dockerd.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MissingError(
                "another test run has an engine of its own: wait for it, or share one between processes: "
                "python tests/real/engine.py pytest …"
            ) from error
        yield


def _start(directory: Path) -> subprocess.Popen[bytes]:
    command = [
        *("dockerd", "--host", f"unix://{directory}/docker.sock", "--pidfile", f"{directory}/dockerd.pid"),
        *("--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec"),
        *("--iptables=false", "--ip6tables=false", "--ip-forward=false"),
    ]
    if shutil.which("setpriv"):
        # It ends even where the test process is killed.
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    with (directory / "dockerd.log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the tests: they stop the engine when their containers are gone.
            start_new_session=True,
        )


def _wait_for(engine: Engine, process: subprocess.Popen[bytes], *, log: Path) -> None:
    deadline = time.monotonic() + _ANSWER_TIMEOUT_S
    while not engine.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise MissingError(f"dockerd did not come up; the end of its log:\n{last_lines}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(command: list[str]) -> int:
    """Run the command with an engine of its own and return its exit code."""
    if not command:
        print("usage: python tests/real/engine.py COMMAND [ARGUMENT…]", file=sys.stderr)
        return 2
    try:
        with own_engine() as engine:
            return subprocess.run(command, env=engine.environment, check=False).returncode
    except MissingError as error:
        print(f"no engine: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
