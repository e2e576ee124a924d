"""compose.yaml for real: each service alone in its container, driven from outside through the published port."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .compose import Stack, stack_up
from .engine import Engine
from .images import PythonImage
from .waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

_SERVICES = {"nats", "registry", "nodesource", "keyproxy", "dispatcher", "local-runner", "runner-dev", "runner-prod"}
_RUNNERS = {"local", "linux-dev-1", "linux-prod-1"}


@pytest.fixture(scope="module")
def stack(
    docker_engine: Engine, build_directory: Path, nats_image: str, python_image: PythonImage
) -> Iterator[Stack]:
    with stack_up(docker_engine, build_directory, nats_image=nats_image, python_image=python_image) as running:
        try:
            _wait_for_the_runners(running)
        except AssertionError as error:
            error.add_note(running.compose("logs", "--no-color"))
            raise
        yield running


def test_every_service_runs_alone_in_its_container(stack: Stack) -> None:
    assert set(stack.compose("config", "--services").split()) == _SERVICES
    containers = {stack.container(service) for service in _SERVICES}
    assert set(stack.containers("status=running")) == containers
    assert len(containers) == len(_SERVICES)


def test_a_job_from_outside_runs_on_a_runner_with_its_tags(stack: Stack) -> None:
    done = _runbus(stack, "run", "--tags", "LINUX+DEV", "--", "uname", "-a")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Linux ")
    assert _host_name(stack, "runner-dev") in done.stdout.split()


@pytest.mark.parametrize(
    ("selection", "service"),
    [
        (["--tags", "LINUX+DEV"], "runner-dev"),
        (["--tags", "LINUX+PROD"], "runner-prod"),
        ([], "local-runner"),
    ],
)
def test_the_tags_decide_the_container(stack: Stack, selection: list[str], service: str) -> None:
    done = _runbus(stack, "run", *selection, "--", "uname", "-n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == _host_name(stack, service)


def test_the_exit_code_of_the_job_is_that_of_the_command(stack: Stack) -> None:
    done = _runbus(stack, "run", "--tags", "LINUX+DEV", "--", "sh", "-c", "exit 7")
    assert done.returncode == 7, done.stderr


def test_a_stopped_service_ends_with_0_and_comes_back(stack: Stack) -> None:
    for service in ("runner-dev", "dispatcher", "registry"):
        stack.compose("stop", service)
        state = stack.engine.docker("inspect", "--format", "{{.State.ExitCode}}", stack.container(service))
        assert state.strip() == "0", stack.compose("logs", "--no-color", service)
    stack.compose("up", "--detach", "--no-build")
    _wait_for_the_runners(stack)
    done = _runbus(stack, "run", "--tags", "LINUX+DEV", "--", "echo", "back")
    assert done.stdout.strip() == "back", done.stderr


def test_nothing_is_left_when_it_is_taken_down(
    docker_engine: Engine, build_directory: Path, nats_image: str, python_image: PythonImage
) -> None:
    with stack_up(docker_engine, build_directory, nats_image=nats_image, python_image=python_image) as second:
        assert len(second.containers()) == len(_SERVICES)
        assert len(second.volumes()) == 3
    assert second.containers() == []
    assert second.volumes() == []


def _wait_for_the_runners(stack: Stack) -> None:
    def all_are_listed() -> bool:
        listed = _runbus(stack, "runner", "list", "--status", "healthy", "--json")
        return listed.returncode == 0 and all(runner in listed.stdout for runner in _RUNNERS)

    wait_until(all_are_listed, timeout_s=60.0, what="all runners are registered and healthy")


def _runbus(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("runbus")
    environment = {**os.environ, "RUNBUS_NATS_URL": stack.nats_url()}
    return subprocess.run(
        [command, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def _host_name(stack: Stack, service: str) -> str:
    return stack.compose("exec", "-T", service, "uname", "-n").strip()
