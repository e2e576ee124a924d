"""From pods to nodes, by the rules of the original's ``pods-resource-model``.

A node is a container of a pod's ``spec.containers`` that has not ended. Its name is ``POD-CONTAINER``.

================================  ==================================================================================
``hostname``, ``default:pod_id``  the pod's address
``default:host_id``               the address of the machine it is on
``default:name``                  the pod's name; ``default:namespace`` its namespace
``default:labels``                ``NAME:VALUE,NAME:VALUE``; and each as ``labels:NAME``
``default:container_name``        and ``default:container_id`` (``containerd://…``), ``default:image``
``default:started_at``            ``2026-11-28 10:30:00``, in UTC
``default:status``                ``running``, ``waiting`` or the pod's phase; while a condition of the pod is false
                                  its reason (``ContainersNotReady``), of several the last
``default:status_message``        what that condition says
``status``, ``description``       the status, perhaps with a sign; the description with the message, too
``terminated``                    ``false``, or else it would not be listed
``kubernetes:config_file``        the setting ``config_file``
================================  ==================================================================================

Tags: ``pods``, and what ``tags`` says. What has no value is left out.

Where this differs from the original: a false condition without a reason, on which it fails, leaves the status as it
is; and ``running`` looks at the status itself, so that ``emoticon`` does not make it select nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from domain.discovery.mapping import Rules, SettingError
from runbus.plugin import Node, SourceError, SourceFailure
from services.runner.sources.kubernetes.config import KubernetesConfig
from services.runner.sources.kubernetes.pods import Container, ContainerStatus, Pod, pods_of

_TAG: Final = "pods"
_RUNNING: Final = "running"
_WAITING: Final = "waiting"
_TERMINATED: Final = "terminated"
_SIGNS: Final = {
    _RUNNING: "\U0001f44d",
    _TERMINATED: "\u2705",
    _WAITING: "\u274c",
    "ContainersNotReady": "\u274c",
}
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)")


def nodes_of(config: Mapping[str, str], pods: Iterable[Mapping[str, Any]]) -> list[Node]:
    """The nodes of pods that are given as JSON values, with the settings as a project has them.

    Raises :class:`SourceError` for a setting that cannot be read, :class:`msgspec.ValidationError` for a pod.
    """
    given = {name: value for name, value in config.items() if value.strip() or name == "tags"}
    return Shape(msgspec.convert(given, KubernetesConfig, strict=False)).nodes(pods_of(pods))


class Shape:
    """Makes nodes of pods, the settings read once. Raises :class:`SourceError` where one cannot be read."""

    def __init__(self, config: KubernetesConfig) -> None:
        try:
            self._rules = Rules.parse(mapping=config.mapping, attributes=config.attributes, tags=config.tags)
        except SettingError as wrong:
            raise SourceError(str(wrong), reason=SourceFailure.CONFIGURATION) from None
        self._config = config

    @property
    def warnings(self) -> list[str]:
        """What the settings say to no effect."""
        return [
            f"mapping: {key!r} is neither a selector nor a default; it is left out"
            for key in self._rules.mapping.ignored
        ]

    def nodes(self, pods: Iterable[Pod]) -> list[Node]:
        """The nodes of these pods, in their order."""
        return [node for pod in pods for node in self._nodes_of(pod)]

    def _nodes_of(self, pod: Pod) -> Iterable[Node]:
        statuses = {each.name: each for each in pod.status.container_statuses or ()}
        shared = self._shared(pod)
        for container in pod.spec.containers or ():
            found = statuses.get(container.name)
            status, message = _status(pod, found)
            if self._is_wanted(status, found):
                own = shared | self._own(container, found, status, message)
                yield self._rules.node(f"{pod.metadata.name}-{container.name}", own, [_TAG])

    def _is_wanted(self, status: str, found: ContainerStatus | None) -> bool:
        return status.lower() == _RUNNING if self._config.running else not _has_ended(found)

    def _shared(self, pod: Pod) -> dict[str, str]:
        """What the containers of a pod have in common."""
        labels = pod.metadata.labels or {}
        facts = {
            "hostname": pod.status.pod_ip,
            "kubernetes:config_file": self._config.config_file or None,
            "default:pod_id": pod.status.pod_ip,
            "default:host_id": pod.status.host_ip,
            "default:name": pod.metadata.name,
            "default:namespace": pod.metadata.namespace,
            "default:labels": ",".join(f"{name}:{value}" for name, value in labels.items()),
            **{f"labels:{name}": value for name, value in labels.items()},
        }
        return _there(facts)

    def _own(
        self, container: Container, found: ContainerStatus | None, status: str, message: str | None
    ) -> dict[str, str]:
        shown = f"{_SIGNS.get(status, '')} {status}" if self._config.emoticon else status
        facts = {
            "default:container_name": container.name,
            "default:container_id": found.container_id if found else None,
            "default:image": container.image,
            "default:started_at": _started_at(found),
            "default:status": status or None,
            "default:status_message": message,
            "status": shown or None,
            "description": (f"{shown}({message})" if message else shown) or None,
            "terminated": "false",
        }
        return _there(facts)


def _there(facts: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value is not None}


def _has_ended(found: ContainerStatus | None) -> bool:
    return found is not None and found.state is not None and found.state.terminated is not None


def _status(pod: Pod, found: ContainerStatus | None) -> tuple[str, str | None]:
    """The status, empty where the pod has none, and what is said of it."""
    status, message = pod.status.phase or "", None
    if found is not None and found.state is not None:
        if found.state.running is not None:
            status = _RUNNING
        if found.state.waiting is not None:
            status = _WAITING
        if found.state.terminated is not None:
            return _TERMINATED, None
    for condition in pod.status.conditions or ():
        if condition.status == "False":
            status, message = condition.reason or status, condition.message
    return status, message


def _started_at(found: ContainerStatus | None) -> str | None:
    if found is None or found.state is None or found.state.running is None:
        return None
    moment = found.state.running.started_at
    read = _MOMENT.match(moment or "")
    return f"{read[1]} {read[2]}" if read else moment or None
