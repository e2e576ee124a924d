"""From what an engine says of containers to nodes.

The node's name is the short id, its tag ``docker``; of the attributes, which are also the facts that the settings
``mapping`` and ``tags`` name (``domain/discovery/mapping.py``), these are the original's:

===========================  =======================================================================================
``docker:Id``                the whole id: what the node executor ``docker`` goes by
``docker:Name``              with its slash, as the engine has it: ``/web``
``docker:Config.Cmd``        the first word
``docker:Config.Labels``     ``NAME=VALUE,NAME=VALUE``
``docker:IPAddress``         of the default bridge; else of the last network that has one
``hostname``                 the container's
others                       as ``docker inspect`` shows them: ``docker:Created``, ``docker:State.Status``
===========================  =======================================================================================

A selector may name any other place in what ``docker inspect`` shows, such as ``State.FinishedAt``, and also, which
the original does not have, names with dots: ``Config.Labels.com.example.team``. Numbers and flags are texts there, a
list is its items and an object its ``NAME=VALUE`` with commas between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from domain.discovery.mapping import NODE_NAME, Rules
from schemas.nodes import Node

TAG: Final = "docker"
_SHORT_ID_CHARS: Final = 12
_PLACES: Final = (
    "Id", "Created", "Name", "Image", "State.Status", "State.Pid", "State.StartedAt", "Config.Image",
    "Config.Hostname", "Config.Labels",
)  # fmt: skip
_PREFIX: Final = "docker:"
FACTS: Final = frozenset({f"{_PREFIX}{place}" for place in (*_PLACES, "Config.Cmd", "IPAddress")})


class ContainerError(ValueError):
    """What should describe a container does not."""


def rules_of(config: Mapping[str, str]) -> Rules:
    """Raises :class:`domain.discovery.mapping.SettingError` where a setting cannot be read."""
    given = {name: config.get(name, "") for name in ("mapping", "attributes", "tags")}
    return Rules.parse(**given, is_spaced=True)


def nodes_of(config: Mapping[str, str], inspected: Iterable[Any]) -> list[Node]:
    """The nodes of containers as ``docker inspect`` describes them, in their order; a list of several counts as they.

    Raises :class:`domain.discovery.mapping.SettingError` and :class:`ContainerError`.
    """
    rules = rules_of(config)
    printed = (each if isinstance(each, list) else [each] for each in inspected)
    return [node_of(rules, container) for containers in printed for container in containers]


def node_of(rules: Rules, inspected: Any) -> Node:
    """Raises :class:`ContainerError` where there is no id. Whatever else is missing is left out."""
    identity = inspected.get("Id") if isinstance(inspected, dict) else None
    if not isinstance(identity, str) or not identity:
        raise ContainerError("a container without Id")
    name = identity[:_SHORT_ID_CHARS]
    own = _facts_of(inspected)
    if f"{_PREFIX}Config.Hostname" in own:
        own["hostname"] = own[f"{_PREFIX}Config.Hostname"]
    facts = {**own, NODE_NAME: name}
    return rules.node(name, own, [TAG], facts=facts, deeper=lambda place: _text(_at(inspected, place)))


def _facts_of(inspected: dict[str, Any]) -> dict[str, str]:
    values = {place: _at(inspected, place) for place in _PLACES}
    command = _at(inspected, "Config.Cmd")
    values["Config.Cmd"] = command[0] if isinstance(command, list) and command else None
    values["IPAddress"] = _address_of(inspected)
    texts = {f"{_PREFIX}{place}": _text(value) for place, value in values.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _address_of(inspected: dict[str, Any]) -> Any:
    """Later engines say it of networks only."""
    address = _at(inspected, "NetworkSettings.IPAddress")
    if address:
        return address
    networks = _at(inspected, "NetworkSettings.Networks")
    each = networks.values() if isinstance(networks, dict) else ()
    found = [network["IPAddress"] for network in each if isinstance(network, dict) and network.get("IPAddress")]
    return found[-1] if found else ""


def _at(value: Any, place: str) -> Any:
    """What stands at a place; of a list what stands there in its items. A name may hold dots: the longest fits."""
    if isinstance(value, list):
        return [found for found in (_at(item, place) for item in value) if found is not None]
    if not isinstance(value, dict):
        return None
    if place in value:
        return value[place]
    end = place.rfind(".")
    while end > 0:
        if place[:end] in value:
            return _at(value[place[:end]], place[end + 1 :])
        end = place.rfind(".", 0, end)
    return None


def _text(value: Any) -> str | None:
    """None: there is nothing to say."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(text for text in map(_text, value) if text) or None
    if isinstance(value, dict):
        return ",".join(f"{name}={_text(each) or ''}" for name, each in value.items()) or None
    return None if value is None else str(value)
