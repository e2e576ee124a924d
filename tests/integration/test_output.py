"""The log of an execution: complete, in order, byte for byte, in bounded memory, and while it runs."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from runbus.client import LogPiece
from schemas.api import ExecutionView
from schemas.states import ExecutionState
from tests.support.gate import Gate
from tests.support.parts import ProgramPart
from tests.support.processes import peak_rss_bytes
from tests.support.system import System, output_of, script
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

MIB = 1024 * 1024


@pytest.fixture
async def local(system: System) -> System:
    return await system.up("local")


async def test_stdout_and_stderr_are_told_apart_and_each_is_in_order(local: System) -> None:
    ended = await local.run("for i in 1 2 3 4 5 6 7 8 9; do echo out$i; echo err$i >&2; done")
    numbers = range(1, 10)
    assert await local.output(ended.id) == "".join(f"out{i}\n" for i in numbers).encode()
    assert await local.output(ended.id, "stderr") == "".join(f"err{i}\n" for i in numbers).encode()


async def test_the_order_of_arrival_across_streams_is_kept(local: System, tmp_path: Path) -> None:
    """Each line is written when the one before is in the log, so that there is one true order."""
    asked = local.client
    turn = tmp_path / "turn"
    command = (
        f"for i in 1 2 3; do until [ -e {turn}$i ]; do sleep 0.01; done; "
        "if [ $i = 2 ]; then echo err$i >&2; else echo out$i; fi; done"
    )
    started = await local.start(command)
    lines: list[str] = []
    (tmp_path / "turn1").touch()
    async for item in asked.follow("default", started.id):
        if isinstance(item, LogPiece):
            lines += [entry.text for entry in item.entries]
            (tmp_path / f"turn{len(lines) + 1}").touch()
    assert lines == ["out1\n", "err2\n", "out3\n"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (r"printf 'no newline'", b"no newline"),
        (r"printf 'a\000b\000'", b"a\0b\0"),
        (r"printf '\377\376 \303\050 end'", b"\xff\xfe \xc3\x28 end"),
        (r"printf '\303'", b"\xc3"),
        (r"printf 'a\r\nb\033[31m\n'", b"a\r\nb\x1b[31m\n"),
        (r"printf '\360\237\230\200'", "😀".encode()),
        ("true", b""),
    ],
)
async def test_every_byte_is_kept(local: System, command: str, expected: bytes) -> None:
    ended = await local.run(command)
    assert await local.output(ended.id) == expected


async def test_a_character_in_two_halves_is_put_together(local: System, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        started = await local.start(rf"printf '\303'; {gate.command} 2>/dev/null; printf '\244'")
        await eventually(lambda: gate.inside, what="the first half is out")
        gate.open()
        ended = await local.end_of(started.id)
    pieces = await local.log(ended.id)
    assert "".join(entry.text for piece in pieces for entry in piece.entries) == "ä"


async def test_random_bytes_come_as_they_are(local: System, tmp_path: Path) -> None:
    digest = tmp_path / "digest"
    ended = await local.run(f"head -c 3000000 /dev/urandom | tee /dev/fd/2 2>&1 1>/dev/null | cat > {digest}.raw; "
                            f"cat {digest}.raw")  # fmt: skip
    written = Path(f"{digest}.raw").read_bytes()
    assert len(written) == 3_000_000
    assert hashlib.sha256(await local.output(ended.id)).digest() == hashlib.sha256(written).digest()


async def test_chunks_are_counted_without_gaps(local: System) -> None:
    ended = await local.run("head -c 2000000 /dev/zero | tr '\\0' x")
    stored = await local.stored(local.subjects.logs_stream, local.subjects.log_of_execution("default", ended.id))
    pieces = await local.log(ended.id)
    assert len(stored) == len(pieces)
    assert ended.last_log_seq == pieces[-1].seq
    assert len(await local.output(ended.id)) == 2_000_000


async def test_what_is_written_after_the_end_by_a_process_left_behind_does_not_hold_the_job_up(
    local: System, tmp_path: Path
) -> None:
    with Gate(tmp_path) as gate:
        ended = await local.run(f"({gate.command}) & echo done")
        assert ended.state is ExecutionState.SUCCEEDED
        pieces = await local.log(ended.id)
        assert output_of(pieces) == b"done\n"
        assert b"background" in output_of(pieces, "runner")


async def test_the_log_is_there_while_the_job_still_runs(local: System, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        started = await local.start(f"echo first; {gate.command}; echo last")
        seen: list[str] = []
        final: ExecutionView | None = None
        async for item in local.client.follow("default", started.id):
            if isinstance(item, LogPiece):
                seen += [entry.text for entry in item.entries]
                if seen == ["first\n"]:
                    assert (await local.show(started.id)).state is ExecutionState.RUNNING
                    gate.open()
            else:
                final = item
    assert "".join(seen) == "first\nlast\n"
    assert final is not None
    assert final.state is ExecutionState.SUCCEEDED


async def test_a_follower_resumes_behind_a_piece_without_gap_or_double(local: System) -> None:
    ended = await local.run("head -c 3000000 /dev/zero | tr '\\0' y; echo the end")
    whole = await local.log(ended.id)
    assert len(whole) > 3
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        rest = await local.log(ended.id, after_seq=whole[cut].seq)
        assert [piece.seq for piece in rest] == [piece.seq for piece in whole[cut + 1 :]]
        followed = [
            item.seq
            async for item in local.client.follow("default", ended.id, after_log_seq=whole[cut].seq)
            if isinstance(item, LogPiece)
        ]
        assert followed == [piece.seq for piece in whole[cut + 1 :]]


async def test_a_follower_that_comes_and_goes_misses_nothing(local: System, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        started = await local.start(f"seq 1 1000; {gate.command}; seq 1001 2000")
        first: list[LogPiece] = []
        async for item in local.client.follow("default", started.id):
            if isinstance(item, LogPiece):
                first.append(item)
                if output_of(first).endswith(b"\n1000\n"):
                    break
        gate.open()
        rest = [
            item
            async for item in local.client.follow("default", started.id, after_log_seq=first[-1].seq)
            if isinstance(item, LogPiece)
        ]
    assert output_of(first + rest) == "".join(f"{i}\n" for i in range(1, 2001)).encode()


async def test_lines_of_two_streams_by_turns_come_complete(local: System) -> None:
    """Many tiny pieces: what a message holds is bounded by its own size, not by that of the output in it."""
    text = "import os\nfor i in range(20000):\n    os.write(1, b'o'); os.write(2, b'e')\n"
    ended = await local.run(script(text, interpreter="python3"))
    assert await local.output(ended.id) == b"o" * 20000
    assert await local.output(ended.id, "stderr") == b"e" * 20000


@pytest.mark.parametrize(
    ("size_mb", "limit_mb"),
    [(20, 100), pytest.param(1000, 100, marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
)
async def test_a_large_output_with_a_slow_follower_takes_bounded_memory(
    system: System, size_mb: int, limit_mb: int
) -> None:
    await system.up()
    part = system.start_runner("local", local=True, program=True)
    assert isinstance(part, ProgramPart)
    await system.runners_ready("local")
    started = await system.start(f"yes 0123456789abcdef | head -c {size_mb}000000")
    length = 0
    final: ExecutionView | None = None
    async for item in system.client.follow("default", started.id):
        if isinstance(item, LogPiece):
            length += len(output_of([item]))
            if size_mb <= 20:
                await asyncio.sleep(0)
                await system.ping("local")
        else:
            final = item
    assert final is not None
    assert final.state is ExecutionState.SUCCEEDED
    assert length == size_mb * 1_000_000
    assert peak_rss_bytes(part.program.pid) < limit_mb * MIB
