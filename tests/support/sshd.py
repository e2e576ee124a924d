"""A real OpenSSH server on loopback, with its own configuration, keys and port, for tests and benchmarks."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from bus.server import free_port
from runbus.plugin import Node
from tests.real.engine import MissingError

_READY_WITHIN_S: Final = 10.0
_STOP_WITHIN_S: Final = 5.0
_SETTINGS: Final = {
    "AcceptEnv": "RD_* LC_*",
    "MaxStartups": "500",
    "PasswordAuthentication": "no",
    "PermitRootLogin": "yes",
    "PidFile": "none",
    "StrictModes": "no",
    "Subsystem": "sftp internal-sftp",
    "UsePAM": "no",
}


class Sshd:
    """One server. The user who runs the tests logs in to it with the key ``key``."""

    def __init__(self, directory: Path, program: str, *, host: str, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.host = host
        self.port = free_port("127.0.0.1")
        self.user = getpass.getuser()
        self.key = make_key(directory / "user_key")
        self.host_key = make_key(directory / "host_key")
        self.known_hosts = directory / "known_hosts"
        self.log_path = directory / "sshd.log"
        self._program = program
        self._settings = {
            "ListenAddress": host,
            "Port": str(self.port),
            "HostKey": str(self.host_key),
            "AuthorizedKeysFile": f"{self.key}.pub",
            # What this machine's user has in start-up files of the shell is no matter of ours: it may take longer.
            "SetEnv": f"HOME={directory}",
            **_SETTINGS,
            **settings,
        }
        self._popen: subprocess.Popen[bytes] | None = None
        self.know("127.0.0.1")

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def logins(self) -> int:
        """How many have logged in so far."""
        return self.log.count("Accepted ")

    def know(self, host: str) -> None:
        """Add the server, under this address, to its ``known_hosts``."""
        key = Path(f"{self.host_key}.pub").read_text().strip()
        with self.known_hosts.open("a") as file:
            file.write(f"[{host}]:{self.port} {key}\n")

    def node(self, name: str = "web1", **attributes: str) -> Node:
        """A node that is this server; underscores in names of attributes stand for hyphens."""
        given = {key.replace("_", "-"): value for key, value in attributes.items()}
        whole = {
            "hostname": f"127.0.0.1:{self.port}",
            "username": self.user,
            "ssh-keypath": str(self.key),
            "ssh-known-hosts": str(self.known_hosts),
            **given,
        }
        return Node(name=name, attributes=whole)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        config = self.directory / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in self._settings.items()))
        # It ends even where the test process is killed.
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                [*guard, self._program, "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline_s = time.monotonic() + _READY_WITHIN_S
        while not self._answers():
            if self._popen.poll() is not None or time.monotonic() > deadline_s:
                raise MissingError(f"sshd did not come up; its log:\n{self.log}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the listener; connections that stand end by themselves when their clients close them."""
        if self._popen is not None:
            self._popen.terminate()
            self._popen.wait(_STOP_WITHIN_S)
            self._popen = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False


def make_key(path: Path, *, kind: str = "ed25519", form: str = "RFC4716", passphrase: str = "") -> Path:
    """A new private key, in OpenSSH's own form or as ``PEM``; its public one lies beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-m", form, "-N", passphrase, "-f", str(path)], check=True)
    return path


@contextmanager
def open_sshd(
    directory: Path, *, host: str = "127.0.0.1", settings: Mapping[str, str] | None = None
) -> Iterator[Sshd]:
    """A server that runs within the block. Raises MissingError where there is none to start."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        raise MissingError("there is no sshd; tests/real/install-sshd.sh installs it on Debian")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    server = Sshd(directory, program, host=host, settings=settings or {})
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def required_sshd(directory: Path, *, settings: Mapping[str, str] | None = None) -> Iterator[Sshd]:
    """The same for a test: where sshd is missing it is skipped, and fails where CI=true."""
    try:
        server = open_sshd(directory, settings=settings)
        opened = server.__enter__()
    except MissingError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    try:
        yield opened
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for every test that does not need a configuration of its own."""
    with required_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server
