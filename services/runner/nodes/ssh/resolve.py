"""From a node's settings to its route.

The names are those of the original's plugins (``sshj-ssh``, ``jsch-ssh``, ``ssh-exec``); some are only ours. Each is
an attribute of the node, else a setting of the project, else of the runner.

============================================ ===========================================================
``hostname``                                 ``[user@]host[:port]``
``username``                                 else ``ssh-user``, else the runner's own user
``ssh-port``                                 where ``hostname`` has none
``ssh-authentication``                       ``privateKey`` (default) or ``password``
``ssh-key-storage-path``, ``ssh-keypath``    a key of the key storage; a file on the runner. Without both: agent
                                             (``ssh-agent``, else SSH_AUTH_SOCK) and the user's own ``~/.ssh/id_*``
``ssh-key-passphrase-option``, ``…-storage-path``  a secure option (``option.sshKeyPassphrase``); a key
``ssh-password-option``, ``ssh-password-storage-path``  a secure option (``option.sshPassword``); a key
``ssh-connect-timeout``                      milliseconds, as in the original; 0 and none: 30 s
``ssh-command-timeout``                      milliseconds; 0 and none: no limit of its own
``keep-alive-interval``, ``keep-alive-max-alive-count``  seconds; 15 and 3
``always-set-pty``                           a terminal for commands: both outputs become one
``ssh-host-key-policy``                      ``strict`` (default), ``accept-new``, ``off``
``ssh-known-hosts``                          default ``~/.ssh/known_hosts`` of the runner's user
``ssh-proxy-jump``                           ``[user@]host[:port],…``, the outermost first; ``none``
``ssh-local-ip``                             the runner's address that connections come from
``ssh-send-env``                             whether ``RD_…`` variables are sent (true); the server decides
``ssh-secrets-by-stdin``                     whether a line that holds a secret goes by standard input (true), and not
                                             as an argument: not to a terminal, nor to Windows
============================================ ===========================================================
"""

from __future__ import annotations

import contextlib
import getpass
import os
from pathlib import Path
from typing import Final

from domain.keys.paths import is_key_name
from runbus.plugin import FailureReason, Node, NodeContext, StepError
from services.runner.nodes.settings import NodeSettings
from services.runner.nodes.ssh.route import SSH_PORT, Address, HostKeyPolicy, Login, PrivateKey, Route, parse_address

_KEY_PATHS: Final = ("ssh-key-storage-path", "ssh_key_storage_path")
_KEY_FILES: Final = ("ssh-keypath", "ssh-keyfile")
_PASSPHRASE: Final = (
    ("ssh-key-passphrase-option", "ssh_key_passphrase_option"),
    "option.sshKeyPassphrase",
    ("ssh-key-passphrase-storage-path", "ssh_key_passphrase_storage_path"),
)
_PASSWORD: Final = (
    ("ssh-password-option", "ssh_password_option"),
    "option.sshPassword",
    ("ssh-password-storage-path", "ssh_password_storage_path"),
)
_CONNECT_TIMEOUT_MS: Final = 30_000
_KEEPALIVE_S: Final = 15
_KEEPALIVE_COUNT: Final = 3


async def route_of(node: Node, context: NodeContext) -> Route:
    """The node's route. Raises :class:`StepError` where a setting is missing or wrong, or a secret is not there."""
    settings = NodeSettings(node, context)
    user, address = _address(node, settings)
    login = await _login(user or settings.text("username", "ssh-user") or _own_user(settings), settings, context)
    policy = _policy(settings)
    known_hosts = _file(settings.text("ssh-known-hosts") or "~/.ssh/known_hosts")
    timeout_ms = settings.number("ssh-connect-timeout", "ssh-connection-timeout", default=0) or _CONNECT_TIMEOUT_MS
    keepalive_s = settings.number("keep-alive-interval", default=0) or _KEEPALIVE_S
    keepalive_count = settings.number("keep-alive-max-alive-count", default=0) or _KEEPALIVE_COUNT
    route: Route | None = None
    for hop_user, hop in [*_jumps(settings), (None, address)]:
        route = Route(
            address=hop,
            login=login if hop_user in (None, login.user) else _as_user(login, hop_user),
            policy=policy,
            known_hosts=known_hosts,
            local_ip=settings.text("ssh-local-ip") if route is None else None,
            via=route,
            connect_timeout_s=timeout_ms / 1000,
            keepalive_s=float(keepalive_s),
            keepalive_count=keepalive_count,
        )
    assert route is not None  # noqa: S101  (the node itself ends the list)
    return route


def _address(node: Node, settings: NodeSettings) -> tuple[str | None, Address]:
    text = node.attributes.get("hostname", "").strip()
    if not text:
        raise settings.wrong("it has no hostname; set the attribute to its name or address")
    try:
        return parse_address(text, default_port=_port(settings))
    except ValueError as cause:
        raise settings.wrong(f"the hostname {text!r} cannot be read: {cause}") from cause


def _port(settings: NodeSettings) -> int:
    port = settings.number("ssh-port", default=SSH_PORT)
    if not 0 < port < 65536:
        raise settings.wrong(f"ssh-port is {port}: say a number from 1 to 65535")
    return port


def _own_user(settings: NodeSettings) -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as cause:
        raise settings.wrong("it has no username, and the runner's own user has no name; set username") from cause


def _policy(settings: NodeSettings) -> HostKeyPolicy:
    text = settings.text("ssh-host-key-policy") or HostKeyPolicy.STRICT
    try:
        return HostKeyPolicy(text.lower())
    except ValueError:
        raise settings.wrong(f"ssh-host-key-policy is {text!r}: say {', '.join(HostKeyPolicy)}") from None


def _jumps(settings: NodeSettings) -> list[tuple[str | None, Address]]:
    text = settings.text("ssh-proxy-jump") or "none"
    if text.lower() == "none":
        return []
    try:
        return [parse_address(hop) for hop in text.split(",")]
    except ValueError as cause:
        raise settings.wrong(f"ssh-proxy-jump {text!r} cannot be read: {cause}") from cause


async def _login(user: str, settings: NodeSettings, context: NodeContext) -> Login:
    means = (settings.text("ssh-authentication", "authentication") or "privateKey").lower()
    if means == "password":
        password = await _secret(_PASSWORD, settings, context)
        if password is None:
            raise StepError(
                f"{settings.wrong('it is to be logged in to with a password, and there is none').message} Set "
                "ssh-password-storage-path, or give the job a secure option and name it in ssh-password-option.",
                reason=FailureReason.AUTHENTICATION,
            )
        return Login(user=user, password=password)
    if means != "privatekey":
        raise settings.wrong(f"ssh-authentication is {means!r}: say privateKey or password")
    stored, file = _key_name(_KEY_PATHS, settings), settings.text(*_KEY_FILES)
    if stored is None and file is None:
        return Login(user=user, agent=settings.text("ssh-agent") or os.environ.get("SSH_AUTH_SOCK") or None)
    passphrase = await _secret(_PASSPHRASE, settings, context)
    if stored is not None:
        text = await _read(stored, settings.set_name(*_KEY_PATHS), settings, context)
        return Login(user=user, key=PrivateKey(text=text, passphrase=passphrase))
    return Login(user=user, key=PrivateKey(path=str(_file(file or "")), passphrase=passphrase))


async def _secret(
    names: tuple[tuple[str, ...], str, tuple[str, ...]], settings: NodeSettings, context: NodeContext
) -> str | None:
    """A secure option of the job, if there is one; else a stored key, if one is named (the original's order)."""
    option_names, default_option, storage_names = names
    option, stored = settings.text(*option_names), _key_name(storage_names, settings)
    if option is not None and stored is None:
        return await _read(option, settings.set_name(*option_names), settings, context)
    with contextlib.suppress(StepError):
        return await context.secret(option or default_option)
    return None if stored is None else await _read(stored, settings.set_name(*storage_names), settings, context)


async def _read(secret: str, name: str, settings: NodeSettings, context: NodeContext) -> str:
    """The value of a key, or of a secure option. Raises :class:`StepError` that names node and setting."""
    try:
        return await context.secret(secret)
    except StepError as error:
        raise settings.unread(name, error) from None


def _key_name(names: tuple[str, ...], settings: NodeSettings) -> str | None:
    """What names a key, or a secure option.

    Raises :class:`StepError` that names the node and the setting, and no value: it may be the secret itself.
    """
    stored = settings.text(*names)
    if stored is None or is_key_name(stored) or stored.startswith("option."):
        return stored
    problem = f"{settings.set_name(*names)} is no name of a key (it is not shown: it may be a secret)"
    raise settings.wrong(f"{problem}: write runner/folder/name, or keys/folder/name for one of the centre")


def _file(path: str) -> Path:
    return Path(path).expanduser()


def _as_user(login: Login, user: str | None) -> Login:
    return Login(user=user or login.user, password=login.password, key=login.key, agent=login.agent)
