"""What ``ansible-inventory --list`` prints: JSON, one object a group by its name, and the variables of all hosts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from runbus.plugin import Node, SourceError, SourceFailure
from services.runner.sources.ansible.config import AnsibleConfig
from services.runner.sources.ansible.groups import Group, Inventory
from services.runner.sources.ansible.interesting import interesting
from services.runner.sources.ansible.nodes import Rules, is_encrypted, node_of

_T = TypeVar("_T")
_META: Final = "_meta"
_MAX_SHOWN_CHARS: Final = 80
_OBJECT: Final = re.compile(
    r"""\{\s*(?:\}|(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"',:=\[\]{}]+)\s*[:=].*\})""", re.DOTALL
)


class _Listed(msgspec.Struct):
    hosts: list[str] = []
    children: list[str] = []


class _Meta(msgspec.Struct):
    hostvars: dict[str, msgspec.Raw] = {}


def read_listing(printed: bytes) -> Inventory:
    """The inventory. Raises :class:`SourceError` (``malformed``) for what is none, with the place."""
    try:
        return _read(printed)
    except msgspec.DecodeError:
        return _read(_cleaned(printed))
    except RecursionError:
        raise malformed("its values are nested too deeply") from None


def nodes_of(inventory: Inventory, config: AnsibleConfig) -> tuple[list[Node], list[str]]:
    """The nodes of an inventory and warnings of what was left out, or is not what it should be."""
    rules = Rules.of(config)
    every = config.parent_tags or config.gather_facts
    tags = inventory.all_tags() if every else inventory.tags()
    nodes, objects = [], []
    for host, variables in inventory.variables.items():
        if _OBJECT.fullmatch(host):
            objects.append(host)
        elif host in tags:
            node = node_of(host, variables, tags[host], rules)
            nodes.append(_with_facts(node, variables) if config.gather_facts else node)
    return nodes, [*_object_warnings(objects), *_variable_warnings(inventory.variables, config)]


def _with_facts(node: Node, variables: Mapping[str, Any]) -> Node:
    return msgspec.structs.replace(node, attributes={**interesting(variables), **node.attributes})


def malformed(reason: str) -> SourceError:
    """The error for an inventory that cannot be read."""
    text = f"what ansible-inventory printed is no inventory: {reason}; run it by hand and look"
    return SourceError(text, reason=SourceFailure.MALFORMED)


class _Tree:
    """Groups in the order of the YAML form, which the original reads: sorted by name, each whole once."""

    def __init__(self, listed: Mapping[str, _Listed]) -> None:
        self._listed = listed
        self._seen: set[str] = set()

    def group(self, name: str) -> Group:
        listed = self._listed.get(name, _Listed())
        found: dict[str, Group] = {}
        for child in listed.children:
            if child in self._seen:
                found[child] = Group()
                continue
            self._seen.add(child)
            group = self.group(child)
            if group.groups or group.hosts:
                found[child] = group
        return Group(
            groups={child: found[child] for child in sorted(found)} or None,
            hosts=dict.fromkeys(listed.hosts) or None,
        )


def _read(printed: bytes) -> Inventory:
    # host by host: to read all at once would hold the runner up where there are many
    whole = _part(printed, dict[str, msgspec.Raw], "it")
    meta = _part(whole.pop(_META, msgspec.Raw(b"{}")), _Meta, _META)
    listed = {name: _part(group, _Listed, f"group {name!r}") for name, group in whole.items()}
    if "all" not in listed:
        raise malformed("there is no group 'all' in it")
    variables = {host: _part(own, dict[str, Any], f"host {host!r}") for host, own in meta.hostvars.items()}
    hosts = dict.fromkeys(host for group in listed.values() for host in group.hosts)
    return Inventory(_Tree(listed).group("all"), {host: variables.get(host, {}) for host in hosts})


def _part(data: bytes | msgspec.Raw, kind: type[_T], place: str) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as cause:
        raise malformed(f"{place}: {cause}") from None


def _cleaned(printed: bytes) -> bytes:
    """The same, written anew: Python, in which Ansible is written, also prints NaN and halves of characters."""
    try:
        text = json.dumps(json.loads(printed, parse_constant=str), ensure_ascii=False)
    except UnicodeDecodeError:
        raise malformed("it is no text in UTF-8") from None
    except ValueError as cause:
        said = re.sub(r" \(char \d+\)$", "", str(cause))
        raise malformed(said[0].lower() + said[1:] if printed.strip() else "it printed nothing") from None
    return text.encode("utf-8", "replace")


def _object_warnings(names: list[str]) -> list[str]:
    shown = (repr(name if len(name) <= _MAX_SHOWN_CHARS else name[:_MAX_SHOWN_CHARS] + "...") for name in names)
    return [
        f"host {name} was left out: its name is an object of JSON, some list or map read as hosts" for name in shown
    ]


def _variable_warnings(variables: Mapping[str, Mapping[str, Any]], config: AnsibleConfig) -> Iterable[str]:
    encrypted = sum(is_encrypted(value) for each in variables.values() for value in each.values())
    if encrypted and config.import_inventory_vars:
        yield f"{encrypted} variables are encrypted with a vault and were left out"
    if config.gather_facts:
        return
    templates = [host for host, each in variables.items() if "{{" in str(each.get("ansible_host", ""))]
    if templates:
        yield (
            f"the addresses (ansible_host) of {len(templates)} hosts are templates, {templates[0]!r} the first; "
            "they are filled in only where facts are gathered (ansible-gather-facts)"
        )
