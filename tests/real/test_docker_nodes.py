"""Commands and files in containers, by a real engine."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from runbus.plugin import FailureReason, Node, ProcessExit, StepError
from services.runner.nodes.docker.service import DockerService
from tests.support.nodecontext import RecordingContext
from tests.support.waiting import eventually

from .busybox import Busybox, required_busybox
from .engine import Engine

pytestmark = pytest.mark.docker

_COMMANDS = (
    "cat",
    "chmod",
    "echo",
    "env",
    "grep",
    "head",
    "id",
    "ls",
    "ps",
    "rm",
    "sh",
    "sleep",
    "stat",
    "touch",
    "tr",
    "wc",
)


@pytest.fixture(scope="module")
def container(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running container with a shell, a user of its own, and a small disk at /small."""
    directories = {"tmp": 0o1777, "proc": 0o755, "small": 0o755}
    image = Busybox("runbus-test-busybox:1", _COMMANDS, directories)
    required_busybox(docker_engine, image, tmp_path_factory.mktemp("image"))
    name = f"runbus-test-node-{os.getpid()}"
    docker_engine.docker(
        "run", "--detach", "--name", name, "--network", "none", "--tmpfs", "/small:size=64k",
        "runbus-test-busybox:1", "/bin/sh", "-c", "while :; do sleep 1; done",
    )  # fmt: skip
    yield name
    docker_engine.docker("rm", "--force", name)


@pytest.fixture
async def docker() -> AsyncIterator[DockerService]:
    service = DockerService(grace_s=1.0)
    yield service
    await service.close()


def _node(container: str, **attributes: str) -> Node:
    given = {key.replace("_", "-"): value for key, value in attributes.items()}
    return Node(name="box1", attributes={"docker:Id": container, **given})


def _context(node: Node, tmp_path: Path, **env: str) -> RecordingContext:
    return RecordingContext(node, tmp_path, env=env)


async def test_output_of_both_streams_the_exit_code_and_the_variables(
    container: str, docker: DockerService, tmp_path: Path
) -> None:
    context = _context(_node(container), tmp_path, RD_JOB_NAME="back up")
    ended = await docker.execute(_node(container), 'echo "$RD_JOB_NAME"; echo err >&2; exit 3', context)
    assert ended == ProcessExit(exit_code=3)
    assert (context.stdout, context.stderr) == (b"back up\n", b"err\n")


class _KnowsASecret(RecordingContext):
    """As a runner's own contexts do."""

    def process_env(self) -> Mapping[str, str]:
        return self.env

    def holds_secret(self, text: str) -> bool:
        return "s3cr3t" in text


async def test_a_line_with_a_secret_is_no_argument(container: str, docker: DockerService, tmp_path: Path) -> None:
    node = _node(container)
    context = _KnowsASecret(node, tmp_path, env={})
    line = "tr '\\0' '\\n' < /proc/$$/cmdline; v='s3cr3t'; echo ${#v}; env | grep -c RUNBUS_LINE; exit 4"
    assert await docker.execute(node, line, context) == ProcessExit(exit_code=4)
    assert context.stdout.endswith(b"\n6\n0\n")
    assert b"s3cr3t" not in context.stdout
    await docker.execute(node, line.replace("s3cr3t", "open"), context)
    assert b"v='open'" in context.stdout, "a line without one goes as ever"


async def test_much_output_passes_whole(container: str, docker: DockerService, tmp_path: Path) -> None:
    context = _context(_node(container), tmp_path)
    await docker.execute(_node(container), "cat /bin/busybox", context)
    assert context.stdout == Path(shutil.which("busybox") or "").read_bytes()


async def test_the_node_s_user_runs_it(container: str, docker: DockerService, tmp_path: Path) -> None:
    node = _node(container, username="1234:1234")
    context = _context(node, tmp_path)
    await docker.execute(node, "id -u", context)
    assert context.stdout == b"1234\n"


async def test_a_copied_script_is_its_user_s_only_and_runs(
    container: str, docker: DockerService, tmp_path: Path
) -> None:
    for user in ("", "1234:1235"):
        node = _node(container, username=user)
        context = _context(node, tmp_path)
        await docker.copy(node, b"#!/bin/sh\necho it ran $1\n", "/tmp/script.sh", context)
        line = "stat -c %a:%u:%g /tmp/script.sh; chmod +x /tmp/script.sh; /tmp/script.sh here; rm /tmp/script.sh"
        await docker.execute(node, line, context)
        owner = user or "0:0"
        assert context.stdout.decode() == f"600:{owner}\nit ran here\n"


async def test_a_full_disk_leaves_nothing_behind(container: str, docker: DockerService, tmp_path: Path) -> None:
    node = _node(container)
    with pytest.raises(StepError, match=r"box1.*/small/script\.sh.*Nothing is left") as raised:
        await docker.copy(node, b"x" * 200_000, "/small/script.sh", _context(node, tmp_path))
    assert raised.value.reason is FailureReason.IO_FAILURE
    context = _context(node, tmp_path)
    await docker.execute(node, "ls /small", context)
    assert context.stdout == b""


async def test_a_cancelled_command_ends_in_the_container(
    container: str, docker: DockerService, docker_engine: Engine, tmp_path: Path
) -> None:
    node = _node(container)
    context = _context(node, tmp_path)
    running = asyncio.create_task(docker.execute(node, "trap '' TERM; echo in; sleep 777; sleep 777", context))
    await eventually(lambda: context.stdout == b"in\n")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: "sleep 777" not in docker_engine.docker("top", container))


async def test_a_container_that_is_not_there(docker_engine: Engine, docker: DockerService, tmp_path: Path) -> None:
    assert docker_engine.answers()
    node = _node("no-such-container")
    with pytest.raises(StepError, match="no-such-container") as raised:
        await docker.execute(node, "true", _context(node, tmp_path))
    assert raised.value.reason is FailureReason.HOST_NOT_FOUND


async def test_a_container_that_does_not_run(
    container: str, docker_engine: Engine, docker: DockerService, tmp_path: Path
) -> None:
    name = f"{container}-created"
    docker_engine.docker("create", "--name", name, "runbus-test-busybox:1", "/bin/sh")
    try:
        with pytest.raises(StepError, match="does not run") as raised:
            await docker.execute(_node(name), "true", _context(_node(name), tmp_path))
        assert raised.value.reason is FailureReason.CONNECTION_FAILURE
    finally:
        docker_engine.docker("rm", name)


async def test_a_container_that_is_killed_under_a_command(
    docker_engine: Engine, container: str, docker: DockerService, tmp_path: Path
) -> None:
    name = f"{container}-killed"
    docker_engine.docker("run", "--detach", "--name", name, "--network", "none", "runbus-test-busybox:1", "/bin/sh",
                         "-c", "while :; do sleep 1; done")  # fmt: skip
    try:
        context = _context(_node(name), tmp_path)
        running = asyncio.create_task(docker.execute(_node(name), "echo in; sleep 60", context))
        await eventually(lambda: context.stdout == b"in\n")
        await asyncio.to_thread(docker_engine.docker, "kill", name)
        async with asyncio.timeout(20):
            ended = (await asyncio.gather(running, return_exceptions=True))[0]
        assert isinstance(ended, StepError) or (isinstance(ended, ProcessExit) and ended.exit_code == 137)
    finally:
        docker_engine.docker("rm", "--force", name)


async def test_an_engine_that_is_not_there(docker: DockerService, tmp_path: Path) -> None:
    node = _node("x", docker_host=f"unix://{tmp_path}/none.sock")
    with pytest.raises(StepError, match=r"none\.sock") as raised:
        await docker.execute(node, "true", _context(node, tmp_path))
    assert raised.value.reason is FailureReason.CONNECTION_FAILURE
