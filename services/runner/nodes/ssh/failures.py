"""What went wrong with SSH, in the original's reasons and with what to do about it."""

from __future__ import annotations

import errno
import socket
from typing import Final

import asyncssh

from runbus.plugin import FailureReason, StepError
from services.runner.nodes.ssh.hostkeys import HostKeyCheck
from services.runner.nodes.ssh.route import Route

_REFUSED: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})


class ConnectError(Exception):
    """A connection could not be made: to the route's own host, or to one of its jump hosts."""

    def __init__(self, route: Route, cause: BaseException, check: HostKeyCheck | None = None) -> None:
        super().__init__(str(cause))
        self.route = route
        self.cause = cause
        self.check = check


class UnusableKeyError(Exception):
    """A private key cannot be read; the text says which and why, and nothing of what it holds."""


class NothingSentError(Exception):
    """The command or the file has not reached the server; ``cause`` says why."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def connect_failed(node: str, route: Route, error: ConnectError) -> StepError:
    """The error of a node that could not be reached."""
    place = f"Node {node} ({route})"
    if error.route != route:
        place += f", its jump host {error.route}"
    reason, text = _reason(error)
    return StepError(f"{place}: {text}", reason=reason)


def lost(node: str, route: Route, cause: BaseException) -> StepError:
    """The error of a connection that broke while a command ran."""
    return StepError(
        f"Node {node} ({route}): the connection was lost while the command ran ({_text(cause)}); whether it went on "
        "there is not known. Look on the node before you run it again.",
        reason=FailureReason.CONNECTION_FAILURE,
    )


def not_opened(node: str, route: Route, cause: BaseException) -> StepError:
    """The error of a connection that stands, and takes no command."""
    return StepError(
        f"Node {node} ({route}): the server opened no session ({_text(cause)}). Nothing was run; look at MaxSessions "
        "and ForceCommand in its sshd_config.",
        reason=FailureReason.CONNECTION_FAILURE,
    )


def _reason(error: ConnectError) -> tuple[FailureReason, str]:
    cause = error.cause
    if isinstance(cause, UnusableKeyError):
        return FailureReason.AUTHENTICATION, f"{cause}."
    if isinstance(cause, asyncssh.HostKeyNotVerifiable):
        return FailureReason.SSH_PROTOCOL, _host_key_text(error, cause)
    if isinstance(cause, asyncssh.PermissionDenied) or _is_refused_login(cause):
        return FailureReason.AUTHENTICATION, _login_text(error.route)
    if isinstance(cause, (asyncssh.ConnectionLost, asyncssh.ChannelOpenError)):
        return FailureReason.CONNECTION_FAILURE, _broken_text(error.route, cause)
    if isinstance(cause, asyncssh.Error):
        return FailureReason.SSH_PROTOCOL, (
            f"the server and the runner could not agree ({_text(cause)}). Look at the algorithms that it offers, and "
            "whether it is an SSH server at all."
        )
    return _network_reason(error.route, cause)


def _network_reason(route: Route, cause: BaseException) -> tuple[FailureReason, str]:
    if isinstance(cause, socket.gaierror):
        return FailureReason.HOST_NOT_FOUND, (
            f"the name {route.address.host} does not resolve on the runner ({cause.strerror}). Correct the node's "
            "hostname, or the runner's name service."
        )
    if isinstance(cause, TimeoutError):
        return FailureReason.CONNECTION_TIMEOUT, (
            f"no connection within {route.connect_timeout_s:g} s. Look whether it is up and whether a firewall drops "
            "the packets; ssh-connect-timeout (milliseconds) gives it longer."
        )
    if isinstance(cause, OSError):
        hint = "Is sshd running there, on this port?" if cause.errno in _REFUSED else "Is there a way to it?"
        return FailureReason.CONNECTION_FAILURE, f"it could not be connected to ({_text(cause)}). {hint}"
    return FailureReason.CONFIGURATION, f"its settings cannot be used ({_text(cause)})."


def _host_key_text(error: ConnectError, cause: asyncssh.HostKeyNotVerifiable) -> str:
    check, address = error.check, error.route.address
    if check is None or check.offered is None:
        return f"its host key is refused ({cause.reason})."
    if check.problem:
        return f"its host key is new and could not be kept: {check.problem}."
    key = f"{check.offered.get_algorithm()} {check.offered.get_fingerprint()}"
    file = error.route.known_hosts
    if check.other_is_known:
        return (
            f"its host key is not the known one: it shows {key}. Either it was set up anew, or somebody stands in "
            f"between. If you know that the key is right: ssh-keygen -R '{address.pattern}' -f {file}, then accept "
            "the new one."
        )
    return (
        f"its host key is not known: it shows {key}. If that is right: ssh-keyscan -p {address.port} {address.host} "
        f">> {file} on the runner, or set ssh-host-key-policy to accept-new."
    )


def _login_text(route: Route) -> str:
    if route.login.password is not None:
        means = "the password was refused. Correct the stored one, and see that the server allows passwords"
    elif route.login.key is not None:
        named = f" {route.login.key.path}" if route.login.key.path else ""
        means = f"the private key{named} was refused. Put its public key into the user's authorized_keys there"
    else:
        means = (
            "no key is set (ssh-keypath, ssh-key-storage-path), and none of the agent's or of the runner user's own "
            "was accepted"
        )
    return f"authentication failed for user {route.login.user}: {means}."


def _is_refused_login(cause: BaseException) -> bool:
    return isinstance(cause, asyncssh.DisconnectError) and "authentication" in cause.reason.lower()


def _broken_text(route: Route, cause: BaseException) -> str:
    if isinstance(cause, asyncssh.ChannelOpenError) and route.via is not None:
        return f"its jump host {route.via} cannot reach it ({_text(cause)})."
    return (
        f"the server closed the connection before the login was done ({_text(cause)}). Where many connect at once, "
        "raise MaxStartups in its sshd_config or lower the thread count."
    )


def _text(cause: BaseException) -> str:
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause).strip() or type(cause).__name__
