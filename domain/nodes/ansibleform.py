"""Nodes as an inventory that Ansible reads (``ansible-playbook -i nodes.json``), written as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from domain.nodes.selection import by_name
from schemas.nodes import Node

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_]")
_PORT: Final = re.compile(r"(?P<host>\[[^\]]+\]|[^:]+):(?P<port>\d{1,5})\Z")
_RESERVED: Final = frozenset({"all", "ungrouped", "localhost"})


def ansible_inventory(nodes: Iterable[Node]) -> str:
    """Hosts with their variables, tags as groups.

    ``hostname`` becomes ``ansible_host`` (and ``ansible_port``), ``username`` ``ansible_user``; other attributes are
    variables of their own name, in which what Ansible takes in no name is ``_``, as it is in names of groups. A
    value is text and is no template: ``{{`` in it is not filled in.
    """
    hosts: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for node in by_name(list(nodes)):
        hosts[node.name] = _variables(node)
        for tag in node.tags:
            groups.setdefault(_group(tag), {})[node.name] = {}
    children = {name: {"hosts": members} for name, members in sorted(groups.items())}
    inventory = {"all": {"hosts": hosts, "children": children}}
    return msgspec.json.format(msgspec.json.encode(inventory), indent=2).decode() + "\n"


def _variables(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {
        _NO_NAME.sub("_", name): _text(value)
        for name, value in sorted(node.attributes.items())
        if name not in ("hostname", "username")
    }
    hostname, username = node.attributes.get("hostname"), node.attributes.get("username")
    if hostname:
        port = _PORT.match(hostname)
        found["ansible_host"] = port["host"].strip("[]") if port else hostname
        if port:
            found["ansible_port"] = int(port["port"])
    if username:
        found["ansible_user"] = _text(username)
    return found


def _text(value: str) -> Any:
    return {"__ansible_unsafe": value} if "{{" in value or "{%" in value else value


def _group(tag: str) -> str:
    name = _NO_NAME.sub("_", tag) or "_"
    name = f"_{name}" if name[0].isdecimal() else name
    return f"tag_{name}" if name in _RESERVED else name
