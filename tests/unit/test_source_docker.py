"""The node source of a Docker engine: from its description of containers to nodes, and its filters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.discovery.mapping import SettingError
from services.runner.sources.docker import Config
from services.runner.sources.docker.filters import FilterError, parse_filter
from services.runner.sources.docker.nodes import ContainerError, nodes_of

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "node_sources.json"
PLUGIN = "docker-container-model-source"
ID = "4c01db0b339c" + "0" * 52


def container(**changes: Any) -> dict[str, Any]:
    return {
        "Id": ID,
        "Created": "2026-05-01T10:00:00.5Z",
        "Name": "/web",
        "Image": "sha256:aa",
        "State": {
            "Status": "running",
            "Running": True,
            "Pid": 4711,
            "ExitCode": 0,
            "StartedAt": "2026-05-01T10:00:01Z",
        },
        "Config": {
            "Hostname": "4c01db0b339c",
            "Image": "registry.example.com/redis:7.2",
            "Cmd": ["redis-server", "--port", "1"],
            "Env": ["A=1", "B=2"],
            "Labels": {"com.example.team": "shop", "tier": "db"},
        },
        "NetworkSettings": {"IPAddress": "172.17.0.2", "Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
        "Mounts": [{"Source": "/srv/a"}, {"Source": "/srv/b"}],
        **changes,
    }


def test_a_container_is_a_node_by_the_names_of_the_original() -> None:
    (node,) = nodes_of({}, [container()])
    assert node.name == "4c01db0b339c"
    assert node.tags == ["docker"]
    assert node.attributes == {
        "hostname": "4c01db0b339c",
        "docker:Id": ID,
        "docker:Created": "2026-05-01T10:00:00.5Z",
        "docker:Name": "/web",
        "docker:Image": "sha256:aa",
        "docker:IPAddress": "172.17.0.2",
        "docker:Config.Hostname": "4c01db0b339c",
        "docker:Config.Image": "registry.example.com/redis:7.2",
        "docker:Config.Cmd": "redis-server",
        "docker:Config.Labels": "com.example.team=shop,tier=db",
        "docker:State.Status": "running",
        "docker:State.Pid": "4711",
        "docker:State.StartedAt": "2026-05-01T10:00:01Z",
    }


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"IPAddress": "", "Networks": {"a": {"IPAddress": "10.0.0.2"}, "b": {"IPAddress": ""}}}, "10.0.0.2"),
        ({"Networks": {"a": {"IPAddress": "10.0.0.2"}, "b": {"IPAddress": "10.0.1.2"}}}, "10.0.1.2"),
        ({"IPAddress": "", "Networks": {"none": {"IPAddress": ""}}}, ""),
        ({"Networks": None}, ""),
        (None, ""),
    ],
)
def test_the_address_is_that_of_a_network_where_the_bridge_has_none(settings: Any, address: str) -> None:
    (node,) = nodes_of({}, [container(NetworkSettings=settings)])
    assert node.attributes["docker:IPAddress"] == address


def test_what_is_missing_is_left_out() -> None:
    (node,) = nodes_of({"tags": "tag.selector=docker:Config.Cmd x"}, [{"Id": "abc", "Config": {"Cmd": None}}])
    assert node.name == "abc"
    assert node.attributes == {"docker:Id": "abc", "docker:IPAddress": ""}
    assert node.tags == ["docker", "x"]


@pytest.mark.parametrize("described", [None, "x", {}, {"Id": ""}, {"Id": 5}])
def test_a_container_without_id_is_refused(described: Any) -> None:
    with pytest.raises(ContainerError):
        nodes_of({}, [described])


def test_several_containers_as_docker_prints_them_keep_their_order() -> None:
    nodes = nodes_of({}, [[container(Id="b" * 64), container(Id="a" * 64)], container()])
    assert [node.name for node in nodes] == ["b" * 12, "a" * 12, "4c01db0b339c"]


def test_mapping_names_facts_and_any_place_of_the_description() -> None:
    mapping = (
        "nodename.selector=docker:Name\nhostname.selector=docker:IPAddress\nexit.selector=State.ExitCode\n"
        "runs.selector=State.Running\nteam.selector=Config.Labels.com.example.team\nenv.selector=Config.Env\n"
        "mounts.selector=Mounts.Source\nnone.selector=State.Nothing.More\nlabels.selector=Config.Labels"
    )
    (node,) = nodes_of({"mapping": mapping}, [container()])
    assert node.name == "/web"
    own = {name: value for name, value in node.attributes.items() if not name.startswith("docker:")}
    assert own == {
        "hostname": "172.17.0.2",
        "exit": "0",
        "runs": "true",
        "team": "shop",
        "env": "A=1,B=2",
        "mounts": "/srv/a,/srv/b",
        "labels": "com.example.team=shop,tier=db",
    }


@pytest.mark.parametrize(
    ("mapping", "shell"),
    [
        ("docker-shell.default=bash", "bash"),
        ("docker-shell.default=bash,docker-shell.registry.example.com/redis:7.2.default=sh", "sh"),
        ("docker-shell.registry.example.com/redis:7.2.default=sh,docker-shell.default=bash", "sh"),
        ("docker-shell.nginx:1.default=sh,docker-shell.default=bash", "bash"),
        ("docker-shell.4c01db0b339c.default=ash", "ash"),
    ],
)
def test_defaults_that_depend_on_a_fact(mapping: str, shell: str) -> None:
    (node,) = nodes_of({"mapping": mapping}, [container()])
    assert node.attributes["docker-shell"] == shell


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("web db", ["db", "docker", "web"]),
        ("web, docker", ["docker", "web"]),
        ("tag.selector=docker:State.Status", ["docker", "running"]),
        ("tag.selector=docker:Config.Labels", ["com.example.team=shop", "docker", "tier=db"]),
        ("tag.selector=Config.Labels.tier,x", ["db", "docker", "x"]),
    ],
)
def test_tags_are_added_to_that_of_docker(tags: str, expected: list[str]) -> None:
    (node,) = nodes_of({"tags": tags}, [container()])
    assert node.tags == expected


def test_attributes_hold_over_everything() -> None:
    config = {"attributes": "username=root hostname='box 1'", "mapping": "hostname.selector=docker:Name"}
    (node,) = nodes_of(config, [container()])
    assert (node.attributes["username"], node.attributes["hostname"]) == ("root", "box 1")


@pytest.mark.parametrize("config", [{"mapping": "docker:Name"}, {"attributes": "root"}])
def test_settings_that_cannot_be_read_are_refused(config: dict[str, str]) -> None:
    with pytest.raises(SettingError):
        nodes_of(config, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" , ", {}),
        ("name=rundeck*,status=running", {"name": ["rundeck*"], "status": ["running"]}),
        ("label=a=b, label=c ,label=c", {"label": ["a=b", "c"]}),
        ("Name = x ", {"name": ["x"]}),
        (r"name=^/web\.1$", {"name": [r"^/web\.1$"]}),
        ("label='a=b,c d',status=\"exited\"", {"label": ["a=b,c d"], "status": ["exited"]}),
        ("label=#1", {"label": ["#1"]}),
        ("name=", {"name": [""]}),
    ],
)
def test_filters(text: str, expected: dict[str, list[str]]) -> None:
    assert parse_filter(text) == expected


@pytest.mark.parametrize("text", ["running", "=x", "name='x"])
def test_a_filter_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(FilterError, match="filter: "):
        parse_filter(text)


def test_settings_come_as_text() -> None:
    given = {
        "docker-host": "tcp://box:2376",
        "docker-tls-verify": "false",
        "all-containers": "true",
        "debug": "false",
    }
    config = msgspec.convert(given, Config, strict=False)
    assert (config.docker_host, config.docker_tls_verify, config.all_containers) == ("tcp://box:2376", False, True)
    assert msgspec.convert({}, Config, strict=False).docker_tls_verify is None


def _described(found: Any) -> list[Any]:
    """What a case gives: a container, containers, or either under a name."""
    if isinstance(found, dict) and "Id" not in found:
        return [each for value in found.values() for each in _described(value)]
    return found if isinstance(found, list) else [found]


def _cases() -> list[Any]:
    if not VECTORS.exists():
        return [
            pytest.param({}, marks=pytest.mark.skip(reason=f"no {'/'.join(VECTORS.parts[-3:])} beside the project"))
        ]
    found = json.loads(VECTORS.read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["id"]) for case in found if case["plugin"] == PLUGIN]


@pytest.mark.parametrize("case", _cases())
def test_cases_of_the_original(case: dict[str, Any]) -> None:
    nodes = {node.name: node for node in nodes_of(case["config"], _described(case["input"]))}
    attributes = {name: {"nodename": name, **node.attributes} for name, node in nodes.items()}
    if "expect" in case:
        assert attributes.keys() == case["expect"].keys()
    for name, expected in case.get("expect", {}).items():
        assert attributes[name].items() >= expected["attributes"].items()
        assert nodes[name].tags == sorted(expected["tags"])
    for name, expected in case.get("expect_attributes_present", {}).items():
        assert attributes[name].items() >= expected.items()
    for name, absent in case.get("expect_attributes_absent", {}).items():
        assert not attributes[name].keys() & set(absent)
    for name, tags in case.get("expect_tags", {}).items():
        assert nodes[name].tags == sorted(tags)
