"""Facts that become attributes, under the original's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.runner.sources.ansible.nodes import FIELDS, text_of

PREFIX: Final = "ansible_"
_PLAIN: Final = (
    "bios_date", "bios_version", "distribution", "distribution_major_version", "distribution_release",
    "distribution_version", "domain", "fips", "form_factor", "machine_id", "memtotal_mb", "pkg_mgr",
    "processor_cores", "processor_count", "processor_threads_per_core", "processor_vcpus", "product_name",
    "product_serial", "product_version", "selinux", "service_mgr", "swaptotal_mb", "system_vendor",
    "userspace_architecture", "userspace_bits", "virtualization_role", "virtualization_type",
)  # fmt: skip
"""The attribute's name is the fact's without ``ansible_``."""
_INNER: Final[Mapping[str, tuple[str, str | int]]] = {
    "lsb_codename": ("lsb", "codename"),
    "processor0": ("processor", 0),
    "processor1": ("processor", 1),
    "tz": ("date_time", "tz"),
    "tz_offset": ("date_time", "tz_offset"),
}
FACTS: Final = frozenset(
    {
        *(PREFIX + name for name in _PLAIN),
        *(PREFIX + name for name, _ in _INNER.values()),
        *(name for names in FIELDS.values() for name in names if name.startswith(PREFIX)),
    }
)
"""All that is read of what hosts answer, but for facts without Ansible's prefix."""


def interesting(facts: Mapping[str, Any]) -> dict[str, str]:
    """The attributes that facts become; only texts, numbers, true and false, none of them empty."""
    values = {name: facts.get(PREFIX + name) for name in _PLAIN}
    values |= {name: _inner(facts.get(PREFIX + outer), key) for name, (outer, key) in _INNER.items()}
    texts = {name: text_of(value) for name, value in values.items() if not isinstance(value, list | dict)}
    return {name: text for name, text in texts.items() if text}


def _inner(value: Any, key: str | int) -> Any:
    if isinstance(key, int):
        return value[key] if isinstance(value, list) and len(value) > key else None
    return value.get(key) if isinstance(value, dict) else None
