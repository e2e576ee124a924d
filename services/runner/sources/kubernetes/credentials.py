"""Credentials that a program hands out: ``exec`` of a kubeconfig, as clouds and OIDC have them.

See https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from runbus.plugin import ProcessOutput, SourceContext, SourceError, SourceFailure

_SHOWN_CHARS: Final = 300


class Cluster(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """An API server: the entry ``cluster``."""

    server: str | None = None
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A variable of the environment."""

    name: str
    value: str


class Exec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The program."""

    command: str
    api_version: str
    args: list[str] | None = None
    env: list[Variable] | None = None
    provide_cluster_info: bool = False


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What it handed out: a token, or a certificate and its key as PEM; or nothing."""

    token: str | None = None
    certificate: str | None = msgspec.field(name="clientCertificateData", default=None)
    key: str | None = msgspec.field(name="clientKeyData", default=None)


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    kind: str
    api_version: str
    status: Credential


async def credential_of(program: Exec, at: Path, cluster: Cluster, context: SourceContext) -> Credential:
    """Run the program. ``at`` is the directory that a relative path of it counts from.

    Raises :class:`SourceError`: ``not_found``, ``failed`` where it ends badly, ``malformed`` for its answer.
    """
    command = str(at / program.command) if "/" in program.command else program.command
    env = {each.name: each.value for each in program.env or ()}
    info = msgspec.json.encode(_info(program, cluster)).decode()
    done = await context.run_process(
        [command, *(program.args or ())], stdin=b"", env={**context.env, **env, "KUBERNETES_EXEC_INFO": info}
    )
    if done.exit_code != 0:
        raise _failed(command, done)
    return _answered(command, program, done.stdout)


def _info(program: Exec, cluster: Cluster) -> dict[str, Any]:
    spec: dict[str, Any] = {"interactive": False}
    if program.provide_cluster_info:
        whole = {
            "server": cluster.server,
            "tls-server-name": cluster.tls_server_name,
            "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify or None,
            "certificate-authority-data": cluster.certificate_authority_data,
            "proxy-url": cluster.proxy_url,
        }
        spec["cluster"] = {name: value for name, value in whole.items() if value}
    return {"apiVersion": program.api_version, "kind": "ExecCredential", "spec": spec}


def _answered(command: str, program: Exec, printed: bytes) -> Credential:
    # The parser says where it failed, and never quotes.
    try:
        answer = msgspec.json.decode(printed, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise _no_credential(command, f"what it printed is no ExecCredential ({cause})") from None
    if answer.kind != "ExecCredential" or answer.api_version != program.api_version:
        raise _no_credential(command, f"it did not print an ExecCredential of {program.api_version}")
    found = answer.status
    if not found.token and not (found.certificate and found.key):
        raise _no_credential(command, "there is no token, nor a certificate with its key, in what it printed")
    return found


def _no_credential(command: str, why: str) -> SourceError:
    return SourceError(f"{command} handed out no credential: {why}", reason=SourceFailure.MALFORMED)


def _failed(command: str, done: ProcessOutput) -> SourceError:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    said = f": {lines[-1][:_SHOWN_CHARS]}" if lines else ""
    ended = f"was ended by {done.signal}" if done.signal else f"ended with {done.exit_code}"
    return SourceError(
        f"{command}, which the kubeconfig has for credentials, {ended}{said}", reason=SourceFailure.FAILED
    )
