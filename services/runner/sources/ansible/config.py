"""The settings of the source, under the original's names."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

PREFIX: Final = "ansible-"
SECRET_SETTINGS: Final = frozenset(
    {
        "ansible-become-password",
        "ansible-become-password-storage-path",
        "ansible-ssh-key-storage-path",
        "ansible-ssh-passphrase-storage-path",
        "ansible-ssh-password",
        "ansible-ssh-password-storage-path",
        "ansible-vault-password",
        "ansible-vault-storage-path",
    }
)
"""They name keys. The original also takes passwords themselves; here no setting holds one."""


def _setting(field: str) -> str:
    return PREFIX + field.replace("_", "-")


class AnsibleConfig(msgspec.Struct, frozen=True, kw_only=True, rename=_setting):
    """What is set in a project; each field is the setting ``ansible-…``, ``inventory`` being ``ansible-inventory``.

    Paths are those of the runner: ``~`` is its user's home, a relative one starts in its directory.
    """

    inventory: str = ""
    """A file, a directory, a script, or hosts with a comma between or behind them. Empty: what Ansible takes."""
    config_file_path: str = ""
    """``ansible.cfg``, or the directory it is in."""
    binaries_dir_path: str = ""
    """Where ``ansible-inventory`` and ``ansible-playbook`` are. Empty: in the ``PATH`` of the runner."""
    gather_facts: bool = False
    """Ask every host for its facts. The original's form proposes true; unset means false there, too."""
    ignore_errors: bool = False
    """Leave out what cannot be had, with a warning: hosts without an answer, a part of the inventory."""
    limit: str = ""
    """A pattern of hosts, as after ``--limit``."""
    disable_limit: bool = False
    ignore_tags_prefix: str = ""
    """Groups whose names begin so become no tags."""
    extra_tag: str = ""
    parent_tags: bool = False
    """Tag a host with every group it is in. Else the original's tags, which lack some (see ``groups``); with facts
    the original does so always. A setting of ours."""
    import_inventory_vars: bool = False
    """Make the variables of a host attributes."""
    ignore_inventory_vars: str = ""
    """Prefixes of variables, with commas between them, that become no attributes."""
    extra_param: str = ""
    """More arguments for ``ansible-playbook``, as a shell splits them: ``--forks 50``."""
    encrypt_extra_vars: bool = False
    """Without meaning here: nothing is handed to Ansible as an extra variable."""
    yaml_data_size: Annotated[int, msgspec.Meta(ge=1, le=2047)] = 10
    """Without meaning here, as the next one: they bound the YAML that the original reads; here JSON is read."""
    yaml_max_aliases: Annotated[int, msgspec.Meta(ge=0)] = 1000

    ssh_auth_type: Literal["privateKey", "password"] = "privateKey"
    ssh_user: str = ""
    ssh_timeout: Annotated[int, msgspec.Meta(ge=0)] = 0
    """In seconds; 0: Ansible's own."""
    ssh_keypath: str = ""
    ssh_key_storage_path: str = ""
    """The value of the key; it goes before the file ``ssh_keypath``."""
    ssh_password: str = ""
    ssh_password_storage_path: str = ""
    ssh_use_agent: bool = False
    """Give the private key to an SSH agent, which can open one that has a passphrase."""
    ssh_passphrase_storage_path: str = ""

    become: bool = False
    become_method: str = ""
    become_user: str = ""
    become_password: str = ""
    become_password_storage_path: str = ""

    vault_path: str = ""
    """A file with the password of the vault; it goes before the keys."""
    vault_password: str = ""
    vault_storage_path: str = ""

    @property
    def secrets(self) -> list[str]:
        """The values of keys."""
        names = sorted(name.removeprefix(PREFIX).replace("-", "_") for name in SECRET_SETTINGS)
        return [value for name in names if (value := getattr(self, name))]
