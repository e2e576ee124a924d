"""What Ansible is started with: programs, arguments, an environment, and files for what is secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from runbus.plugin import SourceError, SourceFailure
from services.runner.sources.ansible.config import AnsibleConfig


class Workplace(msgspec.Struct, frozen=True, kw_only=True):
    """One discovery's own. Secrets are in files that only the runner's user may read, never in arguments."""

    directory: Path
    binaries: str
    """A directory, or empty for the ``PATH``."""
    env: dict[str, str]
    inventory: list[str]
    """Arguments that every program takes: which inventory, which hosts, which vault password."""

    def program(self, name: str) -> str:
        """A program of Ansible as it is started."""
        return str(Path(self.binaries) / name) if self.binaries else name


def set_up(config: AnsibleConfig, directory: Path, env: Mapping[str, str]) -> Workplace:
    """Check what the settings name, and write the files. Blocks.

    Raises :class:`SourceError` (``not_found``) for what is not there.
    """
    binaries = ""
    if config.binaries_dir_path:
        binaries = existing(config.binaries_dir_path, "ansible-binaries-dir-path")
    arguments = [f"--inventory={place}"] if (place := _inventory(config)) else []
    if config.limit and not config.disable_limit:
        arguments.append(f"--limit={config.limit}")
    if vault := _vault(config, directory):
        arguments.append(f"--vault-password-file={vault}")
    return Workplace(
        directory=directory, binaries=binaries, env=_env(config, directory, binaries, env), inventory=arguments
    )


def existing(path: str, setting: str) -> str:
    """The path, made absolute. Raises :class:`SourceError` (``not_found``) where nothing is there."""
    found = _absolute(path)
    if not found.exists():
        raise SourceError(
            f"{path} is not there on the runner, or not for its user; correct {setting}",
            reason=SourceFailure.NOT_FOUND,
        )
    return str(found)


def write_secret(directory: Path, name: str, text: str) -> str:
    """A new file that its owner alone may read; returns its path."""
    path = directory / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return str(path)


def _absolute(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:  # ~ of a user that is not there
        return Path(path).absolute()


def _inventory(config: AnsibleConfig) -> str:
    """What stands behind ``--inventory``: a path that is there, or hosts with commas."""
    if not config.inventory:
        return ""
    if "," in config.inventory and not _absolute(config.inventory).exists():
        return config.inventory
    return existing(config.inventory, "ansible-inventory")


def _vault(config: AnsibleConfig, directory: Path) -> str:
    if config.vault_path:
        return existing(config.vault_path, "ansible-vault-path")
    password = config.vault_storage_path or config.vault_password
    return write_secret(directory, "vault-password", f"{password}\n") if password else ""


def _env(config: AnsibleConfig, directory: Path, binaries: str, env: Mapping[str, str]) -> dict[str, str]:
    own = {
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
        "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
    }
    if not config.ignore_errors:
        # else half of an inventory would pass for the whole, and jobs would miss the rest without a word
        own["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "true"
    if config.config_file_path:
        own["ANSIBLE_CONFIG"] = existing(config.config_file_path, "ansible-config-file-path")
    if binaries:
        own["PATH"] = os.pathsep.join(filter(None, (binaries, env.get("PATH", os.defpath))))
    # Ansible refuses to start where the locale is not UTF-8, as it is in bare containers
    own |= {} if {"LC_ALL", "LC_CTYPE", "LANG"} & env.keys() else {"LC_ALL": "C.UTF-8"}
    return {**{name: value for name, value in env.items() if name != "ANSIBLE_FORCE_COLOR"}, **own}
