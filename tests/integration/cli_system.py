"""The real command as a process, against a Runbus of the test."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.api import ExecutionView
from schemas.codec import decode
from schemas.errors import ErrorReply
from tests.support.system import System
from tests.support.waiting import eventually

RUNBUS: Final = Path(sys.executable).parent / "runbus"
_END_WITHIN_S: Final = 20.0


class Done(msgspec.Struct, frozen=True):
    """A command that has ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        """Its output as one JSON document."""
        return msgspec.json.decode(self.out)

    @property
    def lines(self) -> list[Any]:
        """Its output as one JSON document a line."""
        return [msgspec.json.decode(line) for line in self.out.splitlines()]

    @property
    def final(self) -> ExecutionView:
        """The last line, as an execution."""
        return decode(self.out.splitlines()[-1], ExecutionView)

    @property
    def error(self) -> ErrorReply:
        """Its output as the error of the contract."""
        return decode(self.out, ErrorReply)

    @property
    def last_remark(self) -> str:
        return self.err.splitlines()[-1]


class Cli:
    """``runbus``, with the settings of one system in its environment."""

    def __init__(self, url: str, directory: Path, prefix: str = "rb") -> None:
        self.directory = directory
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RUNBUS_", "COV_"))}
        if kept.pop("PYTHONDONTWRITEBYTECODE", ""):  # compiling everything anew takes half a second a command
            kept["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir()) / f"runbus-test-pyc-{os.getuid()}")
        kept.pop("COLUMNS", None)
        own = {"RUNBUS_NATS_URL": url, "RUNBUS_PREFIX": prefix, "RUNBUS_USER": "ann"}
        self.env = {**kept, **own, "PYTHONUTF8": "1"}

    @classmethod
    def of(cls, system: System) -> Cli:
        return cls(system.url, system.directory, system.subjects.prefix)

    async def __call__(self, *words: str | bytes, stdin: bytes = b"", env: dict[str, str] | None = None) -> Done:
        """Run a command to its end; never with a traceback."""
        running = await self.start(*words, env=env)
        return await running.end(stdin)

    async def start(
        self, *words: str | bytes, env: dict[str, str] | None = None, stdout: int = asyncio.subprocess.PIPE
    ) -> Running:
        process = await asyncio.create_subprocess_exec(
            RUNBUS, *words, cwd=self.directory, env={**self.env, **(env or {})}, stdin=asyncio.subprocess.PIPE,
            stdout=stdout, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        return Running(process)


class Running:
    """A command under way."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._out = b""
        self._err = b""
        self._readers = [asyncio.ensure_future(self._read("_out", process.stdout)),
                         asyncio.ensure_future(self._read("_err", process.stderr))]  # fmt: skip

    async def _read(self, name: str, pipe: asyncio.StreamReader | None) -> None:
        while pipe is not None and (data := await pipe.read(65536)):
            setattr(self, name, getattr(self, name) + data)

    async def says(self, text: str, *, on: str = "err") -> str:
        """Wait until it has printed this."""

        def said() -> str:
            so_far: bytes = getattr(self, f"_{on}")
            assert text.encode() in so_far, f"so far: {so_far!r}"
            return so_far.decode()

        return await eventually(said, what=f"it says {text!r}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def end(self, stdin: bytes = b"") -> Done:
        """Wait for its end."""
        assert self.process.stdin is not None
        self.process.stdin.write(stdin)
        self.process.stdin.close()
        async with asyncio.timeout(_END_WITHIN_S):
            code = await self.process.wait()
            await asyncio.gather(*self._readers)
        err = self._err.decode()
        assert "Traceback" not in err, err
        return Done(code, self._out, err)
