"""Where machines are: datacenters, folders, clusters and hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from services.runner.sources.vmware.entities import Entity, Kind

_PARENTS: Final = ("parent", "parentFolder", "parentVApp")
_ESCAPES: Final = {"%2f": "/", "%5c": "\\", "%25": "%"}
_ESCAPED: Final = re.compile("|".join(_ESCAPES), re.IGNORECASE)


class Places:
    """The tree of an inventory, without the machines in it and without its root."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._entities = {entity.id: entity for entity in entities}
        self._lines: dict[str, tuple[Entity, ...]] = {}

    def datacenters(self) -> dict[str, str]:
        """The paths (``/Europe/DC1``) of all, by their ids."""
        return {id_: self.path(id_) for id_, entity in self._entities.items() if entity.kind is Kind.DATACENTER}

    def matching(self, datacenter: str) -> list[str]:
        """The ids of the datacenters with this name, or this path."""
        path = f"/{datacenter.strip('/')}"
        return [
            id_ for id_, found in self.datacenters().items()
            if found == path or name_of(self._entities[id_]) == datacenter
        ]  # fmt: skip

    def holder(self, machine: Entity) -> str:
        """The id of what the machine lies in: a folder, a vApp."""
        return next((machine.values[key] for key in _PARENTS if key in machine.values), "")

    def path(self, id_: str) -> str:
        """``/DC0/vm/web``, the way down to a place; of one that is not known the empty text."""
        return "".join(f"/{name_of(entity)}" for entity in self._line(id_))

    def datacenter(self, id_: str) -> str:
        """The name of the datacenter that a place is in."""
        return next((name_of(entity) for entity in self._line(id_) if entity.kind is Kind.DATACENTER), "")

    def host(self, machine: Entity) -> tuple[str, str]:
        """The names of the host that the machine runs on, and of its cluster."""
        host = self._entities.get(machine.values.get("runtime.host", ""))
        if host is None:
            return "", ""
        cluster = self._entities.get(host.values.get("parent", ""))
        return name_of(host), name_of(cluster) if cluster is not None else ""

    def _line(self, id_: str) -> tuple[Entity, ...]:
        """A place and all above it, from the top."""
        if id_ not in self._lines:
            self._lines[id_] = tuple(reversed(list(self._up(id_))))
        return self._lines[id_]

    def _up(self, id_: str) -> Iterator[Entity]:
        seen = set()
        while (entity := self._entities.get(id_)) is not None and id_ not in seen:
            seen.add(id_)
            yield entity
            # A vApp's parent is a pool of resources, which is no place: its folder is, or the vApp around it.
            keys = reversed(_PARENTS) if entity.kind is Kind.VAPP else _PARENTS
            id_ = next((entity.values[key] for key in keys if key in entity.values), "")


def name_of(entity: Entity) -> str:
    r"""The name as people see it: the API writes ``/``, ``\`` and ``%`` in it as ``%2f``, ``%5c`` and ``%25``."""
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0].lower()], entity.values.get("name", ""))
