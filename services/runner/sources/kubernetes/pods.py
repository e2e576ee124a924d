"""What is read of a pod, as the Kubernetes API (v1) has it.

What is not read is skipped; what is ``null`` is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec


class Running(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A container runs."""

    started_at: str | None = None
    """RFC 3339, in UTC."""


class ContainerState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of these is there; none: it waits."""

    running: Running | None = None
    waiting: dict[str, Any] | None = None
    terminated: dict[str, Any] | None = None


class ContainerStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a container is."""

    name: str
    state: ContainerState | None = None
    container_id: str | None = msgspec.field(name="containerID", default=None)


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is, or is not, true of a pod."""

    status: str = ""
    """``True``, ``False`` or ``Unknown``."""
    reason: str | None = None
    message: str | None = None


class PodStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a pod is."""

    phase: str | None = None
    pod_ip: str | None = msgspec.field(name="podIP", default=None)
    host_ip: str | None = msgspec.field(name="hostIP", default=None)
    container_statuses: list[ContainerStatus] | None = None
    conditions: list[Condition] | None = None


class Container(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A container that a pod is to have."""

    name: str
    image: str | None = None


class PodSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a pod is to be."""

    containers: list[Container] | None = None


class PodMeta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a pod is called."""

    name: str
    namespace: str | None = None
    labels: dict[str, str] | None = None


class Pod(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A pod."""

    metadata: PodMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class ListMeta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of a page."""

    resume: str = msgspec.field(name="continue", default="")
    """Where the next page begins; empty: there is none."""


class PodList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One page of pods."""

    kind: str
    metadata: ListMeta = ListMeta()
    items: list[Pod] | None = None


def pods_of(raw: Iterable[Mapping[str, Any]]) -> list[Pod]:
    """Pods from the API's JSON, or from what a Python client prints of its objects (``pod_ip``, datetimes).

    Raises :class:`msgspec.ValidationError` with the place.
    """
    return msgspec.convert([_as_api(pod) for pod in raw], list[Pod])


_OTHERWISE: Final = {"pod_ip": "podIP", "host_ip": "hostIP", "container_id": "containerID"}
_AFTER_UNDERSCORE: Final = re.compile("_([a-z])")
_FREE_NAMES: Final = frozenset({"labels", "annotations"})


def _as_api(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_api_name(key): each if key in _FREE_NAMES else _as_api(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_api(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _api_name(name: str) -> str:
    return _OTHERWISE.get(name) or _AFTER_UNDERSCORE.sub(lambda found: found[1].upper(), name)
