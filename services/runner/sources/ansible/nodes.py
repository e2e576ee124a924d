"""From a host of an inventory to a node: which variable becomes which attribute."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from domain.nodes.javatext import printed
from runbus.plugin import Node
from services.runner.sources.ansible.config import AnsibleConfig

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "hostname": ("hostname", "ansible_host", "ansible_ssh_host"),
    "username": ("username", "ansible_user", "ansible_ssh_user", "ansible_user_id"),
    "osFamily": ("osFamily", "ansible_os_family"),
    "osName": ("osName", "ansible_os_name"),
    "osArch": ("osArch", "ansible_architecture"),
    "osVersion": ("osVersion", "ansible_kernel"),
}
"""Attributes that come of the first of these variables that is there, also where that one is null."""
OWN_VARIABLES: Final = (
    "ansible_", "discovered_interpreter_python", "facts", "gather_subset", "group_names", "groups", "hostvars",
    "inventory_dir", "inventory_file", "inventory_hostname", "inventory_hostname_short", "module_setup", "omit",
    "play_hosts", "playbook_dir", "role_name", "role_names", "role_path", "tmpdir",
)  # fmt: skip
"""Prefixes of Ansible's own variables, which are never imported."""
_LSB: Final = "ansible_lsb"
_DISTRIBUTION: Final = ("ansible_distribution", "ansible_distribution_version")
_VAULT: Final = "__ansible_vault"
_UNSAFE: Final = "__ansible_unsafe"
_MARKUP: Final = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&='\u2028\u2029"})
"""What the original's JSON writes as escapes; filters compare with the text."""


class Rules(msgspec.Struct, frozen=True):
    """What of the settings says how nodes are made."""

    ignored: tuple[str, ...]
    """Prefixes of variables."""
    is_importing: bool
    ignored_tags: str
    """A prefix; empty for none."""
    extra_tag: str

    @classmethod
    def of(cls, config: AnsibleConfig) -> Rules:
        """The rules that the settings name."""
        prefixes = (text.strip() for text in config.ignore_inventory_vars.split(","))
        return cls(
            ignored=(*OWN_VARIABLES, *filter(None, prefixes)),
            is_importing=config.import_inventory_vars,
            ignored_tags=config.ignore_tags_prefix,
            extra_tag=config.extra_tag.strip(),
        )


def node_of(host: str, variables: Mapping[str, Any], groups: Iterable[str], rules: Rules) -> Node:
    """The node that a host is.

    With imported variables, ``nodename`` gives the node another name, as in the original; null and what is encrypted
    with a vault become no attribute.
    """
    attributes = {"hostname": host}
    for attribute, names in FIELDS.items():
        text = _first(variables, names)
        if text is not None:
            attributes[attribute] = text
    if description := _description(variables):
        attributes["description"] = description
    if rules.is_importing:
        attributes |= _imported(variables, rules)
    attributes.pop("tags", None)
    name = attributes.pop("nodename", host)
    return Node(name=name or host, attributes=attributes, tags=_tags(groups, rules))


def is_encrypted(value: Any) -> bool:
    """Whether it is a value that only the vault's password opens; ``ansible-inventory`` never opens one."""
    return type(value) is dict and len(value) == 1 and _VAULT in value


def text_of(value: Any) -> str | None:
    """A variable as an attribute: lists and maps in JSON without blanks. None for null and what is encrypted."""
    if type(value) is str:
        return value
    value = _bare(value)
    if value is None:
        return None
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_MARKUP)
    return printed(value)


def _bare(value: Any) -> Any:
    """Without what is null in maps, encrypted, or marked as no template."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (_VAULT in value or _UNSAFE in value):
        return value.get(_UNSAFE)
    items = ((printed(key), _bare(item)) for key, item in value.items())
    return {key: item for key, item in items if item is not None}


def _first(variables: Mapping[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        if name in variables:
            return text_of(variables[name])
    return None


def _description(variables: Mapping[str, Any]) -> str:
    lsb = variables.get(_LSB)
    if isinstance(lsb, dict):
        return text_of(lsb.get("description")) or ""
    parts = (text_of(variables.get(name)) for name in _DISTRIBUTION)
    return " ".join(filter(None, parts)).strip()


def _imported(variables: Mapping[str, Any], rules: Rules) -> dict[str, str]:
    texts = ((name, text_of(value)) for name, value in variables.items() if not name.startswith(rules.ignored))
    return {name: text for name, text in texts if text is not None}


def _tags(groups: Iterable[str], rules: Rules) -> list[str]:
    prefix = rules.ignored_tags
    tags = {name for name in groups if not (prefix and name.startswith(prefix))}
    return sorted(tags | {rules.extra_tag} if rules.extra_tag else tags)
