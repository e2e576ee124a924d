"""Real processes, real pipes: what ``services.runner.process`` promises."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from schemas.errors import ErrorCode
from services.runner.process import (
    ChildProcess,
    EndedBy,
    ProcessResult,
    ProcessSpec,
    SpawnError,
    SpawnFailure,
    Stream,
)
from services.runner.process.pipes import READ_BYTES

ENV = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
IGNORE_TERM = "trap '' TERM; "


class Collector:
    """A consumer that keeps what it gets and knows whether it was ever called while still busy."""

    def __init__(self) -> None:
        self.chunks: list[tuple[Stream, bytes]] = []
        self.busy = 0
        self.most_busy = 0
        self.largest = 0
        self.changed = asyncio.Event()

    async def __call__(self, stream: Stream, data: bytes) -> None:
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        self.largest = max(self.largest, len(data))
        self.chunks.append((stream, data))
        self.changed.set()
        self.busy -= 1

    def text(self, stream: Stream) -> bytes:
        return b"".join(data for which, data in self.chunks if which is stream)

    async def line(self, stream: Stream = Stream.STDOUT) -> bytes:
        """The first complete line."""
        async with asyncio.timeout(10):
            while b"\n" not in self.text(stream):
                self.changed.clear()
                await self.changed.wait()
        return self.text(stream).partition(b"\n")[0]


class Stuck(Collector):
    """A consumer that never comes back: the bus is down."""

    async def __call__(self, stream: Stream, data: bytes) -> None:
        await super().__call__(stream, data)
        self.busy += 1
        await asyncio.Event().wait()


def spec(*argv: str, **changes: Any) -> ProcessSpec:
    given: dict[str, Any] = {"argv": argv, "env": ENV, "cwd": "/", "grace_s": 5.0}
    return ProcessSpec(**given | changes)


def shell(script: str, **changes: Any) -> ProcessSpec:
    return spec("/bin/sh", "-c", script, **changes)


async def run(what: ProcessSpec) -> tuple[ProcessResult, Collector]:
    out = Collector()
    return await ChildProcess(what, on_output=out).run(), out


async def eventually(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the process table has no event to wait for
            await asyncio.sleep(0.002)


def state_of(pid: int) -> str:
    """The letter in the process table; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_dead(pid: int) -> bool:
    """Gone, or waiting for a parent that is not us (an orphan is reaped by the system's first process)."""
    return state_of(pid) in ("", "Z", "X")


def our_children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


@pytest.fixture(autouse=True)
def no_child_is_left() -> Any:
    before = our_children()
    yield
    assert our_children() == before, "a process or a zombie was left"


# --- exit, output, input


@pytest.mark.parametrize("code", [0, 1, 7, 255])
async def test_exit_code(code: int) -> None:
    result, _ = await run(shell(f"exit {code}"))
    assert (result.exit_code, result.signal, result.ended_by) == (code, None, EndedBy.EXIT)
    assert (result.lingering, result.truncated) == (False, False)
    assert 0 < result.duration_s < 5


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGKILL, "SIGKILL"), (signal.SIGTERM, "SIGTERM"), (signal.SIGRTMIN + 3, "SIGRTMIN+3")],
)
async def test_a_signal_that_is_not_ours_is_an_exit(number: int, name: str) -> None:
    result, _ = await run(spec(sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(number)})"))
    assert (result.exit_code, result.signal, result.ended_by) == (None, name, EndedBy.EXIT)


async def test_both_streams_in_order_of_arrival(tmp_path: Path) -> None:
    """The child goes on writing only when the consumer has said that it got what came before."""
    script = "say() { echo $1; until [ -e $1 ]; do :; done; }; say one; say two >&2; say three"
    out = Collector()

    async def answer(stream: Stream, data: bytes) -> None:
        await out(stream, data)
        os.close(os.open(tmp_path / data.decode().strip(), os.O_CREAT))

    await ChildProcess(shell(script, cwd=tmp_path), on_output=answer).run()
    assert out.chunks == [(Stream.STDOUT, b"one\n"), (Stream.STDERR, b"two\n"), (Stream.STDOUT, b"three\n")]


async def test_any_bytes_and_no_last_newline(tmp_path: Path) -> None:
    data = bytes(range(256)) * 3 + b"\xff\x00\xc3"
    (tmp_path / "data").write_bytes(data)
    _, out = await run(shell("cat data; cat data >&2", cwd=tmp_path))
    assert out.text(Stream.STDOUT) == out.text(Stream.STDERR) == data


async def test_much_output_is_held_one_chunk_at_a_time() -> None:
    """50 MB without a newline; the consumer gives way in between, and is never handed a second chunk."""
    total = 0

    class Slow(Collector):
        async def __call__(self, stream: Stream, data: bytes) -> None:  # noqa: ARG002 - a consumer's signature
            nonlocal total
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            self.largest = max(self.largest, len(data))
            await asyncio.sleep(0)
            total += len(data)
            self.busy -= 1

    out = Slow()
    await ChildProcess(shell("head -c 50000000 /dev/zero; head -c 9 /dev/zero >&2"), on_output=out).run()
    assert total == 50_000_009
    assert out.most_busy == 1
    assert out.largest <= 128 * 1024


async def test_while_the_consumer_is_busy_the_child_waits() -> None:
    """It can fill its pipe and no more: written and read differ by what the kernel holds."""
    gate = asyncio.Event()
    got: list[int] = []

    async def gated(stream: Stream, data: bytes) -> None:  # noqa: ARG001 - a consumer's signature
        got.append(len(data))
        await gate.wait()

    child = ChildProcess(spec("head", "-c", "5000000", "/dev/zero"), on_output=gated)
    task = asyncio.create_task(child.run())
    await eventually(lambda: len(got) == 1 and "pipe_write" in wchan(child.pid))
    assert len(got) == 1
    gate.set()
    assert (await task).exit_code == 0
    assert sum(got) == 5_000_000


def wchan(pid: int | None) -> str:
    """Where in the kernel a process waits; where that is not shown, a sleeping one is taken to wait for the pipe."""
    shown = Path(f"/proc/{pid}/wchan").read_text()
    return "pipe_write" if shown == "0" and state_of(pid or 0) == "S" else shown.replace("anon_pipe", "pipe")


async def test_no_stdin_is_an_empty_one() -> None:
    _, out = await run(spec("cat"))
    assert out.chunks == []


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
async def test_stdin_comes_back_from_cat(size: int) -> None:
    data = os.urandom(size)
    _, out = await run(spec("cat", stdin=data))
    assert out.text(Stream.STDOUT) == data


async def test_stdin_that_nobody_reads() -> None:
    big = bytes(3_000_000)
    result, out = await run(shell("head -c 3000000 /dev/zero; exit 3", stdin=big))
    assert result.exit_code == 3
    assert len(out.text(Stream.STDOUT)) == 3_000_000
    assert (await run(shell("exec <&-; exit 4", stdin=big)))[0].exit_code == 4


async def test_environment_and_directory_are_those_given(tmp_path: Path) -> None:
    _, out = await run(shell("pwd; /usr/bin/env", cwd=tmp_path, env={"A": "1"}))
    assert out.text(Stream.STDOUT).splitlines()[0] == os.fsencode(tmp_path)
    assert b"A=1\n" in out.text(Stream.STDOUT)
    assert b"HOME=" not in out.text(Stream.STDOUT)


async def test_a_session_of_its_own() -> None:
    _, out = await run(shell("echo $$; cut -d' ' -f5,6 /proc/$$/stat"))
    pid, group, session = out.text(Stream.STDOUT).split()
    assert pid == group == session


async def test_the_child_gets_no_descriptor_of_ours() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    _, out = await run(spec("ls", "/proc/self/fd"))
    assert out.text(Stream.STDOUT).split() == [b"0", b"1", b"2", b"3"], "3 is the directory that ls reads"
    os.close(reader)
    os.close(writer)


async def test_output_closed_early_does_not_end_the_wait() -> None:
    result, _ = await run(spec(sys.executable, "-c", "import os; os.close(1); os.close(2); os._exit(5)"))
    assert result.exit_code == 5


# --- timeout, abort, cancel


async def test_timeout() -> None:
    result, _ = await run(shell("echo first; exec sleep 100", timeout_s=0.1))
    assert (result.exit_code, result.signal, result.ended_by) == (None, "SIGTERM", EndedBy.TIMEOUT)
    assert 0.1 <= result.duration_s < 2


@pytest.mark.slow
async def test_a_child_that_cleans_up_at_sigterm_keeps_its_exit_code_and_its_last_words() -> None:
    script = "trap 'echo cleaned; exit 9' TERM; echo ready; while :; do sleep 100 & wait; done"
    result, out, _ = await abort_when_ready(shell(script))
    assert (result.exit_code, result.signal, result.ended_by) == (9, None, EndedBy.ABORT)
    assert out.text(Stream.STDOUT) == b"ready\ncleaned\n"


async def test_abort_of_what_ignores_sigterm_kills_the_grandchildren_too() -> None:
    script = IGNORE_TERM + "sleep 100 & echo $! $$; wait"
    result, out, _ = await abort_when_ready(shell(script, grace_s=0.1))
    assert (result.signal, result.ended_by) == ("SIGKILL", EndedBy.ABORT)
    grandchild, leader = map(int, out.text(Stream.STDOUT).split())
    assert state_of(leader) == ""
    await eventually(lambda: is_dead(grandchild))


async def test_a_grandchild_that_outlives_its_shell_has_its_grace_and_is_killed_then() -> None:
    """The shell dies of SIGTERM at once; the program that it ran does not."""
    script = f'sh -c "{IGNORE_TERM}echo \\$\\$; while :; do sleep 0.01; done" & wait'
    result, out, took_s = await abort_when_ready(shell(script, grace_s=0.2))
    assert (result.signal, result.ended_by) == ("SIGTERM", EndedBy.ABORT)
    assert took_s >= 0.2
    await eventually(lambda: is_dead(int(out.text(Stream.STDOUT))))


async def test_a_grandchild_may_finish_its_work_within_the_grace(tmp_path: Path) -> None:
    inner = "trap 'sleep 0.1; echo saved > done; exit' TERM; echo ready; while :; do sleep 0.01; done"
    (tmp_path / "inner").write_text(inner)
    result, _, took_s = await abort_when_ready(shell("sh inner & wait", cwd=tmp_path, grace_s=5.0))
    assert result.signal == "SIGTERM"
    assert (tmp_path / "done").read_text() == "saved\n"
    assert took_s < 4, "it must not wait for the grace of a group that is gone"


async def abort_when_ready(what: ProcessSpec) -> tuple[ProcessResult, Collector, float]:
    """Abort after the first line; also how long it took from there to the result."""
    out = Collector()
    child = ChildProcess(what, on_output=out)
    task = asyncio.create_task(child.run())
    await out.line()
    began = time.monotonic()
    child.abort()
    child.abort()
    return await task, out, time.monotonic() - began


@pytest.mark.parametrize("how", ["abort", "timeout"])
async def test_a_stuck_consumer_does_not_protect_the_child(how: str) -> None:
    out = Stuck()
    timeout_s = 0.3 if how == "timeout" else None
    child = ChildProcess(shell("yes", drain_s=0.3, timeout_s=timeout_s), on_output=out)
    task = asyncio.create_task(child.run())
    await eventually(lambda: out.busy == 1)
    assert child.pid is not None
    if how == "abort":
        child.abort()
    await eventually(lambda: state_of(child.pid or 0) == "")
    assert not task.done(), "the child is reaped at once, while its output may still be taken"
    result = await task
    assert (result.signal, result.ended_by, result.truncated) == ("SIGTERM", EndedBy(how), True)


async def test_the_first_cause_is_kept() -> None:
    out = Collector()
    child = ChildProcess(shell(IGNORE_TERM + "echo; sleep 100", timeout_s=0.05, grace_s=0.1), on_output=out)
    task = asyncio.create_task(child.run())
    await out.line()
    await eventually(lambda: child._cause is not None)
    child.abort()
    assert (await task).ended_by is EndedBy.TIMEOUT


async def test_abort_before_the_start_starts_nothing(tmp_path: Path) -> None:
    child = ChildProcess(shell("touch started", cwd=tmp_path), on_output=Collector())
    child.abort()
    result = await child.run()
    assert (result.exit_code, result.signal, result.ended_by) == (None, None, EndedBy.ABORT)
    assert child.pid is None
    assert names_in(tmp_path) == []


def names_in(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir()]


async def test_abort_after_the_end_changes_nothing() -> None:
    child = ChildProcess(shell("exit 3"), on_output=Collector())
    result = await child.run()
    child.abort()
    assert (result.exit_code, result.ended_by) == (3, EndedBy.EXIT)
    with pytest.raises(RuntimeError):
        await child.run()


async def test_abort_between_the_end_and_its_discovery_is_an_exit() -> None:
    out = Collector()
    child = ChildProcess(shell("echo ready; exit 3"), on_output=out)
    task = asyncio.create_task(child.run())
    await asyncio.sleep(0)
    while state_of(child.pid or 0) != "Z":  # on purpose without letting the loop go on
        pass
    child.abort()
    result = await task
    assert (result.exit_code, result.ended_by, out.text(Stream.STDOUT)) == (3, EndedBy.EXIT, b"ready\n")


@pytest.mark.parametrize("consumer", [Collector, Stuck])
async def test_cancel_leaves_no_process(consumer: type[Collector]) -> None:
    out = consumer()
    child = ChildProcess(shell(IGNORE_TERM + "sleep 100 & echo $!; wait"), on_output=out)
    task = asyncio.create_task(child.run())
    grandchild = int(await out.line())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert child.pid is not None
    assert state_of(child.pid) == ""
    await eventually(lambda: is_dead(grandchild))


async def test_cancelled_again_and_again_it_still_reaps() -> None:
    child = ChildProcess(shell(IGNORE_TERM + "yes"), on_output=Stuck())
    task = asyncio.create_task(child.run())
    await eventually(lambda: child.pid is not None)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()
    assert state_of(child.pid or 0) == ""


async def test_cancel_during_the_grace_of_the_rest_kills_it() -> None:
    out = Collector()
    script = f'sh -c "{IGNORE_TERM}echo \\$\\$; while :; do sleep 0.01; done" & wait'
    child = ChildProcess(shell(script, grace_s=30.0), on_output=out)
    task = asyncio.create_task(child.run())
    grandchild = int(await out.line())
    child.abort()
    await eventually(lambda: state_of(child.pid or 0) == "")
    assert not is_dead(grandchild)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: is_dead(grandchild))


@pytest.mark.parametrize("error", [ValueError("bad"), TimeoutError("the consumer's own")])
async def test_an_error_of_the_consumer_ends_the_process(error: Exception) -> None:
    async def broken(stream: Stream, data: bytes) -> None:  # noqa: ARG001 - a consumer's signature
        raise error

    child = ChildProcess(shell(IGNORE_TERM + "yes"), on_output=broken)
    with pytest.raises(type(error)) as caught:
        await child.run()
    assert caught.value is error
    assert state_of(child.pid or 0) == ""


async def test_what_cannot_be_killed_does_not_hold_the_caller_and_is_reaped_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with a program that became another user: the kernel refuses our signals."""

    def refuse(pid: int, number: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), f"{pid} {number}")

    child = ChildProcess(spec("sleep", "100", grace_s=0.05, drain_s=0.05), on_output=Collector())
    with monkeypatch.context() as patched:
        patched.setattr(os, "killpg", refuse)
        task = asyncio.create_task(child.run())
        await eventually(lambda: child.pid is not None)
        child.abort()
        result = await task
    assert (result.exit_code, result.signal, result.ended_by) == (None, None, EndedBy.ABORT)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await eventually(lambda: state_of(child.pid or 0) == "")


# --- background processes


async def test_a_background_process_does_not_hold_the_result_and_lives_on() -> None:
    result, out = await run(shell("sleep 100 & echo $!", linger_s=0.05))
    background = int(out.text(Stream.STDOUT))
    assert (result.exit_code, result.ended_by, result.lingering) == (0, EndedBy.EXIT, True)
    assert not is_dead(background)
    os.kill(background, signal.SIGKILL)


async def test_a_daemon_that_let_go_of_the_pipes_is_not_lingering() -> None:
    result, out = await run(shell("sleep 100 >/dev/null 2>&1 & echo $!", linger_s=30.0))
    assert (result.exit_code, result.lingering) == (0, False)
    os.kill(int(out.text(Stream.STDOUT)), signal.SIGKILL)


async def test_what_the_background_writes_soon_after_the_end_is_read() -> None:
    result, out = await run(shell("(sleep 0.1; echo late) & exit 3", linger_s=30.0))
    assert (result.exit_code, result.lingering) == (3, False)
    assert out.text(Stream.STDOUT) == b"late\n"


@pytest.mark.parametrize("how", ["abort", "timeout"])
async def test_a_background_process_that_never_falls_silent_is_cut_off(how: str) -> None:
    out = Collector()
    what = shell("while sleep 0.01; do echo; done & exit 0", timeout_s=0.3 if how == "timeout" else None)
    child = ChildProcess(ProcessSpec(**fields(what) | {"drain_s": 0.05}), on_output=out)
    task = asyncio.create_task(child.run())
    await eventually(lambda: child._group is not None and child._group.over)
    if how == "abort":
        child.abort()
    result = await task
    assert (result.exit_code, result.ended_by) == (0, EndedBy.EXIT)
    assert (result.truncated, result.lingering) == (True, False)


def fields(what: ProcessSpec) -> dict[str, Any]:
    return {name: getattr(what, name) for name in ProcessSpec.__slots__}


# --- starting fails


def a_file(path: Path, text: bytes, mode: int = 0o755) -> str:
    path.write_bytes(text)
    path.chmod(mode)
    return str(path)


async def refused(what: ProcessSpec) -> SpawnError:
    with pytest.raises(SpawnError) as caught:
        await run(what)
    assert caught.value.code is ErrorCode.SPAWN_FAILED
    assert caught.value.argv0 in str(caught.value)
    assert caught.value.__cause__ is caught.value.cause
    return caught.value


async def test_program_not_found(tmp_path: Path) -> None:
    for name in ("no-such-program", "./no-such-program", str(tmp_path / "x")):
        error = await refused(spec(name, cwd=tmp_path))
        assert error.failure is SpawnFailure.NOT_FOUND
        assert str(tmp_path) in str(error)


async def test_directory_missing_or_not_one(tmp_path: Path) -> None:
    for cwd in (tmp_path / "missing", Path(a_file(tmp_path / "file", b""))):
        for program in ("/bin/true", "no-such-program", str(cwd)):
            assert (await refused(spec(program, cwd=cwd))).failure is SpawnFailure.BAD_CWD


async def test_not_executable(tmp_path: Path) -> None:
    a_file(tmp_path / "plain", b"#!/bin/sh\n", 0o644)
    for program in ("./plain", str(tmp_path)):
        assert (await refused(spec(program, cwd=tmp_path))).failure is SpawnFailure.NOT_EXECUTABLE


async def test_script_without_first_line_or_interpreter(tmp_path: Path) -> None:
    a_file(tmp_path / "bare", b"echo hello\n")
    a_file(tmp_path / "odd", b"#!/no/such/interpreter\n")
    assert (await refused(spec("./bare", cwd=tmp_path))).failure is SpawnFailure.BAD_FORMAT
    for program, path in (("./odd", ENV["PATH"]), ("odd", str(tmp_path))):
        error = await refused(spec(program, cwd=tmp_path, env={"PATH": path}))
        assert error.failure is SpawnFailure.NO_INTERPRETER


async def test_argument_list_too_long() -> None:
    error = await refused(spec("/bin/true", "x" * 200_000))
    assert error.failure is SpawnFailure.TOO_LONG
    assert "xxx" not in str(error)


@pytest.mark.parametrize(
    "changes", [{"argv": ()}, {"argv": ("/bin/true", "a\0b")}, {"env": {"A=B": "secret"}}, {"env": {"A": "s\0"}}]
)
async def test_what_no_process_can_be_given(changes: dict[str, Any]) -> None:
    error = await refused(spec("/bin/true", **changes))
    assert error.failure is SpawnFailure.INVALID
    assert "secret" not in str(error)


async def test_out_of_descriptors() -> None:
    """Wherever the shortage strikes, it is said, and nothing is left open."""
    import resource  # noqa: PLC0415 - only here

    holes = fill_holes()
    before = open_fds()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    failures = []
    try:
        for spare in range(12):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 1 + spare, hard))
            try:
                await run(spec("/bin/true", stdin=b"x"))
            except SpawnError as error:
                failures.append(error.failure)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert failures == [SpawnFailure.RESOURCES] * len(failures)
    assert 5 < len(failures) < 12
    assert open_fds() == before
    for fd in holes:
        os.close(fd)


def fill_holes() -> list[int]:
    """Descriptors below the highest open one, so that a limit above it means what it says."""
    holes = [os.open(os.devnull, os.O_RDONLY)]
    while holes[-1] < max(open_fds()):
        holes.append(os.open(os.devnull, os.O_RDONLY))
    return holes


def test_secrets_do_not_show_in_the_spec() -> None:
    shown = repr(spec("curl", "-utoken", env={"PASSWORD": "hunter2"}, stdin=b"hunter3"))
    assert "token" not in shown
    assert "hunter" not in shown


# --- many


def open_fds() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/fd").iterdir() if entry.exists()}


async def test_no_descriptor_leaks() -> None:
    async def attempt(job: Awaitable[object]) -> None:
        with contextlib.suppress(SpawnError):
            await job

    before = open_fds()
    for _ in range(50):
        await run(spec("/bin/true", stdin=b"x"))
        await attempt(run(spec("/bin/true", cwd="/no/such")))
        await attempt(run(spec("/no/such")))
        child = ChildProcess(spec("sleep", "100"), on_output=Collector())
        task = asyncio.create_task(child.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    gc.collect()
    assert open_fds() == before


def test_under_uvloop() -> None:
    """Services run on it; it has no part in how we start and wait."""
    loop = uvloop.new_event_loop()
    try:
        result, out = loop.run_until_complete(run(shell("cat; echo bad >&2; exit 3", stdin=b"x" * 300_000)))
    finally:
        loop.close()
    assert (result.exit_code, out.text(Stream.STDERR)) == (3, b"bad\n")
    assert out.text(Stream.STDOUT) == b"x" * 300_000


async def test_fifty_at_once() -> None:
    jobs = [run(shell(f"echo {n}; cat; echo {n} >&2; exit {n}", stdin=b"x" * 100_000)) for n in range(50)]
    for n, (result, out) in enumerate(await asyncio.gather(*jobs)):
        assert result.exit_code == n
        assert out.text(Stream.STDOUT) == b"%d\n" % n + b"x" * 100_000
        assert out.text(Stream.STDERR) == b"%d\n" % n


async def test_a_pipe_holds_as_much_as_is_read_at_a_time() -> None:
    size = "import fcntl; print(*[fcntl.fcntl(each, fcntl.F_GETPIPE_SZ) for each in (1, 2)])"
    _, out = await run(spec(sys.executable, "-c", size))
    assert out.text(Stream.STDOUT) == f"{READ_BYTES} {READ_BYTES}\n".encode()
