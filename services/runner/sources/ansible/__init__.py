"""Node source ``com.batix.rundeck.plugins.AnsibleResourceModelSourceFactory``: the hosts of an Ansible inventory.

``config`` are its settings; ``source`` asks ``ansible-inventory`` (``program``, ``workplace``), reads what it prints
(``listing``, ``groups``), gathers facts where they are wanted (``facts``) and makes nodes of it (``nodes``).
"""

from __future__ import annotations

from services.runner.sources.ansible.source import AnsibleInventory

__all__ = ["AnsibleInventory"]
