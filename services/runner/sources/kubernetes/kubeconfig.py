"""Kubeconfig files: merged as kubectl does it, and of them the current context.

See https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/. Of a repeated name the
first holds; a relative path counts from the file that says it. A user is known by a token, a file with one, a
certificate, a password, or a program (``exec``). ``auth-provider``, which has to rewrite the file, is refused; so is
impersonation (``as``): the list would be another than the file means.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from runbus.plugin import SourceContext, SourceError, SourceFailure
from services.runner.sources.kubernetes.connection import Connection, token_in
from services.runner.sources.kubernetes.credentials import Cluster, Credential, Exec, credential_of

_MAX_FILE_BYTES: Final = 16 << 20
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class User(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """As whom: the entry ``user``."""

    token: str | None = None
    token_file: str | None = msgspec.field(name="tokenFile", default=None)
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    username: str | None = None
    password: str | None = None
    exec: Exec | None = None
    auth_provider: dict[str, Any] | None = None
    impersonated: str | None = msgspec.field(name="as", default=None)


class Context(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """A cluster and a user."""

    cluster: str
    user: str = ""


class _NamedCluster(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    name: str
    cluster: Cluster


class _NamedUser(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    name: str
    user: User | None = None


class _NamedContext(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    name: str
    context: Context


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None
    current_context: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The current context. Paths in it count from the directories."""

    origin: str
    cluster: Cluster
    cluster_at: Path
    user: User
    user_at: Path


async def connection_of(config_file: str, context: SourceContext) -> Connection:
    """The connection of the current context of a file, or where none is named of the usual ones.

    What a file holds in base64 is written to the discovery's own directory. Raises :class:`SourceError`.
    """
    chosen = await asyncio.to_thread(_chosen, config_file, context.env)
    credential = Credential()
    if chosen.user.exec is not None and not chosen.user.token:
        credential = await credential_of(chosen.user.exec, chosen.user_at, chosen.cluster, context)
    return await asyncio.to_thread(_connection, chosen, credential, context.work_dir)


def _chosen(config_file: str, env: Mapping[str, str]) -> Chosen:
    files = [(path, _read(path)) for path in _paths(config_file, env)]
    origin = "kubeconfig " + ", ".join(str(path) for path, _ in files)
    name = next((file.current_context for _, file in files if file.current_context), None)
    if not name:
        raise _malformed(f"{origin} names no current-context: set one by `kubectl config use-context NAME`")
    origin = f"{origin} (context {name})"
    contexts = {each.name: each.context for _, file in reversed(files) for each in file.contexts or ()}
    clusters = {
        each.name: (each.cluster, path.parent) for path, file in reversed(files) for each in file.clusters or ()
    }
    users = {
        each.name: (each.user or User(), path.parent) for path, file in reversed(files) for each in file.users or ()
    }
    context = contexts.get(name)
    if context is None:
        raise _malformed(f"{origin} does not hold its current context")
    if context.cluster not in clusters:
        raise _malformed(f"{origin} does not hold the cluster {context.cluster!r}")
    if context.user and context.user not in users:
        raise _malformed(f"{origin} does not hold the user {context.user!r}")
    cluster, cluster_at = clusters[context.cluster]
    user, user_at = users.get(context.user, (User(), cluster_at))
    _refuse_unknown(user, origin)
    return Chosen(origin, cluster, cluster_at, user, user_at)


def _paths(config_file: str, env: Mapping[str, str]) -> list[Path]:
    home = Path(env.get("HOME") or Path.home())
    if config_file:
        text = config_file.strip()
        return [home / text.removeprefix("~/") if text.startswith("~/") else Path(text).absolute()]
    if env.get("KUBECONFIG"):
        named = [Path(text).absolute() for text in env["KUBECONFIG"].split(os.pathsep) if text]
        missing = f"none of the files of KUBECONFIG ({env['KUBECONFIG']}) is there"
    else:
        named = [home / ".kube" / "config"]
        missing = f"there is no {named[0]}, and the runner is in no pod that has a service account"
    found = [path for path in named if path.exists()]
    if not found:
        raise SourceError(f"{missing}: set config_file, or url and token", reason=SourceFailure.NOT_FOUND)
    return found


def _read(path: Path) -> _File:
    try:
        with path.open("rb") as opened:
            data = opened.read(_MAX_FILE_BYTES + 1)
    except OSError as cause:
        reason = SourceFailure.NOT_FOUND if isinstance(cause, FileNotFoundError) else SourceFailure.FAILED
        raise SourceError(f"kubeconfig {path} cannot be read: {cause.strerror}", reason=reason) from None
    if len(data) > _MAX_FILE_BYTES:
        raise SourceError(
            f"kubeconfig {path} is larger than {_MAX_FILE_BYTES >> 20} MiB", reason=SourceFailure.TOO_LARGE
        )
    # No text of the parser's: it quotes the file, and what it quotes may be a token.
    try:
        return msgspec.convert(yaml.load(data, _LOADER) or {}, _File)  # noqa: S506  (it is a safe loader)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _malformed(f"kubeconfig {path} is no YAML{place}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        if isinstance(wrong, msgspec.ValidationError):
            raise _malformed(f"kubeconfig {path} is not valid: {wrong}") from None
        raise _malformed(f"kubeconfig {path} is no YAML") from None


def _refuse_unknown(user: User, origin: str) -> None:
    refused = "auth-provider" if user.auth_provider else "as (impersonation)" if user.impersonated else ""
    if refused:
        raise SourceError(
            f"the user of {origin} needs {refused}, which is not supported: give it a token, a certificate, or exec",
            reason=SourceFailure.CONFIGURATION,
        )


def _connection(chosen: Chosen, credential: Credential, work_dir: Path) -> Connection:
    cluster, user = chosen.cluster, chosen.user
    files = _Files(chosen.origin, work_dir)
    cert_file = files.given(user.client_certificate_data, user.client_certificate, chosen.user_at)
    key_file = files.given(user.client_key_data, user.client_key, chosen.user_at)
    if credential.certificate and credential.key:
        cert_file, key_file = files.kept(credential.certificate.encode()), files.kept(credential.key.encode())
    return Connection(
        host=(cluster.server or "").rstrip("/"),
        origin=chosen.origin,
        authorization=_authorization(chosen, credential),
        ca_file=files.given(cluster.certificate_authority_data, cluster.certificate_authority, chosen.cluster_at),
        cert_file=cert_file,
        key_file=key_file,
        is_verified=not cluster.insecure_skip_tls_verify,
        server_name=cluster.tls_server_name or None,
        proxy=cluster.proxy_url or None,
    )


def _authorization(chosen: Chosen, credential: Credential) -> str:
    user = chosen.user
    token = credential.token or user.token
    if user.token_file and not token:
        token = token_in(chosen.user_at / user.token_file, chosen.origin)
    if token:
        return f"Bearer {token.strip()}"
    if user.username and user.password:
        pair = f"{user.username}:{user.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"
    return ""


class _Files:
    """Certificates and keys as files, as TLS wants them."""

    def __init__(self, origin: str, directory: Path) -> None:
        self._origin = origin
        self._directory = directory
        self._count = 0

    def given(self, data: str | None, path: str | None, at: Path) -> str | None:
        """The file's path; data hold over a path."""
        if not data:
            return str(at / path) if path else None
        try:
            return self.kept(base64.b64decode("".join(data.split()), validate=True))
        except binascii.Error:
            raise _malformed(f"{self._origin} holds a certificate or a key that is no base64") from None

    def kept(self, content: bytes) -> str:
        """A new file that only its owner may read."""
        self._count += 1
        path = self._directory / f"kubeconfig-{self._count}.pem"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        return str(path)


def _malformed(text: str) -> SourceError:
    return SourceError(text, reason=SourceFailure.MALFORMED)
