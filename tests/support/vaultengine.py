"""What the stand-in for Vault knows: mounts with their secrets, logins, and tokens that end."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, dict[str, Any]]

_MADE_AT = "2026-01-02T03:04:05.123456789Z"
_DENIED: Answer = (403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]})
_GONE: Answer = (403, {"errors": ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]})
_NOTHING: Answer = (404, {"errors": []})


@dataclass
class StandInToken:
    """Times are monotonic seconds; 0: it never ends."""

    ttl_s: float = 0.0
    until_s: float = 0.0
    max_until_s: float = 0.0
    is_renewable: bool = True


@dataclass
class Mount:
    """A KV engine."""

    version: int = 1
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)


class VaultState:
    """Tests change its attributes while it serves."""

    def __init__(self) -> None:
        self.mounts = {"secret": Mount()}
        self.tokens = {"root-token": StandInToken()}
        self.logins: dict[str, dict[str, str]] = {}
        """By ``auth/MOUNT``: what a login has to bring."""
        self.ttl_s, self.max_ttl_s, self.is_renewable = 0.0, 0.0, True
        self.forbidden: set[str] = set()
        """Beginnings of paths that no token may read or list."""
        self.is_old = False
        """Before Vault 1.10 a 403 did not say that the token was no more."""
        self._numbers = itertools.count(1)

    def answer(self, method: str, path: str, token: str, body: dict[str, Any]) -> Answer:
        """Of the API below ``/v1/``; ``method`` is LIST for a listing."""
        if path.startswith("auth/") and "/login" in path:
            return self._login(path, body)
        known = self.tokens.get(token)
        if known is None or (known.until_s and time.monotonic() > known.until_s):
            self.tokens.pop(token, None)
            return _DENIED if self.is_old else _GONE
        if path.startswith("auth/token/"):
            return self._token(path, token, known)
        if any(path.startswith(beginning) for beginning in self.forbidden):
            return _DENIED
        return self._mounted(method, path)

    def _mounted(self, method: str, path: str) -> Answer:
        if path.startswith("sys/internal/ui/mounts/"):
            return self._mount(path.removeprefix("sys/internal/ui/mounts/"))
        name = next((name for name in self.mounts if path == name or path.startswith(f"{name}/")), None)
        if name is None:
            return 404, {"errors": [f'no handler for route "{path}". route entry not found.']}
        return _engine(self.mounts[name], method, path.removeprefix(name).strip("/"))

    def expire_all(self) -> None:
        """Every token but the root's ends now."""
        self.tokens = {"root-token": self.tokens["root-token"]}

    def _login(self, path: str, body: dict[str, Any]) -> Answer:
        mount, _, user = path.partition("/login")
        wanted = self.logins.get(mount)
        if wanted is None:
            return _DENIED
        brought = {**body, **({"username": user.strip("/")} if user else {})}
        if any(brought.get(name) != value for name, value in wanted.items()):
            return 400, {"errors": [f"invalid credentials: {brought}"]}
        now_s = time.monotonic()
        token = f"hvs.stand-in-{next(self._numbers)}"
        self.tokens[token] = StandInToken(
            ttl_s=self.ttl_s,
            until_s=now_s + self.ttl_s if self.ttl_s else 0.0,
            max_until_s=now_s + self.max_ttl_s if self.max_ttl_s else 0.0,
            is_renewable=self.is_renewable,
        )
        granted = {"client_token": token, "lease_duration": self.ttl_s, "renewable": self.is_renewable}
        return 200, {"auth": granted}

    def _token(self, path: str, token: str, known: StandInToken) -> Answer:
        now_s = time.monotonic()
        if path.endswith("/lookup-self"):
            left_s = known.until_s - now_s if known.until_s else 0
            return 200, {"data": {"id": token, "ttl": left_s, "renewable": known.is_renewable}}
        if path.endswith("/revoke-self"):
            del self.tokens[token]
            return 204, {}
        if not known.is_renewable:
            return 400, {"errors": ["lease is not renewable"]}
        until_s = now_s + known.ttl_s
        known.until_s = min(until_s, known.max_until_s) if known.max_until_s else until_s
        granted = {"client_token": token, "lease_duration": known.until_s - now_s, "renewable": True}
        return 200, {"auth": granted}

    def _mount(self, name: str) -> Answer:
        mount = self.mounts.get(name.strip("/"))
        if mount is None:
            return _DENIED
        return 200, {"data": {"type": "kv", "options": {"version": str(mount.version)}}}


def _engine(mount: Mount, method: str, path: str) -> Answer:
    kind, _, rest = path.partition("/")
    if mount.version == 2:
        if kind not in ("data", "metadata"):
            return 404, {"errors": [], "warnings": ["Invalid path for a versioned K/V secrets engine."]}
        path = rest
    if method == "LIST":
        return _listed(mount, path)
    secret = mount.secrets.get(path)
    if secret is None:
        return _NOTHING
    return (200, {"data": secret}) if mount.version == 1 else _versioned(mount, kind, path)


def _versioned(mount: Mount, kind: str, path: str) -> Answer:
    version = mount.versions.get(path, 1)
    metadata = {"created_time": _MADE_AT, "version": version}
    if path in mount.deleted:
        return 404, {"data": {"data": None, "metadata": {**metadata, "deletion_time": _MADE_AT}}}
    if kind == "metadata":
        times = {"created_time": "2025-01-01T00:00:00Z", "updated_time": "2026-02-02T00:00:00Z"}
        return 200, {"data": {**times, "current_version": version}}
    return 200, {"data": {"data": mount.secrets[path], "metadata": metadata}}


def _listed(mount: Mount, path: str) -> Answer:
    folder = f"{path}/" if path else ""
    below = (key.removeprefix(folder) for key in mount.secrets if key.startswith(folder))
    names = {name.partition("/")[0] + ("/" if "/" in name else "") for name in below}
    return (200, {"data": {"keys": sorted(names)}}) if names else _NOTHING
