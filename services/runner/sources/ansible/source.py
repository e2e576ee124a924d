"""Asks ``ansible-inventory`` for an inventory, and its hosts for facts where that is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from runbus.plugin import Discovered, SourceContext
from services.runner.sources.ansible.config import SECRET_SETTINGS, AnsibleConfig


class AnsibleInventory:
    """Node source: the hosts of an Ansible inventory, in whatever form Ansible reads it."""

    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type] = AnsibleConfig
    secret_settings: ClassVar[frozenset[str]] = SECRET_SETTINGS
    requires: ClassVar[tuple[str, ...]] = ()
    """Ansible is a program beside the runner, not a module in it."""
    programs: ClassVar[Mapping[str, str]] = {"ansible-inventory": "ansible-binaries-dir-path"}

    async def discover(self, config: AnsibleConfig, context: SourceContext) -> Discovered:
        """The hosts there are now. Raises :class:`runbus.plugin.SourceError`.

        An inventory without hosts is no error, and is warned of.
        """
        from services.runner.sources.ansible.facts import gather, merged  # noqa: PLC0415  (used seldom)
        from services.runner.sources.ansible.listing import nodes_of, read_listing  # noqa: PLC0415
        from services.runner.sources.ansible.program import list_inventory  # noqa: PLC0415
        from services.runner.sources.ansible.workplace import set_up  # noqa: PLC0415

        place = await asyncio.to_thread(set_up, config, context.work_dir, context.env)
        printed, warnings = await list_inventory(place, context, config.secrets)
        inventory = await asyncio.to_thread(read_listing, printed)
        del printed
        if not inventory.variables:
            return Discovered(warnings=[*warnings, "the inventory holds no hosts"])
        if config.gather_facts:
            gathered, further = await gather(config, place, context, inventory.variables)
            inventory = msgspec.structs.replace(inventory, variables=merged(inventory.variables, gathered))
            warnings += further
        nodes, further = await asyncio.to_thread(nodes_of, inventory, config)
        return Discovered(nodes=nodes, warnings=[*warnings, *further])
