"""A real Kubernetes API: kube-apiserver and etcd on loopback, with nothing that would run pods.

The programs are those of ``RUNBUS_TEST_KUBE_APISERVER`` and ``RUNBUS_TEST_ETCD``, else those on PATH, else those that
``tests/real/install-kubernetes.sh`` made. As that compiles for many minutes, tests do without where they are missing,
also where CI=true: then only the stand-in of ``tests/support/kubestand.py`` is asked.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bus.server import free_port
from tests.support.kubecerts import Authority, signing_key

from .engine import MissingError, cache_directory

READER_TOKEN: Final = "token-of-a-reader"
STRANGER_TOKEN: Final = "token-of-somebody-without-rights"
_ADMIN_TOKEN: Final = "token-of-the-admin"
_AS_ADMIN: Final = {"Authorization": f"Bearer {_ADMIN_TOKEN}"}
_READY_WITHIN_S: Final = 45.0
_STOP_WITHIN_S: Final = 10.0
_AT_A_TIME: Final = 8
_ACCOUNTS: Final = f"""\
{_ADMIN_TOKEN},admin,1,system:masters
{READER_TOKEN},reader,2,readers
{STRANGER_TOKEN},stranger,3,strangers
"""
_RBAC: Final = "rbac.authorization.k8s.io"
_RIGHTS: Final = {
    "clusterroles": {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "pod-reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
    },
    "clusterrolebindings": {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "pod-reader"},
        "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": "readers"}],
    },
}
"""What a runner needs, and no more."""


@dataclass(frozen=True, slots=True)
class KubernetesApi:
    """A server that answers. Group ``readers`` may list pods: ``READER_TOKEN``, and certificates that say so."""

    url: str
    authority: Authority
    etcd_url: str

    async def expire_pages(self) -> None:
        """Make the store forget what was: pages of lists that have begun are gone, as they are after five minutes."""
        async with httpx.AsyncClient(base_url=self.etcd_url) as client:
            answer = await client.post("/v3/kv/range", json={"key": "AA=="})
            revision = answer.json()["header"]["revision"]
            answer = await client.post("/v3/kv/compaction", json={"revision": revision, "physical": True})
            assert answer.status_code == 200, answer.text

    async def put(self, pods: Iterable[dict[str, Any]]) -> None:
        """Create pods and their namespaces, and set their status, as a kubelet would."""
        given = list(pods)
        async with self._client() as client:
            for namespace in {str(pod["metadata"]["namespace"]) for pod in given}:
                made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
                answer = await client.post("/api/v1/namespaces", json=made)
                assert answer.status_code in (201, 409), answer.text
            gate = asyncio.Semaphore(_AT_A_TIME)
            await asyncio.gather(*(_put(client, pod, gate) for pod in given))

    def allow_readers(self) -> None:
        """Let the readers list pods; the server knows it a moment later."""
        for kind, content in _RIGHTS.items():
            url = f"{self.url}/apis/{_RBAC}/v1/{kind}"
            answer = httpx.post(url, json=content, verify=self._trust(), headers=_AS_ADMIN)
            assert answer.status_code == 201, answer.text

    def answers(self, path: str, token: str = _ADMIN_TOKEN) -> bool:
        """Whether it is there, and lets the token do that."""
        try:
            answer = httpx.get(
                f"{self.url}{path}", verify=self._trust(), headers={"Authorization": f"Bearer {token}"}
            )
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=_AS_ADMIN, verify=self._trust(), timeout=30.0)

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority.file)


async def _put(client: httpx.AsyncClient, pod: dict[str, Any], gate: asyncio.Semaphore) -> None:
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
    async with gate:
        answer = await client.post(path, json=pod)
        assert answer.status_code == 201, answer.text
        answer = await client.put(f"{path}/{pod['metadata']['name']}/status", json=pod)
        assert answer.status_code == 200, answer.text


@contextmanager
def running_kubernetes(directory: Path) -> Iterator[KubernetesApi]:
    """An API server that runs within the block. Raises MissingError where there is none to start."""
    etcd, apiserver = _program("RUNBUS_TEST_ETCD", "etcd"), _program("RUNBUS_TEST_KUBE_APISERVER", "kube-apiserver")
    client_url, peer_url = (f"http://127.0.0.1:{free_port('127.0.0.1')}" for _ in range(2))
    store = [
        etcd, "--data-dir", str(directory / "etcd"),
        "--listen-client-urls", client_url, "--advertise-client-urls", client_url,
        "--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url,
        "--initial-cluster", f"default={peer_url}",
    ]  # fmt: skip
    authority = Authority(directory)
    port = free_port("127.0.0.1")
    api = KubernetesApi(url=f"https://127.0.0.1:{port}", authority=authority, etcd_url=client_url)
    with _process(store, directory / "etcd.log") as etcd_process:
        command = [apiserver, *_arguments(directory, authority, client_url, port)]
        with _process(command, directory / "kube-apiserver.log") as process:
            _wait_for(lambda: api.answers("/readyz"), (process, etcd_process), directory)
            api.allow_readers()
            _wait_for(lambda: api.answers("/api/v1/pods", READER_TOKEN), (process, etcd_process), directory)
            yield api


def _wait_for(condition: Callable[[], bool], processes: Iterable[subprocess.Popen[bytes]], directory: Path) -> None:
    deadline_s = time.monotonic() + _READY_WITHIN_S
    while not condition():
        if any(each.poll() is not None for each in processes) or time.monotonic() > deadline_s:
            raise MissingError(f"kube-apiserver did not come up; the end of its log:\n{_end_of(directory)}")
        time.sleep(0.05)


def _arguments(directory: Path, authority: Authority, etcd_url: str, port: int) -> list[str]:
    cert_file, key_file = authority.server()
    tokens = directory / "tokens.csv"
    tokens.write_text(_ACCOUNTS)
    key = str(signing_key(directory / "service-account.key"))
    named = {
        # It may listen on loopback, and not say so to the cluster.
        "advertise-address": "192.0.2.1",
        "authorization-mode": "RBAC",
        "bind-address": "127.0.0.1",
        "cert-dir": str(directory),
        "client-ca-file": str(authority.file),
        # Nobody is there who would make the accounts that it asks of every pod.
        "disable-admission-plugins": "ServiceAccount",
        "endpoint-reconciler-type": "none",
        "etcd-servers": etcd_url,
        "secure-port": str(port),
        "service-account-issuer": "https://api.test",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "service-cluster-ip-range": "10.99.0.0/24",
        "tls-cert-file": str(cert_file),
        "tls-private-key-file": str(key_file),
        "token-auth-file": str(tokens),
        # Without it a list is read from the store, whose past can be made to go.
        "watch-cache": "false",
    }
    return [f"--{name}={value}" for name, value in named.items()]


def _program(variable: str, name: str) -> str:
    made = str(cache_directory() / "kubernetes")
    found = shutil.which(os.environ.get(variable) or name) or shutil.which(name, path=made)
    if found is None:
        raise MissingError(f"there is no {name}, nor {variable}; tests/real/install-kubernetes.sh makes one")
    return found


@contextmanager
def _process(command: list[str], log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    # It ends even where the test process is killed.
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*guard, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_of(directory: Path) -> str:
    logs = [directory / "etcd.log", directory / "kube-apiserver.log"]
    return "\n".join(line for log in logs for line in log.read_text(errors="replace").splitlines()[-5:])
