"""HashiCorp's Vault for tests: its own core, storing in memory; ``tests/real/install-vault.sh`` builds it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import hvac  # type: ignore[import-untyped]
import msgspec
import pytest

from services.runner.keystorage.vault.config import VaultConfig
from tests.support.kubecerts import Authority

VERSION: Final = "v1.21.4"
_READY_WITHIN_S: Final = 60.0
_STOP_WITHIN_S: Final = 5.0


class RealVault:
    """One server, initialised and unsealed, with the mounts ``one`` (KV 1) and ``two`` (KV 2)."""

    def __init__(self, directory: Path, authority: Authority | None = None) -> None:
        self._directory = directory
        self._authority = authority
        self._popen: subprocess.Popen[bytes] | None = None
        self._unseal_key = ""
        self.address = ""
        self.root_token = ""
        self.admin: Any = None
        """The library's own view, with the root's token."""

    def start(self, program: Path) -> None:
        """Start it and make it ready. Raises ``RuntimeError`` where it does not come up."""
        # It ends even where the test process is killed.
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        tls: list[str] = []
        if self._authority is not None:
            certificate, key = self._authority.server()
            tls = ["-tlscert", str(certificate), "-tlskey", str(key)]
        said = self._directory / "vault.log"
        with said.open("wb") as out:
            self._popen = subprocess.Popen(
                [*guard, str(program), *tls], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        deadline_s = time.monotonic() + _READY_WITHIN_S
        while not (found := re.search(r"VAULT_ADDR=(\S+)", said.read_text())):
            if self._popen.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"Vault did not come up; what it said:\n{said.read_text()}")
            time.sleep(0.02)
        self.address = found[1]
        self.admin = hvac.Client(self.address, verify=str(self._authority.file) if self._authority else True)
        made = self.admin.sys.initialize(secret_shares=1, secret_threshold=1)
        self._unseal_key, self.root_token = made["keys"][0], made["root_token"]
        self.unseal()
        self.admin.token = self.root_token
        for name, version in (("one", "1"), ("two", "2")):
            self.admin.sys.enable_secrets_engine("kv", path=name, options={"version": version})

    def unseal(self) -> None:
        """Until it serves again."""
        self.admin.sys.submit_unseal_key(self._unseal_key)
        deadline_s = time.monotonic() + _READY_WITHIN_S
        # hvac gives back a dict of a 200 only.
        while not isinstance(self.admin.sys.read_health_status(method="GET"), dict):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    def seal(self) -> None:
        """Lock it."""
        self.admin.sys.seal()

    def put(self, path: str, **fields: Any) -> None:
        """Write a secret into both mounts."""
        self.admin.secrets.kv.v1.create_or_update_secret(path, fields, mount_point="one")
        self.admin.secrets.kv.v2.create_or_update_secret(path, fields, mount_point="two")

    def policy(self, name: str, **capabilities: list[str]) -> None:
        """Paths by their capabilities; in names ``__`` stands for a slash, and ``_all`` at the end for ``*``."""
        rules = {
            re.sub("_all$", "*", path).replace("__", "/"): {"capabilities": granted}
            for path, granted in capabilities.items()
        }
        self.admin.sys.create_or_update_policy(name, {"path": rules})

    def approle(self, name: str, *, policies: list[str], **settings: Any) -> dict[str, str]:
        """A role; what the runner's settings need for it."""
        if "approle/" not in self.admin.sys.list_auth_methods()["data"]:
            self.admin.sys.enable_auth_method("approle")
        roles = self.admin.auth.approle
        roles.create_or_update_approle(name, token_policies=policies, **settings)
        return {
            "authBackend": "approle",
            "approleId": roles.read_role_id(name)["data"]["role_id"],
            "approleSecretId": roles.generate_secret_id(name)["data"]["secret_id"],
        }

    def config(self, **settings: str) -> VaultConfig:
        """Settings by their own names; the root's token, unless others say how to log in."""
        given = {"address": self.address, "retryIntervalMilliseconds": "10", "token": self.root_token}
        return msgspec.convert({**given, **settings}, VaultConfig, strict=False)

    def stop(self) -> None:
        """End it at once: it has nothing to keep."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait(_STOP_WITHIN_S)
            self._popen = None


@contextmanager
def real_vault(directory: Path, authority: Authority | None = None) -> Iterator[RealVault]:
    """A server that ends with the context. Where there is none the test is skipped; where CI=true it fails."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "runbus-tests" / f"vault-{VERSION}"
    if not program.exists():
        why = f"there is no {program}; tests/real/install-vault.sh builds it where there is Go"
        if os.environ.get("CI") == "true":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    with ExitStack() as stack:
        server = RealVault(directory, authority)
        stack.callback(server.stop)
        server.start(program)
        yield server
