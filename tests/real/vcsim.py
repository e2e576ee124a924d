"""govmomi's simulator of a vCenter: sessions, views, pages and TLS are as a real one has them."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from services.runner.sources.vmware import VmwareConfig

from .engine import MissingError
from .serving import Authority

USER: Final = "runbus@vsphere.local"
PASSWORD: Final = "s3cret-of-vcsim"
_READY_WITHIN_S: Final = 240.0
_STOP_WITHIN_S: Final = 5.0
_REQUEST: Final = re.compile(rb"^Request: .*?<(?:\w+:)?Body[^>]*>\s*<(\w+)", re.MULTILINE | re.DOTALL)


class Vcsim:
    """One simulator with a certificate for 127.0.0.1."""

    def __init__(self, directory: Path, *, days_left: int = 10) -> None:
        self.tls = Authority(directory / "tls").issue("vcsim", days_left=days_left)
        """A directory with its certificate, and the authority's: ca.pem."""
        self.port = 0
        self._trace = directory / "trace.log"
        self._out = directory / "out.log"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """Start it and wait until it takes calls. Raises MissingError."""
        # It ends even where the test process is killed.
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        command = [
            *guard, _program(), "-l", "127.0.0.1:0", "-username", USER, "-password", PASSWORD,
            "-tlscert", str(self.tls / "cert.pem"), "-tlskey", str(self.tls / "key.pem"),
            "-trace", "-trace-file", str(self._trace), *options,
        ]  # fmt: skip
        with self._out.open("wb") as out:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        deadline_s = time.monotonic() + _READY_WITHIN_S
        while not (found := re.search(r"GOVC_URL=https://\S+:(\d+)/sdk", said := self._out.read_text())):
            if self._popen.poll() is not None or time.monotonic() > deadline_s:
                raise MissingError(f"vcsim did not come up; what it said:\n{said}")
            time.sleep(0.05)
        self.port = int(found[1])

    def stop(self) -> None:
        """End it at once: it has nothing to keep."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait(_STOP_WITHIN_S)
            self._popen = None

    def config(self, **settings: str) -> VmwareConfig:
        """Settings as the runner hands them over, all texts; underscores in names stand for hyphens."""
        given = {"url": self.url, "username": USER, "password": PASSWORD, "ssl-ca-cert": str(self.tls / "ca.pem")}
        given.update({name.replace("_", "-"): value for name, value in settings.items()})
        return msgspec.convert(given, VmwareConfig, strict=False)

    def calls(self) -> list[str]:
        """The names of the methods that were called so far, in order."""
        return [name.decode() for name in _REQUEST.findall(self._trace.read_bytes())]

    @contextmanager
    def administrator(self) -> Iterator[Any]:
        """The library's own view of the service, in a session of its own."""
        from pyVim.connect import Connect, Disconnect  # noqa: PLC0415

        context = ssl.create_default_context(cafile=str(self.tls / "ca.pem"))
        instance = Connect("127.0.0.1", self.port, USER, PASSWORD, sslContext=context)  # type: ignore[no-untyped-call]
        try:
            yield instance.RetrieveContent()
        finally:
            Disconnect(instance)  # type: ignore[no-untyped-call]


@contextmanager
def simulator(directory: Path, *options: str, days_left: int = 10) -> Iterator[Vcsim]:
    """A simulator that ends with the context. Where there is none the test is skipped; where CI=true it fails."""
    with ExitStack() as stack:
        started = Vcsim(directory, days_left=days_left)
        stack.callback(started.stop)
        try:
            started.start(*options)
        except MissingError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
        yield started


def _program() -> str:
    found = shutil.which("vcsim") or shutil.which("vcsim", path=str(Path.home() / "go/bin"))
    if found is None:
        raise MissingError("there is no vcsim; tests/real/install-vcsim.sh builds it where there is Go")
    return found
