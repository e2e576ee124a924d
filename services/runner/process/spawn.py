"""Starting a process, and saying why one could not be started."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from schemas.errors import ErrorCode, RunbusError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """What to run and within which limits.

    ``env`` is the whole environment: nothing is inherited, and a bare program name is looked up on *its* ``PATH``.
    Without ``stdin`` the child reads ``/dev/null``. What may bear secrets does not show in the ``repr``.
    """

    argv: Sequence[str] = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    cwd: str | Path
    stdin: bytes | None = field(default=None, repr=False)
    timeout_s: float | None = None
    """How long the process may run."""
    grace_s: float = 10.0
    """How long the process group has between SIGTERM and SIGKILL."""
    linger_s: float = 0.25
    """How long the pipes must be quiet after the end before they are taken from whoever still holds them.

    Only a job that leaves a background process on its pipes pays this. A helper that the shell does not wait for
    (``> >(tee log)``) writes within milliseconds of the end; nobody notices a quarter of a second."""
    drain_s: float = 5.0
    """How long a slow consumer is still waited for once the process was ended by timeout or abort."""


class SpawnFailure(StrEnum):
    """Why a process could not be started."""

    NOT_FOUND = "not_found"
    NO_INTERPRETER = "no_interpreter"
    """The file is there; the program that its first line names is not."""
    NOT_EXECUTABLE = "not_executable"
    BAD_FORMAT = "bad_format"
    """Neither a program for this machine nor a script with a first line that names its interpreter."""
    BAD_CWD = "bad_cwd"
    TOO_LONG = "too_long"
    RESOURCES = "resources"
    """The runner is out of processes, memory or file descriptors."""
    INVALID = "invalid"
    """No argument at all, a NUL byte, a variable's name with ``=``."""
    OTHER = "other"


_BY_ERRNO: Final = {
    errno.ENOENT: SpawnFailure.NOT_FOUND,
    errno.ENOTDIR: SpawnFailure.NOT_FOUND,
    errno.EACCES: SpawnFailure.NOT_EXECUTABLE,
    errno.EPERM: SpawnFailure.NOT_EXECUTABLE,
    errno.EISDIR: SpawnFailure.NOT_EXECUTABLE,
    errno.ENOEXEC: SpawnFailure.BAD_FORMAT,
    errno.ELIBBAD: SpawnFailure.BAD_FORMAT,
    errno.E2BIG: SpawnFailure.TOO_LONG,
    errno.EAGAIN: SpawnFailure.RESOURCES,
    errno.ENOMEM: SpawnFailure.RESOURCES,
    errno.EMFILE: SpawnFailure.RESOURCES,
    errno.ENFILE: SpawnFailure.RESOURCES,
}

_TEXTS: Final = {
    SpawnFailure.NOT_FOUND: "there is no such program on the runner; install it, correct its path or the job's PATH",
    SpawnFailure.NO_INTERPRETER: "the file is there, but not the interpreter (or the loader) that it asks for; "
    "install that on the runner or correct the script's first line",
    SpawnFailure.NOT_EXECUTABLE: "it is not executable for the runner's user; "
    "chmod +x the file, check that it is no directory and that its file system is not mounted noexec",
    SpawnFailure.BAD_FORMAT: "it is neither a program for this machine nor a script that names its interpreter; "
    "begin a script with a line like #!/bin/sh",
    SpawnFailure.BAD_CWD: "this working directory cannot be entered; "
    "create it on the runner, give the runner's user access, or change the job's",
    SpawnFailure.TOO_LONG: "arguments and environment are longer than the kernel takes (a single one: 128 KiB); "
    "pass the data on standard input or in a file",
    SpawnFailure.RESOURCES: "the runner is out of processes, memory or file descriptors; "
    "raise its limits or lower the number of jobs that it runs at once",
    SpawnFailure.INVALID: "its arguments or its environment cannot be passed to a process; "
    "look for an empty command, a NUL byte, or a variable's name with '='",
    SpawnFailure.OTHER: "the system refused it",
}


class SpawnError(RunbusError):
    """No process was started. The text names program, directory, reason and remedy; no arguments, no values."""

    def __init__(
        self, argv0: str, cwd: str | Path, cause: OSError | ValueError, *, search_path: str | None = None
    ) -> None:
        self.argv0 = argv0
        self.cwd = str(cwd)
        self.cause = cause
        self.failure = _classify(argv0, self.cwd, cause, search_path)
        reason = f" ({cause.strerror})" if isinstance(cause, OSError) and cause.strerror else ""
        super().__init__(
            ErrorCode.SPAWN_FAILED,
            f"Cannot start {argv0!r} in {self.cwd!r}: {_TEXTS[self.failure]}{reason}.",
            details={"program": argv0, "cwd": self.cwd, "failure": self.failure.value},
        )


def _classify(argv0: str, cwd: str, cause: OSError | ValueError, search_path: str | None) -> SpawnFailure:
    """A missing directory and a missing program raise alike; which one it was stands in the error's file name."""
    if not isinstance(cause, OSError):
        return SpawnFailure.INVALID
    failure = _BY_ERRNO.get(cause.errno or 0, SpawnFailure.OTHER)
    if failure in (SpawnFailure.NOT_FOUND, SpawnFailure.NOT_EXECUTABLE):
        if cause.filename == cwd and not (argv0 == cwd and Path(cwd).is_dir()):
            return SpawnFailure.BAD_CWD
        if cause.errno == errno.ENOENT and _exists(argv0, cwd, search_path):
            return SpawnFailure.NO_INTERPRETER
    return failure


def _exists(argv0: str, cwd: str, search_path: str | None) -> bool:
    if "/" in argv0:
        return Path(cwd, argv0).exists()
    return shutil.which(argv0, path=search_path or os.defpath) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """A running process and the descriptors that its owner must close: all non-blocking, none inherited by others."""

    popen: subprocess.Popen[bytes]
    pidfd: int
    stdout: int
    stderr: int
    stdin: int | None


def spawn(spec: ProcessSpec) -> Spawned:
    """Start the process in a session of its own; returns once the program has been loaded (``exec`` succeeded).

    Blocks while the kernel loads the program (0.1 ms): less than the way to a thread and back. Nothing here makes
    CPython fork instead of vfork; so the time does not grow with our own memory. Raises :class:`SpawnError`: then
    nothing was started and no descriptor is left open.
    """
    ours: list[int] = []
    theirs: list[int] = []
    try:
        return _spawn(spec, ours, theirs)
    except BaseException as error:
        for fd in ours:
            os.close(fd)
        if isinstance(error, (OSError, ValueError)):
            argv0 = spec.argv[0] if spec.argv else ""
            raise SpawnError(argv0, spec.cwd, error, search_path=spec.env.get("PATH")) from error
        raise
    finally:
        for fd in theirs:
            os.close(fd)


def _spawn(spec: ProcessSpec, ours: list[int], theirs: list[int]) -> Spawned:
    if not spec.argv:
        raise ValueError("no program given")
    stdout = _pipe(ours, theirs)
    stderr = _pipe(ours, theirs)
    stdin = None if spec.stdin is None else _pipe(ours, theirs, child_reads=True)
    popen = subprocess.Popen(
        spec.argv,
        cwd=str(spec.cwd),  # as str: an error is told apart by it
        env=spec.env,
        stdin=subprocess.DEVNULL if stdin is None else theirs[2],
        stdout=theirs[0],
        stderr=theirs[1],
        start_new_session=True,
    )
    try:
        pidfd = os.pidfd_open(popen.pid)
    except BaseException:  # without it we could not wait: leave nothing behind
        popen.kill()
        popen.wait()
        raise
    return Spawned(popen=popen, pidfd=pidfd, stdout=stdout, stderr=stderr, stdin=stdin)


def _pipe(ours: list[int], theirs: list[int], *, child_reads: bool = False) -> int:
    """A pipe of the default size: a larger one measured no faster, and a user's pipes share one limit."""
    reader, writer = os.pipe()
    mine, childs = (writer, reader) if child_reads else (reader, writer)
    ours.append(mine)
    theirs.append(childs)
    os.set_blocking(mine, False)
    return mine
