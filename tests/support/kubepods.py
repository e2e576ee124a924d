"""Pods as the Kubernetes API has them, for tests."""

from __future__ import annotations

from typing import Any

STARTED_AT = "2026-11-28T10:30:00Z"


def pod(
    name: str, *containers: str, namespace: str = "default", labels: dict[str, str] | None = None,
    state: str = "running", conditions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A pod whose containers, ``app`` where none is named, are all in one state.

    States: ``running``, ``waiting``, ``terminated``, ``unknown`` (nothing is said of them).
    """
    names = containers or ("app",)
    status: dict[str, Any] = {"phase": "Pending" if state in ("waiting", "unknown") else "Running"}
    if state != "unknown":
        status["podIP"], status["podIPs"] = "10.0.0.7", [{"ip": "10.0.0.7"}]
        status["hostIP"], status["hostIPs"] = "192.168.1.4", [{"ip": "192.168.1.4"}]
        status["containerStatuses"] = [_container_status(each, state) for each in names]
    if conditions is not None:
        status["conditions"] = conditions
    meta: dict[str, Any] = {"name": name, "namespace": namespace}
    if labels is not None:
        meta["labels"] = labels
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"containers": [{"name": each, "image": f"registry.test/{each}:1.2"} for each in names]},
        "status": status,
    }


def not_ready(reason: str | None = "ContainersNotReady", message: str | None = "not ready: [app]") -> dict[str, Any]:
    """A condition that is false."""
    said = {"type": "Ready", "status": "False", "reason": reason, "message": message}
    return {name: value for name, value in said.items() if value is not None}


def _container_status(name: str, state: str) -> dict[str, Any]:
    details: dict[str, dict[str, Any]] = {
        "running": {"startedAt": STARTED_AT},
        "waiting": {"reason": "ImagePullBackOff"},
        "terminated": {"exitCode": 0, "reason": "Completed"},
    }
    return {
        "name": name,
        "image": f"registry.test/{name}:1.2",
        "imageID": "",
        "ready": state == "running",
        "restartCount": 0,
        "containerID": f"containerd://{name}",
        "state": {state: details[state]},
    }
