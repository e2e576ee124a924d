"""Pods of an API server: a real kube-apiserver where there is one, and in any case the stand-in.

What a real API server does seldom is in ``test_source_kubernetes_faults.py``.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from runbus.plugin import SourceFailure
from schemas.errors import ErrorCode, RunbusError
from schemas.sources import SourceDefinition
from services.runner.discovery import Discoverer, Question
from services.runner.inventory import PluginInventory
from services.runner.sources.kubernetes import KubernetesContainers, access, listing
from tests.integration.test_node_sources import LAB, here_on, put, refresh, with_lab
from tests.support.keydirs import own_keys
from tests.support.kubeaccess import asked, discover, kubeconfig, refused, settings
from tests.support.kubecerts import Authority
from tests.support.kubepods import not_ready, pod
from tests.support.kubestand import READER_TOKEN, STRANGER_TOKEN, StandIn, serving
from tests.support.system import System

from . import kubeapi
from .engine import MissingError

pytestmark = pytest.mark.slow

Put = Callable[[list[dict[str, Any]]], Awaitable[None]]


@dataclass(frozen=True)
class Api:
    """An API server, and how pods come into it."""

    url: str
    authority: Authority
    put: Put
    namespace: str
    """One of the test's own."""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kubeapi.KubernetesApi]:
    with ExitStack() as stack:
        try:
            api = stack.enter_context(kubeapi.running_kubernetes(tmp_path_factory.mktemp("kubernetes")))
        except MissingError as missing:
            pytest.skip(str(missing))
        yield api


@pytest.fixture(params=["stand-in", pytest.param("kubernetes", marks=pytest.mark.slow)])
async def api(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Api]:
    namespace = f"test-{uuid.uuid4().hex[:12]}"
    if request.param == "kubernetes":
        real: kubeapi.KubernetesApi = request.getfixturevalue("kubernetes")
        yield Api(real.url, real.authority, real.put, namespace)
        return
    authority = Authority(tmp_path)
    stand = StandIn()

    async def put(pods: list[dict[str, Any]]) -> None:
        stand.pods += pods

    async with serving(stand, tls=authority.server(), client_ca=authority.file):
        yield Api(stand.url, authority, put, namespace)


def by_url(api: Api, **more: str) -> dict[str, str]:
    return {"url": api.url, "token": READER_TOKEN, "ssl_ca_cert": str(api.authority.file), **more}


async def test_nodes_of_pods_as_the_api_has_them(api: Api, tmp_path: Path) -> None:
    await api.put(
        [
            pod("web-1", "app", "proxy", namespace=api.namespace, labels={"app": "web"}),
            pod("half", namespace=api.namespace, conditions=[not_ready()]),
            pod("new", namespace=api.namespace, state="unknown"),
            pod("done", namespace=api.namespace, state="terminated"),
        ]
    )
    found = await discover(
        tmp_path, **by_url(api, namespace_filter=api.namespace, mapping="team.selector=labels:app", debug="true")
    )

    nodes = {node.name: node for node in found.nodes}
    assert {name: node.tags for name, node in nodes.items()} == {
        "web-1-app": ["pods", "running"],
        "web-1-proxy": ["pods", "running"],
        "half-app": ["ContainersNotReady", "pods"],
        "new-app": ["Pending", "pods"],
    }
    assert nodes["web-1-app"].attributes == {
        "hostname": "10.0.0.7",
        "status": "running",
        "description": "running",
        "terminated": "false",
        "team": "web",
        "labels:app": "web",
        "default:pod_id": "10.0.0.7",
        "default:host_id": "192.168.1.4",
        "default:started_at": "2026-11-28 10:30:00",
        "default:name": "web-1",
        "default:namespace": api.namespace,
        "default:labels": "app:web",
        "default:image": "registry.test/app:1.2",
        "default:status": "running",
        "default:container_id": "containerd://app",
        "default:container_name": "app",
    }
    assert found.warnings == []


async def test_selectors_and_all_namespaces(api: Api, tmp_path: Path) -> None:
    other = f"{api.namespace}-b"
    mark = {"mark": api.namespace}
    await api.put(
        [
            pod("a", namespace=api.namespace, labels={**mark, "tier": "front"}),
            pod("b", namespace=api.namespace, labels={**mark, "tier": "back"}, state="waiting"),
            pod("c", namespace=other, labels=mark),
            pod("d", namespace=other),
        ]
    )

    async def names(**more: str) -> list[str]:
        return sorted(node.name for node in (await discover(tmp_path, **by_url(api, **more))).nodes)

    assert await names(label_selector=f"mark={api.namespace}") == ["a-app", "b-app", "c-app"]
    assert await names(label_selector=f"mark={api.namespace},tier!=front") == ["b-app", "c-app"]
    assert await names(namespace_filter=api.namespace, label_selector="tier") == ["a-app", "b-app"]
    assert await names(namespace_filter=api.namespace, field_selector="status.phase=Pending") == ["b-app"]
    assert await names(namespace_filter=api.namespace, running="true") == ["a-app"]
    assert await names(namespace_filter="there-is-no-such-namespace") == []


@pytest.mark.parametrize("given", [{"label_selector": "not a selector"}, {"field_selector": "spec.nothing=1"}])
async def test_a_selector_that_the_api_does_not_take(api: Api, tmp_path: Path, given: dict[str, str]) -> None:
    error = await refused(tmp_path, by_url(api, **given))

    assert error.reason is SourceFailure.CONFIGURATION
    assert "answered 400" in error.message


async def test_many_pods_come_in_pages(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE_PODS", 40)
    await api.put([pod(f"web-{number}", namespace=api.namespace) for number in range(130)])
    pages = []
    read = listing._Lister._read

    def counted(lister: listing._Lister, page: bytes) -> Any:
        pages.append(page)
        return read(lister, page)

    monkeypatch.setattr(listing._Lister, "_read", counted)
    found = await discover(tmp_path, **by_url(api, namespace_filter=api.namespace))

    assert {node.name for node in found.nodes} == {f"web-{number}-app" for number in range(130)}
    assert len(found.nodes) == 130
    assert len(pages) == 4


@pytest.mark.slow
async def test_a_list_that_expires_between_pages_is_read_again(
    kubernetes: kubeapi.KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_PODS", 2)
    api = Api(kubernetes.url, kubernetes.authority, kubernetes.put, "expiring")
    await api.put([pod(f"web-{number}", namespace=api.namespace) for number in range(5)])
    begun = []
    ask = listing._Lister._page

    async def page(lister: listing._Lister, resume: str) -> bytes:
        begun.append(not resume)
        if len(begun) == 2:
            await api.put([pod("late", namespace=api.namespace)])
            await kubernetes.expire_pages()
        return await ask(lister, resume)

    monkeypatch.setattr(listing._Lister, "_page", page)
    found = await discover(tmp_path, **by_url(api, namespace_filter=api.namespace))

    assert [node.name for node in found.nodes] == ["late-app", *(f"web-{number}-app" for number in range(5))]
    assert begun == [True, False, True, False, False]


async def test_who_is_not_let_in(api: Api, tmp_path: Path) -> None:
    error = await refused(tmp_path, by_url(api, token="nobodys-token"))
    assert error.reason is SourceFailure.AUTHENTICATION
    assert "(the setting url) does not accept the credential (401)" in error.message

    error = await refused(tmp_path, by_url(api, token=""))
    assert error.reason is SourceFailure.AUTHENTICATION
    assert "without a credential" in error.message

    error = await refused(tmp_path, by_url(api, token=STRANGER_TOKEN))
    assert error.reason is SourceFailure.REFUSED
    assert 'cannot list resource "pods"' in error.message


async def test_certificates_that_are_not_trusted(api: Api, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "another authority")
    await api.put([pod("web-1", namespace=api.namespace)])

    error = await refused(tmp_path, by_url(api, ssl_ca_cert=str(stranger.file)))
    assert error.reason is SourceFailure.CERTIFICATE
    assert "look at ssl_ca_cert" in error.message

    error = await refused(tmp_path, by_url(api, ssl_ca_cert=""))
    assert error.reason is SourceFailure.CERTIFICATE

    unchecked = by_url(api, ssl_ca_cert="", verify_ssl="false", namespace_filter=api.namespace)
    assert len((await discover(tmp_path, **unchecked)).nodes) == 1


async def test_a_kubeconfig_with_a_certificate_and_another_name_of_the_server(api: Api, tmp_path: Path) -> None:
    await api.put([pod("web-1", namespace=api.namespace)])
    cert_file, key_file = api.authority.client("somebody", "readers")
    user = {"client-certificate-data": encoded(cert_file), "client-key-data": encoded(key_file)}
    cluster = {"server": api.url, "certificate-authority-data": encoded(api.authority.file)}

    for name, is_right in (("api.test", True), ("other.test", False)):
        (tmp_path / name).mkdir()
        file = kubeconfig(tmp_path / name / "config", user=user, cluster={**cluster, "tls-server-name": name})
        given = {"config_file": str(file), "namespace_filter": api.namespace}
        if is_right:
            (node,) = (await discover(tmp_path / name, **given)).nodes
            assert node.attributes["kubernetes:config_file"] == str(file)
        else:
            assert (await refused(tmp_path / name, given)).reason is SourceFailure.CERTIFICATE


async def test_in_a_pod_its_service_account_is_used(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.put([pod("web-1", namespace=api.namespace)])
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(READER_TOKEN)
    (account / "ca.crt").write_bytes(api.authority.file.read_bytes())
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", account)
    host, _, port = api.url.removeprefix("https://").partition(":")
    context = asked(tmp_path, KUBERNETES_SERVICE_HOST=host, KUBERNETES_SERVICE_PORT=port)

    found = await KubernetesContainers().discover(settings(namespace_filter=api.namespace), context)

    assert [node.name for node in found.nodes] == ["web-1-app"]


async def test_through_a_runner_with_the_token_as_a_key(api: Api, tmp_path: Path) -> None:
    await api.put([pod("web-1", namespace=api.namespace, labels={"leaked": READER_TOKEN})])
    keys = tmp_path / "keys"
    keys.mkdir()
    for name, token in (("good", READER_TOKEN), ("bad", "nobodys-token")):
        (keys / name).write_text(f"{token}\n")
        (keys / name).chmod(0o600)
    entry = EntryPoint(
        "node-source/kubernetes-resource-model", "services.runner.sources.kubernetes:KubernetesContainers",
        "runbus.plugins",
    )  # fmt: skip
    plugins = PluginInventory("r1", [entry])
    plugins.load()
    discoverer = Discoverer(runner="r1", plugins=plugins, keys=own_keys(keys, "r1"), env={})

    def question(key: str) -> Question:
        config = by_url(api, token="", token_storage_path=f"keys/{key}", namespace_filter=api.namespace)
        return Question(
            project="p",
            source="pods",
            type="kubernetes-resource-model",
            config={**config, "odd": "1"},
            timeout_s=30.0,
        )

    found = await discoverer.discover(question("good"))
    assert [node.name for node in found.nodes] == ["web-1-app"]
    assert READER_TOKEN not in str(found.nodes)
    assert found.warnings == ["setting 'odd' means nothing to kubernetes-resource-model"]

    with pytest.raises(RunbusError) as raised:
        await discoverer.discover(question("bad"))
    assert raised.value.code is ErrorCode.DISCOVERY_FAILED
    assert raised.value.details["reason"] == "authentication"


def encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


async def test_from_the_api_to_a_job_on_a_node(api: Api, system: System, tmp_path: Path) -> None:
    await api.put([pod("shop", "web", namespace=api.namespace)])
    (tmp_path / "keys").mkdir()
    key = tmp_path / "keys" / "reader"
    key.write_text(READER_TOKEN)
    key.chmod(0o600)
    await with_lab(system, keys_dir=str(tmp_path / "keys"))
    config = by_url(api, token="runner/reader", namespace_filter=api.namespace, attributes="node-executor=local")
    source = SourceDefinition(
        name="pods", type="kubernetes-resource-model", config=config, runner=LAB, interval_s=0.0
    )  # fmt: skip
    await put(system, source)
    state = await refresh(system, "pods")
    assert (state.error, state.count) == (None, 1)
    await here_on(system, "tags: pods", "shop-web")
