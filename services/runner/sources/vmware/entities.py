"""What was read of a vCenter's inventory, as texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of objects that are read, by the API's names."""

    CLUSTER = "ComputeResource"
    """Or a host alone, as the API has it: a cluster of one."""
    DATACENTER = "Datacenter"
    FOLDER = "Folder"
    HOST = "HostSystem"
    MACHINE = "VirtualMachine"
    VAPP = "VirtualApp"


@dataclass(frozen=True, slots=True)
class Entity:
    """One object."""

    kind: Kind
    id: str
    """Of this vCenter: ``vm-42``."""
    values: dict[str, str]
    """Single values by their paths; references as ids. What is not set is not there."""
    addresses: tuple[str, ...] = ()
    """Of a machine's guest, in its order."""
    denied: tuple[str, ...] = ()
    """Paths that the account may not read."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that nodes are made of."""

    machines: list[Entity] = field(default_factory=list)
    places: list[Entity] = field(default_factory=list)
    """The rest: what machines lie in and run on."""
