"""What a plugin author imports. Nothing else of Runbus is promised to stay.

A plugin is a class found through the entry-point group ``runbus.plugins``. The entry's name is the plugin's name: of
a step ``NAME``, as jobs say it (``type: NAME``), of any other kind ``KIND/NAME`` (``node-executor/ssh``,
``notification/chat``). See ``docs/plugins.md`` and ``examples/plugin-wait-for-port``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import msgspec

from schemas.keys import KeyEntry, KeyType
from schemas.nodes import Node
from schemas.notices import Notice

__all__ = [
    "ENTRY_POINT_GROUP",
    "Discovered",
    "FailureReason",
    "FileCopier",
    "KeyEntry",
    "KeyFailure",
    "KeyStorage",
    "KeyStorageError",
    "KeyType",
    "Node",
    "NodeContext",
    "NodeExecutor",
    "NodeSource",
    "Notice",
    "NotificationError",
    "NotificationPlugin",
    "PluginKind",
    "ProcessExit",
    "ProcessOutput",
    "SourceContext",
    "SourceError",
    "SourceFailure",
    "StepContext",
    "StepError",
    "StepPlugin",
    "StepResult",
    "Stream",
]

ENTRY_POINT_GROUP: Final = "runbus.plugins"


class PluginKind(StrEnum):
    """What a plugin does; in entry points the part before ``/``, which steps do without."""

    STEP = "step"
    NODE_EXECUTOR = "node-executor"
    FILE_COPIER = "file-copier"
    NOTIFICATION = "notification"
    NODE_SOURCE = "node-source"
    KEY_STORAGE = "key-storage"


class FailureReason(StrEnum):
    """Why a step failed, in the original's words; error handlers see it as ``result.reason``."""

    NON_ZERO = "NonZeroResultCode"
    HOST_NOT_FOUND = "HostNotFound"
    CONNECTION_TIMEOUT = "ConnectionTimeout"
    CONNECTION_FAILURE = "ConnectionFailure"
    IO_FAILURE = "IOFailure"
    AUTHENTICATION = "AuthenticationFailure"
    SSH_PROTOCOL = "SSHProtocolFailure"
    NODE_DISPATCH = "NodeDispatchFailure"
    JOB_FAILED = "JobFailed"
    NOT_FOUND = "NotFound"
    UNAUTHORIZED = "Unauthorized"
    INVALID_OPTIONS = "InvalidOptions"
    NO_MATCHED_NODES = "NoMatchedNodes"
    CONFIGURATION = "ConfigurationFailure"
    INTERRUPTED = "Interrupted"
    PLUGIN_FAILED = "PluginFailed"
    UNKNOWN = "Unknown"


class Stream(StrEnum):
    """Which output a piece of log belongs to."""

    STDOUT = "stdout"
    STDERR = "stderr"
    RUNNER = "runner"
    """Remarks of the runner or a plugin about the step, not output of what it runs."""


class ProcessExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: an exit code, or the name of the signal that ended it (``"SIGKILL"``)."""

    exit_code: int | None
    signal: str | None = None


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a step came to. It succeeded if ``exit_code`` is 0 and no signal is named."""

    exit_code: int | None = 0
    signal: str | None = None

    @classmethod
    def of(cls, ended: ProcessExit) -> StepResult:
        """The result of a step that is one process."""
        return cls(exit_code=ended.exit_code, signal=ended.signal)


class StepError(Exception):
    """Raise it from a plugin when the step cannot be done; the text says what happened, where, and what to do."""

    def __init__(
        self, message: str, *, exit_code: int | None = None, reason: FailureReason = FailureReason.PLUGIN_FAILED
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.reason = reason


class StepContext(Protocol):
    """What a running step has from its runner."""

    @property
    def runner(self) -> str:
        """The runner's id."""

    @property
    def project(self) -> str:
        """The project of the execution."""

    @property
    def execution(self) -> str:
        """The execution's id."""

    @property
    def step(self) -> int:
        """The step's number, from 1."""

    @property
    def work_dir(self) -> Path:
        """A private directory of this execution; removed afterwards."""

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that processes of this step are given."""

    @property
    def node(self) -> Node:
        """The node the step is for; of a step that is for none, the runner itself."""

    async def write(self, data: str | bytes, stream: Stream = Stream.STDOUT) -> None:
        """Write to the execution's log. Waits while the bus takes no more."""

    async def run_process(
        self, argv: Sequence[str], *, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> ProcessExit:
        """Run a process in a group of its own, its output going to the log, until it ends.

        Ends it at the step's timeout and when the execution is aborted. If it cannot be started, or was ended, an
        exception is raised that is the runner's to handle: let it pass.
        """


class StepPlugin(Protocol):
    """A step. One instance carries out one step; its constructor takes no arguments."""

    version: ClassVar[str]
    config_type: ClassVar[type[Any]]
    """A ``msgspec.Struct``: a step's configuration is converted to it, and refused with the place of the fault."""

    async def run(self, config: Any, context: StepContext) -> StepResult:
        """Carry the step out. Raise :class:`StepError` where it cannot be; any other exception fails it, too.

        It is cancelled at the timeout and on abort while no process of ``run_process`` runs.
        """


class NodeContext(Protocol):
    """What a node executor or a file copier has of its runner while it works for one step on one node."""

    @property
    def runner(self) -> str:
        """The runner's id."""

    @property
    def project(self) -> str:
        """The project of the execution."""

    @property
    def execution(self) -> str:
        """The execution's id."""

    @property
    def work_dir(self) -> Path:
        """A private directory of this execution on the runner; removed afterwards."""

    @property
    def env(self) -> Mapping[str, str]:
        """The ``RD_…`` variables of the step on this node, without the runner's own environment."""

    def setting(self, name: str) -> str | None:
        """A setting by its name (``ssh-keypath``): of the node, else of the project, else of the runner."""

    async def secret(self, path: str) -> str:
        """The value of a key of the runner's key storage, to be held in memory only.

        Raises :class:`StepError` where there is none.
        """

    async def write(self, data: str | bytes, stream: Stream = Stream.STDOUT) -> None:
        """Write to the log, tagged with the node. Waits while the bus takes no more."""

    async def run_process(
        self, argv: Sequence[str], *, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> ProcessExit:
        """Run a process on the runner, as :meth:`StepContext.run_process` does."""


class NodeExecutor(Protocol):
    """Runs commands on nodes. One instance serves a runner for as long as it runs, any number of calls at a time."""

    version: ClassVar[str]

    async def execute(self, node: Node, words: Sequence[str], context: NodeContext) -> ProcessExit:
        """Run a command on the node, its output going to the log; return how it ended.

        ``words`` are quoted already where they have to be: joined by spaces they are a line for the node's shell.
        Raises :class:`StepError` with the reason where it could not be run. Cancelled at a timeout and on abort: it
        then ends what runs on the node, as far as it can, and lets the cancellation pass.
        """

    async def close(self) -> None:
        """Let go of every connection."""


class FileCopier(Protocol):
    """Puts files on nodes. One instance serves a runner for as long as it runs, any number of calls at a time."""

    version: ClassVar[str]

    async def copy(self, node: Node, content: bytes, destination: str, context: NodeContext) -> None:
        """Write a file on the node. Raises :class:`StepError` with the reason; then nothing is left there."""

    async def close(self) -> None:
        """Let go of every connection."""


class SourceFailure(StrEnum):
    """Why nodes could not be discovered."""

    CONFIGURATION = "configuration"
    """A setting is missing, or none that the plugin takes."""
    NOT_FOUND = "not_found"
    """A file, a program, an interpreter is not there."""
    UNREACHABLE = "unreachable"
    """Nobody answers under that address."""
    CERTIFICATE = "certificate"
    """The other side's certificate is not trusted, or has expired."""
    AUTHENTICATION = "authentication"
    """It answers, and does not let us in."""
    REFUSED = "refused"
    """It let us in, and answered with an error."""
    MALFORMED = "malformed"
    """What came holds no nodes in the form expected; the text has the place."""
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    FAILED = "failed"
    """A process ended badly; or anything else."""


class SourceError(Exception):
    """Raise it where nodes cannot be discovered; the text says what happened, where, and what to do."""

    def __init__(self, message: str, *, reason: SourceFailure = SourceFailure.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class Discovered(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of a source, in its order, and what is worth a warning (entries left out, and why)."""

    nodes: Sequence[Node] = ()
    warnings: Sequence[str] = ()


class ProcessOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What a process printed, and how it ended."""

    exit_code: int | None
    signal: str | None
    stdout: bytes
    stderr: bytes
    """Its last 16 KiB, without secrets."""


class SourceContext(Protocol):
    """What a node source has of its runner for one discovery."""

    @property
    def runner(self) -> str:
        """The runner's id."""

    @property
    def project(self) -> str:
        """The project whose nodes are asked for."""

    @property
    def work_dir(self) -> Path:
        """A private directory of this discovery; removed afterwards."""

    @property
    def env(self) -> Mapping[str, str]:
        """The runner's environment without its own settings."""

    async def run_process(
        self, argv: Sequence[str], *, stdin: bytes | None = None, env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> ProcessOutput:  # fmt: skip
        """Run a process in a group of its own until it ends; at the discovery's deadline it is ended.

        Raises :class:`SourceError` where it cannot be started (``not_found``) or prints more than 256 MiB
        (``too_large``: it is ended then).
        """


class NodeSource(Protocol):
    """Discovers nodes. Its entry point is ``node-source/TYPE``. One instance serves one discovery; no arguments.

    Whatever it needs beyond the standard library is imported in :meth:`discover`, and named in ``requires``: where
    it is not installed, the plugin is reported as not there.
    """

    version: ClassVar[str]
    config_type: ClassVar[type[Any]]
    """A ``msgspec.Struct``, every value given as text: ``"true"`` fits a ``bool``, ``"5"`` an ``int``. A setting that
    is given and empty counts as not given; one that the type does not know is warned of."""
    secret_settings: ClassVar[frozenset[str]]
    """Settings that name a key (``keys/db/password``); the plugin is given the key's value."""
    requires: ClassVar[tuple[str, ...]]
    """Names of modules. A class that starts programs may also have ``programs: ClassVar[Mapping[str, str]]``: the
    program's name, and the setting that says where it is when it is not on the ``PATH`` (``""``: there is none)."""

    async def discover(self, config: Any, context: SourceContext) -> Discovered:
        """The nodes there are now. Raises :class:`SourceError`; cancelled at the deadline.

        What blocks runs in a thread (``asyncio.to_thread``): the runner has other work.
        """


class KeyFailure(StrEnum):
    """Why a key storage does not give what it is asked for."""

    CONFIGURATION = "configuration"
    """A setting is missing, or none that the plugin takes."""
    NO_KEY_STORAGE = "no_key_storage"
    NOT_FOUND = "not_found"
    """There is no such key, or folder; or not any more."""
    NO_KEY = "no_key"
    """There is something, and it is no key: a folder, or a secret without a value."""
    OUTSIDE = "outside"
    """The path leaves what the storage may show (``..``), or is none."""
    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    AUTHENTICATION = "authentication"
    """The provider does not know the runner: its token or password is wrong, or has expired."""
    FORBIDDEN = "forbidden"
    """It knows the runner, and this path is not for it."""
    SEALED = "sealed"
    """The provider is locked, or not ready."""
    MALFORMED = "malformed"
    """What it answers is nothing that such a provider would (a proxy's page of HTML)."""
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    FAILED = "failed"


class KeyStorageError(Exception):
    """Raise it where keys cannot be read or listed; the text says what happened, where, and what to do.

    It holds no value, no token, and nothing of the provider's answer that might.
    """

    def __init__(self, message: str, *, reason: KeyFailure = KeyFailure.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class KeyStorage(Protocol):
    """Reads keys, never writes one. Its entry point is ``key-storage/TYPE``.

    One instance serves a runner for as long as it runs, any number of calls at a time; its constructor takes the
    configuration and does nothing but keep it. Whatever it needs beyond the standard library is imported in a method,
    and named in ``requires``. What blocks runs in a thread. A path has passed these checks already: it is relative,
    without empty parts, ``.`` and ``..``; the empty path is the root.
    """

    version: ClassVar[str]
    config_type: ClassVar[type[Any]]
    """A ``msgspec.Struct``, its values given as text, as those of node sources are."""
    secret_settings: ClassVar[frozenset[str]]
    """Settings that hold a secret themselves (the provider's own token): shown nowhere, and masked everywhere."""
    requires: ClassVar[tuple[str, ...]]
    """Names of modules."""

    async def read(self, path: str) -> str:
        """The value of a key, to be held in memory only. Raises :class:`KeyStorageError`."""

    async def show(self, path: str) -> KeyEntry:
        """What is known of one key or folder, without its value. Raises :class:`KeyStorageError`."""

    async def children(self, path: str, *, deep: bool = False) -> Sequence[KeyEntry]:
        """What stands in a folder, sorted by path; ``deep``: all below it, with the folders. Few calls, many at once.

        Raises :class:`KeyStorageError`.
        """

    async def check(self) -> None:
        """Return where the provider answers and lets the runner in. Raises :class:`KeyStorageError`."""

    async def close(self) -> None:
        """Let go of connections, and of what it was let in by."""


class NotificationError(Exception):
    """Raise it where a notification cannot be delivered; the text says what happened, where, and what to do.

    Unless it is ``permanent``, it is tried again: later than usual where the receiver named a time.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.permanent = permanent
        self.retry_after_s = retry_after_s


class NotificationPlugin(Protocol):
    """Sends notifications of one type. One instance serves a dispatcher for as long as it runs, any number at a time.

    Its entry point is ``notification/TYPE`` on every machine that has a dispatcher; jobs name the type.
    """

    version: ClassVar[str]

    async def send(self, config: Mapping[str, Any], notice: Notice) -> None:
        """Deliver one notification; return once it is delivered.

        ``config`` is as the job has it, its references filled in. Raises :class:`NotificationError`; anything else
        that is raised is tried again, too. After a crash the same notification may come a second time.
        """
