"""What an answer of Vault's that is no yes means, by its status. Its words are looked into and never passed on."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.vault.calls import Answer
from services.runner.keystorage.vault.config import VaultConfig
from services.runner.keystorage.vault.faults import shown

_NOT_READY: Final[Mapping[int, str]] = {
    472: "is a standby for disasters. Give the active cluster's address",
    473: "is a standby. Give the active node's address",
    501: "is not initialised. Initialise and unseal it",
    503: "is not ready. Is it starting, or in maintenance? Ask again later",
}


def refused(answer: Answer, config: VaultConfig, where: str) -> KeyStorageError:
    """The error of an answer; ``where``: what was asked for, for people."""
    vault = shown(config)
    if answer.body is None:
        return _not_vault(answer, vault)
    if why := _not_ready(answer):
        return KeyStorageError(f"{vault} {why}", reason=KeyFailure.SEALED)
    if answer.status == HTTPStatus.FORBIDDEN:
        text = f"{vault} does not let the runner at {where}. Allow it in a policy (read, and list for folders)"
        return KeyStorageError(text, reason=KeyFailure.FORBIDDEN)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return KeyStorageError(f"{vault} is asked too much (429). Ask again later, or raise its quota")
    if answer.status < HTTPStatus.BAD_REQUEST:
        return malformed(config, where)
    return KeyStorageError(f"{vault} answers {answer.status} for {where}. Its own log says why")


def _not_ready(answer: Answer) -> str | None:
    if answer.status != HTTPStatus.FORBIDDEN and answer.says("sealed"):
        return "is sealed. Unseal it, then ask again"
    if answer.says("node not active") or answer.says("active cluster node not found"):
        return "is a standby without an active node. Is the cluster up? Ask again later"
    return _NOT_READY.get(answer.status)


def malformed(config: VaultConfig, where: str) -> KeyStorageError:
    """The error of an answer without what it has to hold."""
    text = f"what {shown(config)} answers for {where} is not Vault's. Correct address"
    return KeyStorageError(text, reason=KeyFailure.MALFORMED)


def no_mount(config: VaultConfig, mount: str) -> KeyStorageError:
    """The error of a mount that is not there."""
    text = f"nothing is mounted at {mount} of {shown(config)}. Correct secretBackend, or namespace"
    return KeyStorageError(text, reason=KeyFailure.CONFIGURATION)


def wrong_mount(config: VaultConfig, mount: str, kind: str, version: int) -> KeyStorageError | None:
    """The error of a mount that is not what the settings say; None where it is."""
    if kind not in ("kv", "generic"):
        text = f"the mount {mount} of {shown(config)} is no KV engine. Correct secretBackend"
        return KeyStorageError(text, reason=KeyFailure.CONFIGURATION)
    if version == config.engine_version:
        return None
    text = f"the mount {mount} of {shown(config)} is KV {version}: set engineVersion to {version}"
    return KeyStorageError(text, reason=KeyFailure.CONFIGURATION)


def _not_vault(answer: Answer, vault: str) -> KeyStorageError:
    status = answer.status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        text = f"what stands before {vault} answers {status}: it does not reach Vault. Is Vault up?"
        return KeyStorageError(text, reason=KeyFailure.UNREACHABLE)
    text = f"what answers ({status}) is not {vault}: no JSON object. Correct address (https?), or the proxy before it"
    return KeyStorageError(text, reason=KeyFailure.MALFORMED)
