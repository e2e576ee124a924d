"""One session at a vCenter: logged in, the inventory read page by page, logged out. In a thread; it blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from runbus.plugin import SourceError, SourceFailure
from services.runner.sources.vmware.abort import Abort
from services.runner.sources.vmware.answers import Page
from services.runner.sources.vmware.api import vim, vmodl
from services.runner.sources.vmware.config import Query
from services.runner.sources.vmware.entities import Entity, Inventory, Kind
from services.runner.sources.vmware.faults import not_the_api, refused, refused_login
from services.runner.sources.vmware.paths import paths_of
from services.runner.sources.vmware.places import Places
from services.runner.sources.vmware.stub import Stub
from services.runner.sources.vmware.tls import context_of

PAGE_OBJECTS: Final = 500
_PLACE_PATHS: Final = {
    Kind.CLUSTER: ["name"],
    Kind.DATACENTER: ["name", "parent"],
    Kind.FOLDER: ["name", "parent"],
    Kind.HOST: ["name", "parent"],
    Kind.VAPP: ["name", "parentFolder", "parentVApp"],
}
_Collector: Final = vmodl.query.PropertyCollector


def read_inventory(query: Query, abort: Abort) -> Inventory:
    """The machines that may be asked for, and where they are. Raises :class:`SourceError`.

    Calls: three for the session, two each for the places and for the machines, and one more for every further 500
    objects.
    """
    with _session(query, abort) as session:
        places = session.read(_PLACE_PATHS, session.root)
        paths = paths_of(query.groups, query.named, with_addresses=bool(query.ip_patterns))
        machines = [
            machine for root in _roots(query, places, session)
            for machine in session.read({Kind.MACHINE: paths}, root)
        ]  # fmt: skip
    return Inventory(machines=machines, places=places)


def _roots(query: Query, places: list[Entity], session: _Session) -> list[Any]:
    """Below which objects machines are looked for."""
    wanted = query.config.datacenter
    if not wanted:
        return [session.root]
    tree = Places(places)
    if found := tree.matching(wanted):
        return [session.datacenter(id_) for id_ in found]
    paths = ", ".join(sorted(tree.datacenters().values()))
    there = f"there are {paths}" if paths else f"{query.config.username} sees none at all"
    raise SourceError(
        f"{query.address} has no datacenter {wanted!r}: {there}. Correct datacenter", reason=SourceFailure.NOT_FOUND
    )


@contextlib.contextmanager
def _session(query: Query, abort: Abort) -> Iterator[_Session]:
    stub = Stub(query.address, context_of(query), abort)
    manager = None
    try:
        content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        if getattr(content, "sessionManager", None) is None:
            raise not_the_api(query.address, "it names no services")
        try:
            content.sessionManager.Login(query.config.username, query.password, None)
        except (vim.fault.InvalidLogin, vim.fault.NoPermission) as fault:
            raise refused_login(query, fault) from None
        manager = content.sessionManager
        yield _Session(content, stub)
    except vmodl.MethodFault as fault:
        raise refused(query.address, fault) from None
    finally:
        stub.leave()
        if manager is not None:
            # A session that cannot be ended, the server ends by itself once it has been idle for long.
            with contextlib.suppress(SourceError, vmodl.MethodFault):
                manager.Logout()
        stub.close()


class _Session:
    """Reads."""

    def __init__(self, content: Any, stub: Stub) -> None:
        self.root: Any = content.rootFolder
        self._content = content
        self._stub = stub

    def datacenter(self, id_: str) -> Any:
        """The object with this id."""
        return vim.Datacenter(id_, self._stub)

    def read(self, paths: dict[Kind, list[str]], root: Any) -> list[Entity]:
        """All objects of these kinds below the root, with these properties."""
        kinds = {kind: getattr(vim, kind) for kind in paths}
        recursively = True
        view = self._content.viewManager.CreateContainerView(root, list(kinds.values()), recursively)
        through = _Collector.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
        wanted = _Collector.FilterSpec(
            objectSet=[_Collector.ObjectSpec(obj=view, skip=True, selectSet=[through])],
            propSet=[_Collector.PropertySpec(type=type_, pathSet=paths[kind]) for kind, type_ in kinds.items()],
        )
        collector = self._content.propertyCollector
        page: Page = collector.RetrievePropertiesEx([wanted], _Collector.RetrieveOptions(maxObjects=PAGE_OBJECTS))
        found = page.entities
        while page.token:
            page = collector.ContinueRetrievePropertiesEx(page.token)
            found += page.entities
        return found
