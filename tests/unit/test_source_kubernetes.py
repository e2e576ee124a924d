"""From pods to nodes."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from runbus.plugin import Node, SourceError, SourceFailure
from services.runner.sources.kubernetes.config import KubernetesConfig
from services.runner.sources.kubernetes.nodes import Shape, nodes_of
from tests.support.kubepods import not_ready, pod


def one(config: Mapping[str, str], *pods: dict[str, Any]) -> Node:
    (node,) = nodes_of(config, pods)
    return node


def test_a_running_container() -> None:
    node = one({}, pod("web-1", labels={"app": "web", "tier": "front"}))

    assert node.name == "web-1-app"
    assert node.tags == ["pods", "running"]
    assert node.attributes == {
        "hostname": "10.0.0.7",
        "status": "running",
        "description": "running",
        "terminated": "false",
        "default:pod_id": "10.0.0.7",
        "default:host_id": "192.168.1.4",
        "default:started_at": "2026-11-28 10:30:00",
        "default:name": "web-1",
        "default:namespace": "default",
        "default:labels": "app:web,tier:front",
        "default:image": "registry.test/app:1.2",
        "default:status": "running",
        "default:container_id": "containerd://app",
        "default:container_name": "app",
        "labels:app": "web",
        "labels:tier": "front",
    }


def test_a_pod_that_is_only_planned_has_its_phase_and_no_address() -> None:
    node = one({}, pod("new", state="unknown"))

    assert node.tags == ["Pending", "pods"]
    assert node.attributes["status"] == "Pending"
    assert node.attributes["default:labels"] == ""
    assert not {"hostname", "default:pod_id", "default:host_id", "default:started_at"} & node.attributes.keys()


def test_a_false_condition_says_the_status() -> None:
    node = one({}, pod("web-1", conditions=[not_ready("PodNotReady", "first"), not_ready()]))

    assert node.attributes["status"] == "ContainersNotReady"
    assert node.attributes["default:status_message"] == "not ready: [app]"
    assert node.attributes["description"] == "ContainersNotReady(not ready: [app])"
    assert node.tags == ["ContainersNotReady", "pods"]


def test_a_false_condition_without_a_reason_leaves_the_status() -> None:
    node = one({"emoticon": "true"}, pod("web-1", conditions=[not_ready(None, None)]))

    assert node.attributes["default:status"] == "running"
    assert "default:status_message" not in node.attributes


def test_conditions_that_are_not_false_say_nothing() -> None:
    told = [{"type": "Ready", "status": "Unknown", "reason": "NodeLost"}, {"type": "Initialized", "status": "True"}]

    assert one({}, pod("web-1", conditions=told)).attributes["status"] == "running"


def test_containers_that_have_ended_are_no_nodes() -> None:
    pods = [pod("done", state="terminated"), pod("web-1"), pod("stuck", state="waiting")]

    assert [node.name for node in nodes_of({}, pods)] == ["web-1-app", "stuck-app"]
    assert [node.name for node in nodes_of({"running": "true"}, pods)] == ["web-1-app"]


@pytest.mark.parametrize("emoticon", ["true", "false"])
def test_only_running_ones_with_and_without_a_sign(emoticon: str) -> None:
    pods = [pod("web-1"), pod("half", conditions=[not_ready()]), pod("new", state="unknown")]

    assert [node.name for node in nodes_of({"running": "true", "emoticon": emoticon}, pods)] == ["web-1-app"]


@pytest.mark.parametrize(
    ("state", "shown"),
    [("running", "\U0001f44d running"), ("waiting", "\u274c waiting"), ("unknown", " Pending")],
)
def test_a_sign_stands_before_the_status(state: str, shown: str) -> None:
    node = one({"emoticon": "true"}, pod("web-1", state=state))

    assert node.attributes["status"] == shown == node.attributes["description"]
    assert node.attributes["default:status"] == shown.rsplit(maxsplit=1)[-1]


def test_every_container_of_a_pod_is_a_node() -> None:
    nodes = nodes_of({}, [pod("web-1", "app", "proxy")])

    assert [node.name for node in nodes] == ["web-1-app", "web-1-proxy"]
    assert [node.attributes["default:container_id"] for node in nodes] == ["containerd://app", "containerd://proxy"]


def test_settings_make_attributes_names_and_tags() -> None:
    node = one(
        {
            "attributes": "username=root osFamily=unix note='two words'",
            "mapping": "nodename.selector=default:name,image.selector=default:image team.selector=labels:team",
            "tags": "tag.selector=default:image, mine, tag.selector=labels:team, tag.selector=default:absent",
            "config_file": "/etc/kube/config",
        },
        pod("web-1", labels={"team": "blue"}),
    )

    assert node.name == "web-1"
    assert node.tags == ["blue", "mine", "pods", "registry.test/app:1.2"]
    assert node.attributes["image"] == "registry.test/app:1.2"
    assert node.attributes["team"] == "blue"
    assert node.attributes["username"] == "root"
    assert node.attributes["note"] == "two words"
    assert node.attributes["kubernetes:config_file"] == "/etc/kube/config"


def test_no_tags_but_ours() -> None:
    assert one({"tags": ""}, pod("web-1")).tags == ["pods"]
    assert one({"tags": "tag.selector=default:labels"}, pod("web-1", labels={"a": "1", "b": "2"})).tags == [
        "a:1",
        "b:2",
        "pods",
    ]


def test_a_mapping_that_cannot_be_read_is_refused_and_an_idle_one_named() -> None:
    with pytest.raises(SourceError, match="mapping") as raised:
        nodes_of({"mapping": "nonsense"}, [])
    assert raised.value.reason is SourceFailure.CONFIGURATION

    (warning,) = Shape(KubernetesConfig(mapping="hostname=default:name")).warnings
    assert "'hostname'" in warning


def test_what_a_python_client_prints_makes_the_same_nodes() -> None:
    told = pod("web-1", labels={"pod_ip": "a_b"}, conditions=[not_ready()])
    printed = snake(copy.deepcopy(told))
    printed["status"]["container_statuses"][0]["state"] = {
        "running": {"started_at": datetime.datetime(2026, 11, 28, 10, 30, tzinfo=datetime.UTC)},
        "terminated": None,
        "waiting": None,
    }

    assert "pod_ip" in printed["status"]
    assert nodes_of({}, [printed]) == nodes_of({}, [told])


def test_a_pod_of_another_form_is_refused_with_the_place() -> None:
    wrong = pod("web-1") | {"spec": {"containers": [{"name": 7}]}}

    with pytest.raises(msgspec.ValidationError, match=r"containers\[0\]\.name"):
        nodes_of({}, [wrong])


def snake(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        return [snake(each) for each in value]
    if not isinstance(value, dict) or name == "labels":
        return value
    return {_snaked(key): snake(each, key) for key, each in value.items()}


def _snaked(name: str) -> str:
    for end in ("IPs", "IP", "ID"):
        name = name.replace(end, end.capitalize())
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)
