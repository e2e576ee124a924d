"""An outside package whose plugins are careless in every way with what they know: found by its entry points.

Its key storage ``leaky`` has the keys of a JSON file. A path is ``WAY/NAME``: by ``plain/NAME`` the value is given,
by any other way of :data:`WAYS` something is raised that holds it, the storage's own token, and all values that were
read before. Its step and its node source ``leaky`` raise, in the same ways, what holds the key that they are given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

WAYS: Final = (
    "runtime", "key", "chained", "context", "note", "group", "rude", "exit", "interrupt", "generator", "cancelled",
    "timeout", "stop", "unicode", "syntax", "os", "mute", "named", "bare", "malformed", "authentication", "not_found",
    "forbidden", "configuration", "odd_reason", "odd_message", "no_message", "derived", "chained_own",
)  # fmt: skip

_SOURCE: Final = '''
import asyncio, json
from collections.abc import Mapping
from typing import ClassVar
import msgspec
from runbus.plugin import (
    Discovered, KeyEntry, KeyFailure, KeyStorageError, SourceError, StepContext, StepError, StepResult,
)

class Rude(BaseException):
    """What no ``except Exception`` catches."""

class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError(self.args[0])
    __repr__ = __str__

class Derived(KeyStorageError):
    def __init__(self, text: str) -> None:
        Exception.__init__(self, text)
    @property
    def message(self) -> str:
        raise RuntimeError(self.args[0])
    reason = "FAILED"

def noted(text):
    error = ValueError("look at my notes")
    error.add_note(text)
    return error

def odd(message, reason):
    error = KeyStorageError("")
    error.message, error.reason = message, reason
    return error

PLAIN = {
    "runtime": RuntimeError, "key": KeyError, "note": noted, "rude": Rude, "exit": SystemExit,
    "interrupt": KeyboardInterrupt, "generator": GeneratorExit, "cancelled": asyncio.CancelledError,
    "timeout": TimeoutError, "stop": StopAsyncIteration, "mute": Mute, "bare": KeyStorageError, "derived": Derived,
    "group": lambda text: ExceptionGroup(text, [ValueError(text)]),
    "unicode": lambda text: UnicodeDecodeError("utf-8", text.encode(), 0, 1, text),
    "syntax": lambda text: SyntaxError(text, (text, 1, 1, text)),
    "os": lambda text: OSError(5, text, text),
    "named": lambda text: type(text.replace("\\0", ""), (Exception,), {})("named"),
    "odd_reason": lambda text: odd("odd", text),
    "odd_message": lambda text: odd(text.encode(), None),
    "no_message": lambda text: odd({"said": text}, KeyFailure.FAILED),
}

def fail(way, text):
    if way in ("chained", "chained_own"):
        try:
            raise RuntimeError(text)
        except RuntimeError as cause:
            raise (ValueError("see above") if way == "chained" else KeyStorageError("see above")) from cause
    if way == "context":
        try:
            raise RuntimeError(text)
        except RuntimeError:
            raise LookupError(text)
    if way in PLAIN:
        raise PLAIN[way](text)
    raise KeyStorageError(f"the provider says: {text}", reason=KeyFailure(way))

class Config(msgspec.Struct, frozen=True):
    book: str
    mood: str
    token: str

class LeakyKeys:
    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[Config]] = Config
    secret_settings: ClassVar[frozenset[str]] = frozenset({"token"})
    requires: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Config) -> None:
        self.config = config
        self.seen = []
        self.checks = 0

    def book(self):
        return json.load(open(self.config.book))

    def fail(self, path):
        way, _, name = path.partition("/")
        book = self.book()
        value = book.get(name) or next(iter(book.values()))
        fail(way, " ".join([value, self.config.token, *self.seen]))

    async def read(self, path: str) -> str:
        way, _, name = path.partition("/")
        if way != "plain":
            self.fail(path)
        value = self.book()[name]
        self.seen.append(value)
        return value

    async def show(self, path: str) -> KeyEntry:
        if not path.startswith("plain/"):
            self.fail(path)
        return KeyEntry(path=path, meta={"note": self.config.token})

    async def children(self, path: str, *, deep: bool = False):
        if path != "plain":
            self.fail(path)
        return [KeyEntry(path=f"plain/{name}", meta={"note": self.config.token}) for name in self.book()]

    async def check(self) -> None:
        """By turns, for as long as there are words in the file of its mood."""
        ways = open(self.config.mood).read().split()
        if ways:
            self.checks += 1
            self.fail(ways[self.checks % len(ways)])

    async def close(self) -> None:
        ways = open(self.config.mood).read().split()
        self.fail(ways[-1] if ways else "runtime")

class StepConfig(msgspec.Struct):
    way: str
    key: str

class LeakyStep:
    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[StepConfig]] = StepConfig

    async def run(self, config: StepConfig, context: StepContext) -> StepResult:
        value = await context.secret(config.key)
        if config.way == "plain":
            raise StepError(f"cannot log in with {value}")
        fail(config.way, value)

class SourceConfig(msgspec.Struct):
    way: str
    password: str

class LeakySource:
    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[SourceConfig]] = SourceConfig
    secret_settings: ClassVar[frozenset[str]] = frozenset({"password"})
    requires: ClassVar[tuple[str, ...]] = ()

    async def discover(self, config: SourceConfig, context) -> Discovered:
        if config.way == "plain":
            raise SourceError(f"cannot log in with {config.password}")
        fail(config.way, config.password)
'''

_ENTRIES: Final = """\
[runbus.plugins]
key-storage/leaky = runbus_leaky:LeakyKeys
leaky = runbus_leaky:LeakyStep
node-source/leaky = runbus_leaky:LeakySource
"""


def leaky_path(directory: Path) -> str:
    """Lay the package out in a directory; returns what goes into PYTHONPATH."""
    info = directory / "runbus_leaky-1.0.dist-info"
    info.mkdir(parents=True)
    (directory / "runbus_leaky.py").write_text(_SOURCE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: runbus-leaky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_ENTRIES)
    return str(directory)
