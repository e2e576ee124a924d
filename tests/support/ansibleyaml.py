"""The same inventory as ``ansible-inventory --list --yaml`` prints it, which is what the original reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import yaml

from domain.nodes.formats.yamlvalues import documents
from runbus.plugin import Node, SourceError, SourceFailure
from schemas.errors import RunbusError
from services.runner.sources.ansible.config import AnsibleConfig
from services.runner.sources.ansible.groups import Group, Inventory
from services.runner.sources.ansible.listing import malformed, nodes_of

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def nodes_of_yaml(config: Mapping[str, str], inventory_yaml: str) -> list[Node]:
    """The nodes of an inventory in YAML, sorted by name, under the original's bounds.

    ``config`` are settings by their full names (``ansible-extra-tag``). Raises :class:`SourceError`: ``malformed``,
    ``too_large`` (``ansible-yaml-data-size``, ``ansible-yaml-max-aliases``), ``configuration``.
    """
    known = {each.encode_name for each in msgspec.structs.fields(AnsibleConfig)}
    given = {name: value for name, value in config.items() if name in known and value.strip()}
    try:
        settings = msgspec.convert(given, AnsibleConfig, strict=False)
    except msgspec.ValidationError as cause:
        raise SourceError(f"the settings are not valid: {cause}", reason=SourceFailure.CONFIGURATION) from None
    nodes, _ = nodes_of(read_yaml(inventory_yaml, settings), settings)
    return sorted({node.name: node for node in nodes}.values(), key=lambda node: node.name)


def read_yaml(text: str, config: AnsibleConfig) -> Inventory:
    """The inventory; its keys are taken in their order. Raises :class:`SourceError`."""
    _check_bounds(text, config)
    try:
        whole, _ = next(documents(text, "inventory"), (None, 0))
    except RunbusError as cause:
        raise malformed(cause.message.removesuffix(".")) from None
    if not isinstance(whole, dict):
        raise malformed("it is no map")
    variables: dict[str, Mapping[str, Any]] = {}
    below = _map(_map(whole, "all", ""), "children", "all.") or {}
    top = Group(groups={str(name): _group(value, f"{name}", variables) for name, value in below.items()})
    return Inventory(top, variables)


def _group(value: Any, place: str, variables: dict[str, Mapping[str, Any]]) -> Group:
    if value is None:
        return Group()
    if not isinstance(value, dict):
        raise malformed(f"the group {place!r} is no map")
    hosts: dict[str, Any] = {}
    for host, own in (_map(value, "hosts", f"{place}.") or {}).items():
        # the original takes texts only: other keys come of broken references
        if isinstance(host, str):
            hosts[host] = None
            if not variables.get(host):
                variables[host] = _variables(own, host)
    if "children" not in value:
        return Group(hosts=hosts)
    below = _map(value, "children", f"{place}.") or {}
    groups = {str(name): _group(each, f"{place}.{name}", variables) for name, each in below.items()}
    return Group(groups=groups, hosts=hosts)


def _variables(value: Any, host: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise malformed(f"the variables of host {host!r} are no map")
    return {str(name): each for name, each in value.items()}


def _map(value: dict[Any, Any] | None, name: str, place: str) -> dict[Any, Any] | None:
    found = None if value is None else value.get(name)
    if found is not None and not isinstance(found, dict):
        raise malformed(f"'{place}{name}' is no map")
    return found


def _check_bounds(text: str, config: AnsibleConfig) -> None:
    if len(text) > config.yaml_data_size << 20:
        raise SourceError(
            f"the inventory is longer than {config.yaml_data_size} MiB of YAML; raise ansible-yaml-data-size",
            reason=SourceFailure.TOO_LARGE,
        )
    if text.count("*") > config.yaml_max_aliases and _aliases(text) > config.yaml_max_aliases:
        raise SourceError(
            f"the inventory has more than {config.yaml_max_aliases} aliases of lists and maps; raise "
            "ansible-yaml-max-aliases",
            reason=SourceFailure.TOO_LARGE,
        )


def _aliases(text: str) -> int:
    """How many stand for a list or a map; 0 for what is no YAML, which the reader says better."""
    anchors: dict[str, bool] = {}
    count = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                count += anchors.get(event.anchor or "", False)
            elif isinstance(event, yaml.NodeEvent) and event.anchor is not None:
                anchors[event.anchor] = isinstance(event, yaml.CollectionStartEvent)
    except yaml.YAMLError:
        return 0
    return count
