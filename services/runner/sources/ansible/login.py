"""How ``ansible-playbook`` gets into hosts: user, keys, passwords, an agent, another user there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import msgspec

from runbus.plugin import SourceError, SourceFailure
from services.runner.sources.ansible.config import AnsibleConfig
from services.runner.sources.ansible.workplace import existing, write_secret

KEY_REFUSED: Final = 97
"""The exit code where the agent did not take the key."""
_ASKPASS: Final = """#!/bin/sh
# once only: of a wrong one ssh-add would ask again and again
cat "$RUNBUS_PASSPHRASE" 2>/dev/null
rm -f "$RUNBUS_PASSPHRASE"
"""
_WITH_AGENT: Final = f"""
SSH_ASKPASS="$RUNBUS_ASKPASS" SSH_ASKPASS_REQUIRE=force DISPLAY="${{DISPLAY:-:0}}" ssh-add -q "$RUNBUS_KEY" \
    </dev/null || exit {KEY_REFUSED}
exec "$@"
"""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What is put before the command, behind it, and into its environment."""

    before: list[str] = []
    arguments: list[str]
    env: dict[str, str] = {}


def login(config: AnsibleConfig, directory: Path) -> Login:
    """Write the files that hold secrets, and say how they are named. Blocks. Raises :class:`SourceError`."""
    arguments = [*_ssh(config, directory), *_become(config, directory), *_extra(config)]
    key = _key(config, directory)
    if not key:
        return Login(arguments=arguments)
    arguments.insert(0, f"--private-key={key}")
    if not config.ssh_use_agent:
        return Login(arguments=arguments)
    env = {
        "RUNBUS_ASKPASS": write_secret(directory, "askpass", _ASKPASS),
        "RUNBUS_KEY": key,
        "RUNBUS_PASSPHRASE": write_secret(directory, "passphrase", f"{config.ssh_passphrase_storage_path}\n"),
    }
    Path(env["RUNBUS_ASKPASS"]).chmod(0o700)
    # the agent ends with the command that is its argument
    return Login(before=["ssh-agent", "sh", "-c", _WITH_AGENT, "sh"], arguments=arguments, env=env)


def _key(config: AnsibleConfig, directory: Path) -> str:
    if config.ssh_auth_type != "privateKey":
        return ""
    if config.ssh_key_storage_path:
        text = config.ssh_key_storage_path.replace("\r\n", "\n").rstrip("\n")
        return write_secret(directory, "key", f"{text}\n")
    return existing(config.ssh_keypath, "ansible-ssh-keypath") if config.ssh_keypath else ""


def _ssh(config: AnsibleConfig, directory: Path) -> list[str]:
    found = []
    if config.ssh_user:
        found.append(f"--user={config.ssh_user}")
    if config.ssh_timeout:
        found.append(f"--timeout={config.ssh_timeout}")
    password = config.ssh_password_storage_path or config.ssh_password
    if config.ssh_auth_type == "password" and password:
        found.append(f"--connection-password-file={write_secret(directory, 'password', password)}")
    return found


def _become(config: AnsibleConfig, directory: Path) -> list[str]:
    found = []
    password = config.become_password_storage_path or config.become_password
    if config.become:
        found.append("--become")
        if password:
            found.append(f"--become-password-file={write_secret(directory, 'become-password', password)}")
    if config.become_method:
        found.append(f"--become-method={config.become_method}")
    if config.become_user:
        found.append(f"--become-user={config.become_user}")
    return found


def _extra(config: AnsibleConfig) -> list[str]:
    try:
        return shlex.split(config.extra_param)
    except ValueError as cause:
        text = f"ansible-extra-param cannot be split as a shell does: {cause}; correct its quotes"
        raise SourceError(text, reason=SourceFailure.CONFIGURATION) from None
