"""Node source ``vmware``: the virtual machines of a vCenter, or of one ESXi host."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from runbus.plugin import Discovered, SourceContext
from services.runner.sources.vmware.abort import Abort
from services.runner.sources.vmware.config import Query, VmwareConfig, query_of

__all__ = ["VmwareConfig", "VmwareMachines"]


class VmwareMachines:
    """One node for each virtual machine that is no template. Settings: :class:`VmwareConfig`.

    ================  ================================================================================================
    name              the machine's. Where several bear one name, each of them has its datacenter with it
                      (``web@DC0``); where that is one, too, its UUID
    ``hostname``      its address, see ``ip-selector``; else the name that its guest gives itself; else its name
    ``osFamily``      ``unix`` or ``windows``, where the guest's kind tells; so with ``osName`` and ``osArch``
    ``vm.…``          ``vm.name``, ``vm.id``, ``vm.uuid``, ``vm.dataCenter``, ``vm.folder``, ``vm.cluster``,
                      ``vm.host``, ``vm.powerState``
    ``guest.…``       and the other ``attribute-groups``: single values, as the vSphere API names them
    tags              ``vmware``, and those of the settings
    ================  ================================================================================================

    What is empty, or not known while a machine is off, is left out.
    """

    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[Any]] = VmwareConfig
    secret_settings: ClassVar[frozenset[str]] = frozenset({"password", "password-storage-path"})
    requires: ClassVar[tuple[str, ...]] = ("pyVmomi",)

    async def discover(self, config: VmwareConfig, context: SourceContext) -> Discovered:  # noqa: ARG002
        """The machines there are now. Raises :class:`SourceError`.

        Cancelled, it answers at once. Its thread ends the session and itself within some seconds; within 15 where it
        waits for a connection to come about.
        """
        query, abort = query_of(config), Abort()
        try:
            return await asyncio.to_thread(_discover, query, abort)
        finally:
            abort.cut()


def _discover(query: Query, abort: Abort) -> Discovered:
    from services.runner.sources.vmware.machines import nodes_of  # noqa: PLC0415  (an idle runner has none)
    from services.runner.sources.vmware.session import read_inventory  # noqa: PLC0415

    return nodes_of(read_inventory(query, abort), query)
