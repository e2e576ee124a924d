"""How fast the dispatcher's ledger takes events, and how fast it answers when it holds many executions.

``python -m benchmarks.bench_ledger [--executions 1000000] [--json]``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from schemas.api import ExecutionListRequest
from schemas.errors import ErrorCode, ErrorInfo
from schemas.events import AssignmentFinished, AssignmentStarted, Event, ExecutionQueued, StepOutcome
from schemas.jobs import JobRef, Step
from schemas.states import ExecutionState
from services.dispatcher.ledger import Ledger

BATCH: Final = 2_000
"""Events per transaction while the ledger is filled."""
IN_FLIGHT: Final = 200
ROUNDS: Final = 40
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
PROJECTS: Final = ("default", "payments", "search", "data", "lab")
PROJECT_WEIGHTS: Final = (60, 20, 14, 5, 1)
RUNNERS: Final = [f"runner-{number:02}" for number in range(50)]
VERBS: Final = ("deploy", "backup", "restart", "migrate", "clean", "verify", "report", "rotate", "sync", "probe")
THINGS: Final = (
    "database", "frontend", "gateway", "cache", "ledger", "invoices", "search", "mail", "metrics", "keys",
    "storage", "queue", "proxy", "orders", "images", "sessions", "billing", "catalog", "audit", "users",
)  # fmt: skip
USERS: Final = ("alice", "bob", "carol", "dave", "scheduler")
STATES: Final = (
    ExecutionState.SUCCEEDED, ExecutionState.FAILED, ExecutionState.ABORTED,
    ExecutionState.TIMEDOUT, ExecutionState.LOST,
)  # fmt: skip
STATE_WEIGHTS: Final = (94.29, 5.0, 0.5, 0.2, 0.01)
ERRORS: Final = ("connection refused by host", "permission denied", "no space left on device", "exit code 1")

Numbered = tuple[int, Event]


class Workload:
    """Executions as a busy site has them, the same in every run."""

    def __init__(self, executions: int) -> None:
        self._executions = executions
        self._random = random.Random(7)
        self._step = timedelta(days=90) / max(executions, 1)
        self.jobs = [
            (self._random.choices(PROJECTS, PROJECT_WEIGHTS)[0], JobRef(uuid=f"job-{n:04}", name=f"{v}-{t}", group=v))
            for n, (v, t) in enumerate((verb, thing) for verb in VERBS for thing in THINGS)
        ]
        self._weights = [1 / (1 + rank) for rank in range(len(self.jobs))]

    def events(self) -> Iterator[Numbered]:
        """All events in the order of the stream: ``IN_FLIGHT`` executions are under way at a time."""
        return enumerate(self._ordered(), start=1)

    def _ordered(self) -> Iterator[Event]:
        in_flight: deque[tuple[ExecutionQueued, AssignmentStarted]] = deque()
        for number in range(self._executions):
            queued = self._queued(number)
            started = self._started(queued)
            yield queued
            yield started
            in_flight.append((queued, started))
            if len(in_flight) > IN_FLIGHT:
                yield self._finished(*in_flight.popleft())
        while len(in_flight) > min(10, self._executions):
            yield self._finished(*in_flight.popleft())

    def _queued(self, number: int) -> ExecutionQueued:
        project, job = self._random.choices(self.jobs, self._weights)[0]
        words = job.name.replace("-", " ")
        return ExecutionQueued(
            execution=f"{number:013x}{self._random.getrandbits(52):013x}",
            project=project,
            at=START + number * self._step,
            title=job.path,
            job=job,
            set="linux",
            user=self._random.choice(USERS),
            steps=[
                Step(plugin="command", config={"command": f"/opt/site/{words} --ticket REQ{number % 50_000}"}),
                Step(plugin="script", config={"script": f"set -eu\ncd /srv/{job.group}\n./check.sh {words}\n"}),
            ],
        )

    def _started(self, queued: ExecutionQueued) -> AssignmentStarted:
        return AssignmentStarted(
            execution=queued.execution,
            assignment="1",
            project=queued.project,
            attempt=1,
            at=queued.at + timedelta(milliseconds=4),
            runner=self._random.choice(RUNNERS),
            instance="i",
        )

    def _finished(self, queued: ExecutionQueued, started: AssignmentStarted) -> AssignmentFinished:
        state = self._random.choices(STATES, STATE_WEIGHTS)[0]
        failed = state is not ExecutionState.SUCCEEDED
        error = ErrorInfo(code=ErrorCode.STEP_FAILED, message=f"step 2: {self._random.choice(ERRORS)}")
        return AssignmentFinished(
            execution=queued.execution,
            assignment="1",
            project=queued.project,
            attempt=1,
            at=started.at + timedelta(seconds=3),
            runner=started.runner,
            state=state,
            exit_code=int(failed),
            duration_s=3.0,
            steps=[
                StepOutcome(step=1, plugin="command", state=ExecutionState.SUCCEEDED, exit_code=0, duration_s=1.0),
                StepOutcome(step=2, plugin="script", state=state, exit_code=int(failed), duration_s=2.0),
            ],
            error=error if failed else None,
        )


def queries(executions: int) -> dict[str, Callable[[random.Random], ExecutionListRequest]]:
    """What is asked, by name; each takes the source of chance that varies it."""
    ask = ExecutionListRequest
    middle, succeeded = START + timedelta(days=45), [ExecutionState.SUCCEEDED]
    lost, failed = [ExecutionState.LOST], [ExecutionState.FAILED]
    named: dict[str, Callable[[random.Random], ExecutionListRequest]] = {
        "newest": lambda _: ask(),
        "project common": lambda _: ask(project="default"),
        "project rare": lambda _: ask(project="lab"),
        "job": lambda r: ask(job=f"job-{r.randrange(200):04}"),
        "job by path": lambda r: ask(job=f"deploy/deploy-{r.choice(THINGS)}"),
        "state common": lambda _: ask(states=succeeded),
        "state failed": lambda _: ask(states=failed),
        "state rarest": lambda _: ask(states=lost),
        "state running": lambda _: ask(states=[ExecutionState.RUNNING]),
        "runner": lambda r: ask(runner=r.choice(RUNNERS)),
        "time": lambda r: ask(until=START + timedelta(days=90 * r.random())),
        "text common": lambda _: ask(text="deploy"),
        "text common, one letter": lambda _: ask(text="d"),
        "text in every one": lambda _: ask(text="opt"),
        "text two words": lambda r: ask(text=f"{r.choice(VERBS)} {r.choice(THINGS)}"),
        "text one of 20 rows": lambda r: ask(text=f"req{r.randrange(50_000)}"),
        "text prefix of 11000 words": lambda _: ask(text="req1"),
        "text prefix of all words": lambda _: ask(text="req"),
        "text of errors": lambda _: ask(text="permission denied"),
        "text nowhere": lambda _: ask(text="zeppelin"),
        "project + job": lambda r: ask(project="default", job=f"job-{r.randrange(200):04}"),
        "project + state": lambda r: ask(project=r.choice(PROJECTS), states=failed),
        "project + runner": lambda r: ask(project=r.choice(PROJECTS), runner=r.choice(RUNNERS)),
        "project + time": lambda r: ask(project=r.choice(PROJECTS), since=START, until=middle),
        "job + state": lambda r: ask(job=f"job-{r.randrange(200):04}", states=lost),
        "job + runner": lambda r: ask(job=f"job-{r.randrange(200):04}", runner=r.choice(RUNNERS)),
        "state + runner": lambda r: ask(states=lost, runner=r.choice(RUNNERS)),
        "state + time": lambda _: ask(states=failed, until=middle),
        "runner + time": lambda r: ask(runner=r.choice(RUNNERS), until=middle),
        "text + project": lambda _: ask(text="deploy", project="default"),
        "text + project rare": lambda r: ask(text=r.choice(VERBS), project="lab"),
        "text + job of other words": lambda r: ask(text="deploy", job=f"job-{r.randrange(20, 200):04}"),
        "text + state": lambda _: ask(text="deploy", states=failed),
        "text + state common": lambda _: ask(text="deploy", states=succeeded),
        "text + state rarest": lambda _: ask(text="deploy", states=lost),
        "text + state of other words": lambda _: ask(text="permission", states=succeeded),
        "text + runner": lambda r: ask(text="deploy", runner=r.choice(RUNNERS)),
        "text + time": lambda _: ask(text="deploy", until=middle),
        "text + running": lambda _: ask(text="deploy", states=[ExecutionState.RUNNING]),
        "all filters": lambda r: ask(
            text="deploy", project="default", states=failed, runner=r.choice(RUNNERS), since=START, until=middle
        ),
    }
    return named if executions else {}


def run(executions: int) -> dict[str, Any]:
    """Fill a ledger and question it; times in ms, sizes in bytes."""
    with tempfile.TemporaryDirectory(prefix="runbus-bench-") as folder:
        return asyncio.run(_run(Path(folder) / "ledger.db", executions))


async def _run(path: Path, executions: int) -> dict[str, Any]:
    async with Ledger.open(path) as ledger:
        report: dict[str, Any] = {"executions": executions, **await _fill(ledger, executions)}
    report["file_bytes"] = await asyncio.to_thread(lambda: path.stat().st_size)
    started = perf_counter()
    async with Ledger.open(path) as ledger:
        report["open_ms"] = round((perf_counter() - started) * 1000, 2)
        report["queries"] = {name: await _time(ledger, make) for name, make in queries(executions).items()}
        report["queries"]["deep page (200 pages of 500 in)"] = await _time_deep(ledger)
    return report


async def _fill(ledger: Ledger, executions: int) -> dict[str, Any]:
    await ledger.bind_stream("bench")
    events, count, busy_s = Workload(executions).events(), 0, 0.0
    waits: list[float] = []
    watch = asyncio.create_task(_watch_loop(waits))
    while batch := list(islice(events, BATCH)):
        await asyncio.sleep(0)
        started = perf_counter()
        await ledger.apply(batch)
        busy_s += perf_counter() - started
        count += len(batch)
    watch.cancel()
    return {
        "events": count,
        "apply_events_per_s": round(count / busy_s),
        "apply_s": round(busy_s, 2),
        "loop_blocked_max_ms": round(max(waits, default=0.0) * 1000, 1),
    }


async def _watch_loop(waits: list[float]) -> None:
    """How late the event loop wakes a sleeper, the making of the batches included."""
    while True:
        before = perf_counter()
        await asyncio.sleep(0.001)
        waits.append(perf_counter() - before - 0.001)


async def _time(ledger: Ledger, make: Callable[[random.Random], ExecutionListRequest]) -> dict[str, float]:
    chance, times, found = random.Random(11), [], 0
    for _ in range(ROUNDS):
        request = make(chance)
        started = perf_counter()
        page = await ledger.list(request)
        times.append((perf_counter() - started) * 1000)
        found = max(found, len(page.executions))
    return _summary(times) | {"found": found}


async def _time_deep(ledger: Ledger) -> dict[str, float]:
    cursor, times = "", []
    for _ in range(200):
        page = await ledger.list(ExecutionListRequest(project="default", limit=500, cursor=cursor))
        cursor = page.next_cursor or cursor
    for _ in range(ROUNDS):
        started = perf_counter()
        page = await ledger.list(ExecutionListRequest(project="default", cursor=cursor))
        times.append((perf_counter() - started) * 1000)
    return _summary(times) | {"found": len(page.executions)}


def _summary(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50_ms": round(ordered[len(ordered) // 2], 2),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 2),
    }


def _print_table(report: dict[str, Any]) -> None:
    print(f"{report['executions']} executions, {report['events']} events")
    print(f"apply: {report['apply_events_per_s']} events/s, {report['apply_s']} s")
    print(f"event loop late by {report['loop_blocked_max_ms']} ms at most")
    print(f"file: {report['file_bytes'] / 2**20:.0f} MiB, opened in {report['open_ms']} ms")
    for name, row in report["queries"].items():
        print(f"{name:40} p50 {row['p50_ms']:8.2f} ms   p99 {row['p99_ms']:8.2f} ms   {row['found']} found")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    report = run(arguments.executions)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _print_table(report)


if __name__ == "__main__":
    main()
