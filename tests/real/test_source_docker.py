"""The containers of a real engine as nodes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, UnixConnector, web

from runbus.plugin import Discovered, Node, ProcessExit, SourceError, SourceFailure
from schemas.jobs import NodeDispatch
from schemas.sources import SourceDefinition
from schemas.states import ExecutionState
from services.runner.discovery import Asked, Question
from services.runner.nodes.docker.service import DockerService
from services.runner.sources.docker import Config, DockerContainers
from tests.integration.test_node_sources import LAB, put, refresh, with_lab
from tests.support.nodecontext import RecordingContext
from tests.support.system import System

from .busybox import Busybox, required_busybox
from .engine import Engine
from .serving import served

pytestmark = pytest.mark.docker

_IMAGE = "runbus-test-source:1"
_FOREVER = ("/bin/sh", "-c", "while :; do sleep 1; done")


@dataclass(frozen=True, slots=True)
class Fleet:
    """Containers of one test run: they bear the label ``run=NAME``."""

    engine: Engine
    run: str
    web: str
    idle: str

    @property
    def filter(self) -> str:
        return f"label=run={self.run}"


@pytest.fixture(scope="module")
def fleet(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A running container ``web-RUN``, and ``idle-RUN`` that was never started."""
    commands = ("cat", "echo", "head", "rm", "sh", "sleep", "wc")
    image = Busybox(_IMAGE, commands, {"tmp": 0o1777})
    required_busybox(docker_engine, image, tmp_path_factory.mktemp("image"))
    run = f"source-{os.getpid()}"
    common = ("--label", f"run={run}", "--label", "com.example.team=shop", "--network", "none")
    made = Fleet(
        engine=docker_engine,
        run=run,
        web=docker_engine.docker(
            "run",
            "--detach",
            *common,
            "--name",
            f"web-{run}",
            "--hostname",
            "box1",
            "--env",
            "A=1",
            _IMAGE,
            *_FOREVER,
        ).strip(),
        idle=docker_engine.docker("create", *common, "--name", f"idle-{run}", _IMAGE, "/bin/echo", "x").strip(),
    )
    yield made
    left = docker_engine.docker("ps", "--all", "--quiet", "--filter", made.filter).split()
    docker_engine.docker("rm", "--force", *left)


async def _discover(work_dir: Path, settings: dict[str, str]) -> Discovered:
    config = msgspec.convert(settings, Config, strict=False)
    asked = Question(
        project="default", source="box", type="docker-container-model-source", config=settings, timeout_s=30
    )
    return await DockerContainers().discover(config, Asked("r1", asked, work_dir, dict(os.environ), None))


def _only(found: Discovered) -> Node:
    (node,) = found.nodes
    return node


async def test_a_running_container_is_a_node(fleet: Fleet, tmp_path: Path) -> None:
    node = _only(await _discover(tmp_path, {"filter": fleet.filter}))
    assert (node.name, node.tags) == (fleet.web[:12], ["docker"])
    expected = {
        "hostname": "box1",
        "docker:Id": fleet.web,
        "docker:Name": f"/web-{fleet.run}",
        "docker:Config.Image": _IMAGE,
        "docker:Config.Cmd": "/bin/sh",
        "docker:Config.Labels": f"com.example.team=shop,run={fleet.run}",
        "docker:State.Status": "running",
        "docker:IPAddress": "",
    }
    assert node.attributes.items() >= expected.items()
    assert int(node.attributes["docker:State.Pid"]) > 0


async def test_all_containers_come_in_the_order_of_the_engine(fleet: Fleet, tmp_path: Path) -> None:
    found = await _discover(tmp_path, {"filter": fleet.filter, "all-containers": "true", "debug": "true"})
    assert [node.name for node in found.nodes] == [fleet.idle[:12], fleet.web[:12]]
    assert found.nodes[0].attributes["docker:State.Status"] == "created"
    assert found.warnings[0].endswith("listed 2 containers and described 2")


async def test_filters_are_those_of_docker_ps(fleet: Fleet, tmp_path: Path) -> None:
    node = _only(await _discover(tmp_path, {"filter": f"{fleet.filter},status=created"}))
    assert node.name == fleet.idle[:12]
    assert not (await _discover(tmp_path, {"filter": f"{fleet.filter},name=^/no-such-[a-z]+$"})).nodes
    with pytest.raises(SourceError, match="does not take the filter") as caught:
        await _discover(tmp_path, {"filter": "colour=red"})
    assert caught.value.reason is SourceFailure.CONFIGURATION


async def test_mapping_tags_and_attributes(fleet: Fleet, tmp_path: Path) -> None:
    settings = {
        "filter": fleet.filter,
        "mapping": "nodename.selector=docker:Name,team.selector=Config.Labels.com.example.team,x.selector=docker:Idd,"
        f"docker-shell.default=bash,docker-shell.{_IMAGE}.default=sh,node-executor.default=mine,odd=1",
        "tags": "tag.selector=docker:State.Status web",
        "attributes": "username=root",
    }
    found = await _discover(tmp_path, settings)
    node = _only(found)
    assert (node.name, node.tags) == (f"/web-{fleet.run}", ["docker", "running", "web"])
    own = {name: value for name, value in node.attributes.items() if not name.startswith("docker:")}
    assert own == {
        "hostname": "box1", "username": "root", "team": "shop", "docker-shell": "sh", "node-executor": "mine",
        "file-copier": "docker",
    }  # fmt: skip
    assert [warning.split("'")[1] for warning in found.warnings] == ["odd", "docker:Idd"]


async def test_a_node_takes_commands_and_files_as_it_is(fleet: Fleet, tmp_path: Path) -> None:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    node = _only(await _discover(tmp_path, {"filter": fleet.filter, "docker-host": host}))
    assert (node.attributes["node-executor"], node.attributes["docker-host"]) == ("docker", host)
    context = RecordingContext(node, tmp_path)
    service = DockerService()
    try:
        await service.copy(node, b"file", "/tmp/x", context)
        assert await service.execute(node, "cat /tmp/x; echo $A", context) == ProcessExit(exit_code=0)
    finally:
        await service.close()
    assert context.stdout == b"file1\n"


async def test_many_containers_are_all_there(fleet: Fleet, tmp_path: Path) -> None:
    label = f"many={fleet.run}"

    def create(number: int) -> str:
        name = f"{fleet.run}-{number}"
        return fleet.engine.docker(
            "create", "--label", label, "--label", f"run={fleet.run}", "--name", name, _IMAGE, "x"
        )

    made = [(await asyncio.to_thread(create, number)).strip()[:12] for number in range(40)]
    found = await _discover(tmp_path, {"filter": f"label={label}", "all-containers": "true"})
    assert [node.name for node in found.nodes] == made[::-1]
    await asyncio.to_thread(fleet.engine.docker, "rm", *made)


async def test_a_container_that_is_gone_in_between_is_left_out(fleet: Fleet, tmp_path: Path) -> None:
    gone = fleet.engine.docker("create", "--label", f"run={fleet.run}", _IMAGE, "x").strip()

    async def pass_on(request: web.BaseRequest) -> web.Response:
        socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
        async with ClientSession(connector=UnixConnector(socket)) as session:
            answer = await session.get(f"http://engine{request.path_qs}")
            body = await answer.read()
        if request.path.endswith("/containers/json"):
            await asyncio.to_thread(fleet.engine.docker, "rm", "--force", gone)
        return web.Response(body=body, status=answer.status, content_type=answer.content_type)

    async with served(pass_on) as host:
        settings = {"filter": fleet.filter, "all-containers": "true", "docker-host": host, "debug": "true"}
        found = await _discover(tmp_path, settings)
    assert [node.name for node in found.nodes] == [fleet.idle[:12], fleet.web[:12]]
    assert found.warnings == [f"debug: {host} listed 3 containers and described 2"]


async def test_from_the_engine_to_a_job_in_a_container(fleet: Fleet, system: System) -> None:
    await with_lab(system)
    host = {"docker-host": fleet.engine.host} if fleet.engine.host else {}
    source = SourceDefinition(
        name="box", type="docker-container-model-source", config={"filter": fleet.filter, **host}, runner=LAB,
        interval_s=0.0,
    )  # fmt: skip
    await put(system, source)
    state = await refresh(system, "box")
    assert (state.error, state.count) == (None, 1)
    run = await system.run("head -c 7 /proc/1/cmdline", "lab", nodes=NodeDispatch(filter="tags: docker"))
    assert run.state is ExecutionState.SUCCEEDED, run.error
    assert await system.output(run.id) == b"/bin/sh"
