"""From machines to nodes; nothing here asks anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from runbus.plugin import Discovered, Node
from services.runner.sources.vmware.config import Query
from services.runner.sources.vmware.entities import Entity, Inventory
from services.runner.sources.vmware.guests import system_of
from services.runner.sources.vmware.places import Places, name_of

TAG: Final = "vmware"
_HOST: Final = "runtime.host"
"""The one reference among the values of a group: the name says more than the id."""
_RUNNING: Final = "poweredOn"
_LISTED: Final = 5


def nodes_of(inventory: Inventory, query: Query) -> Discovered:
    """The nodes of the machines that are asked for, in the inventory's order."""
    places = Places(inventory.places)
    readable = [machine for machine in inventory.machines if machine.values.get("name")]
    wanted = [machine for machine in readable if _is_wanted(machine, query)]
    names = _distinct(wanted, places)
    nodes = [_node(machine, names[machine.id], places, query) for machine in wanted]
    hidden = len(inventory.machines) - len(readable)
    return Discovered(nodes=nodes, warnings=list(_warnings(wanted, names, hidden, query)))


def _is_wanted(machine: Entity, query: Query) -> bool:
    if machine.values.get("config.template") == "true":
        return False
    return not query.config.running or machine.values.get("runtime.powerState") == _RUNNING


def _node(machine: Entity, name: str, places: Places, query: Query) -> Node:
    own = {**_facts(machine, places, query), **system_of(machine.values)}
    values = {path: value for path, value in machine.values.items() if path != _HOST}
    if "vm.host" in own:
        values[_HOST] = own["vm.host"]
    groups = tuple(f"{group}." for group in query.groups)
    grouped = {path: value for path, value in values.items() if path.startswith(groups)}
    return query.rules.node(name, {**grouped, **own}, (TAG,), facts={**values, **own})


def _facts(machine: Entity, places: Places, query: Query) -> dict[str, str]:
    values, holder = machine.values, places.holder(machine)
    host, cluster = places.host(machine)
    facts = {
        "hostname": _address(machine, query.ip_patterns) or values.get("guest.hostName") or name_of(machine),
        "vm.name": name_of(machine),
        "vm.id": machine.id,
        "vm.uuid": values.get("config.uuid", ""),
        "vm.dataCenter": places.datacenter(holder),
        "vm.folder": places.path(holder),
        "vm.cluster": cluster,
        "vm.host": host,
        "vm.powerState": values.get("runtime.powerState", ""),
    }
    return {name: value for name, value in facts.items() if value}


def _address(machine: Entity, patterns: Sequence[str]) -> str:
    """The first address that the first pattern matches; without patterns the guest's first."""
    first = machine.values.get("guest.ipAddress", "")
    if not patterns:
        return first
    addresses = (first, *machine.addresses)
    return next((each for pattern in patterns for each in addresses if each and fnmatchcase(each, pattern)), "")


def _distinct(machines: Sequence[Entity], places: Places) -> dict[str, str]:
    """A name for each machine, by its id: its own where no other has it, else with what tells it from the others."""
    names: dict[str, str] = {}
    left = list(machines)
    for depth in range(4):
        labels = {machine.id: _label(machine, places, depth) for machine in left}
        count = Counter([*labels.values(), *names.values()])
        names.update((id_, label) for id_, label in labels.items() if count[label] == 1)
        left = [machine for machine in left if machine.id not in names]
    return names


def _label(machine: Entity, places: Places, depth: int) -> str:
    name = name_of(machine)
    if depth == 0:
        return name
    if depth == 1:
        return f"{name}@{places.datacenter(places.holder(machine))}"
    return f"{name}@{(depth == 2 and machine.values.get('config.instanceUuid')) or machine.id}"


def _warnings(machines: Sequence[Entity], names: dict[str, str], hidden: int, query: Query) -> Iterator[str]:
    if hidden:
        yield f"{hidden} virtual machines are left out: {query.config.username} may not read their names"
    bearers = Counter(name_of(machine) for machine in machines)
    for shared in sorted(name for name, count in bearers.items() if count > 1):
        alike = sorted(names[machine.id] for machine in machines if name_of(machine) == shared)
        more = f" and {len(alike) - _LISTED} more" if len(alike) > _LISTED else ""
        yield f"{len(alike)} virtual machines are named {shared}: their nodes are {', '.join(alike[:_LISTED])}{more}"
    denied = Counter(path for machine in machines for path in machine.denied)
    for path, count in sorted(denied.items()):
        yield f"{query.config.username} may not read {path} of {count} virtual machines"
    yield from query.rules.warnings()
