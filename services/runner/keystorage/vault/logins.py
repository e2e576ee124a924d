"""How a runner logs in: hvac's call for each way, and what each needs of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from hvac.api import auth_methods as methods  # type: ignore[import-untyped]

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.vault.calls import Adapter, Answer, Http
from services.runner.keystorage.vault.config import NEEDED, AuthBackend, VaultConfig
from services.runner.keystorage.vault.faults import Fault, shown

_CORRECT: Final[Mapping[AuthBackend, str]] = {
    AuthBackend.CERT: "clientPemFile, or certRoleName",
    **{backend: " and ".join(names) for backend, names in NEEDED.items() if backend is not AuthBackend.CERT},
}


def log_in(http: Http, config: VaultConfig) -> Answer | Fault:
    """Log in, in a thread. Of a token: ask what it is."""
    if config.auth_backend is AuthBackend.TOKEN:
        return _came(methods.Token(Adapter(http, token=config.token, namespace=config.namespace)).lookup_self())
    mount = _mount(config)
    adapter = Adapter(http, namespace=config.auth_namespace or config.namespace)
    if config.auth_backend is AuthBackend.APPROLE:
        login = methods.AppRole(adapter).login
        return _came(login(config.approle_id, config.approle_secret_id, use_token=False, mount_point=mount))
    if config.auth_backend is AuthBackend.USERPASS:
        login = methods.Userpass(adapter).login
        return _came(login(config.username, config.password, use_token=False, mount_point=mount))
    if config.auth_backend is AuthBackend.GITHUB:
        return _came(methods.Github(adapter).login(config.github_token, use_token=False))
    # hvac's own call for certificates wants the files once more, and connections of its own.
    role = {"name": config.cert_role_name} if config.cert_role_name else {}
    return _came(adapter.login(f"/v1/auth/{quote(mount)}/login", use_token=False, json=role))


def refused_login(answer: Answer, config: VaultConfig) -> KeyStorageError:
    """The error of a login that Vault does not grant. It answers a wrong mount as it does wrong credentials."""
    backend = config.auth_backend
    where = shown(config)
    if backend is AuthBackend.TOKEN:
        text = f"{where} does not know the token: it is wrong, or has expired. Give a new one in token"
    else:
        at = f"at auth/{_mount(config)} ({answer.status})"
        text = f"{where} refuses the login {backend.value} {at}. Correct {_CORRECT[backend]}, or the mount"
    return KeyStorageError(text, reason=KeyFailure.AUTHENTICATION)


def _mount(config: VaultConfig) -> str:
    named = {
        AuthBackend.APPROLE: config.approle_auth_mount,
        AuthBackend.USERPASS: config.userpass_auth_mount,
        AuthBackend.CERT: config.cert_auth_mount,
    }
    return named.get(config.auth_backend, "").strip("/") or config.auth_backend.value


def granted(answer: Answer, config: VaultConfig) -> Mapping[str, Any] | None:
    """The part of an answer that says what was granted: token, seconds, whether renewable. None: it says nothing."""
    body = answer.body or {}
    if config.auth_backend is AuthBackend.TOKEN:
        data = body.get("data")
        if not isinstance(data, dict):
            return None
        said = {"lease_duration": data.get("ttl"), "renewable": data.get("renewable")}
        return {"client_token": config.token, **said}
    auth = body.get("auth")
    return auth if isinstance(auth, dict) and auth.get("client_token") else None


def _came(returned: Any) -> Answer | Fault:
    """What hvac, which has no types, hands through from our adapter."""
    assert isinstance(returned, (Answer, Fault))  # noqa: S101
    return returned
