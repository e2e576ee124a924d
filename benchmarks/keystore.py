"""The centre's keys, 100,000 of them: each kind of listing, reading, writing, and another master key."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from benchmarks.report import Row, Step, as_console, percentile, summary
from schemas.keys import KeyType
from services.keyproxy.crypto import Bound, DataKey
from services.keyproxy.masterkey import MasterKey
from services.keyproxy.store import MAX_PAGE, KeyStore, rotate

KEYS: Final = 100_000
LIST_AIM_MS: Final = 20.0
_MS: Final = 1000.0
_PAGE: Final = 1000
_FLAT_SHARE: Final = 5
"""One in so many keys stands in one folder; the others are three folders deep."""
_VALUE: Final = b"correct horse battery staple"
_START_US: Final = 1_780_000_000_000_000
_FLOOR: Final = "SELECT path, type, size_bytes, created_us, created_by, modified_us, modified_by, meta FROM entry"

Ask = Callable[[KeyStore, random.Random], Awaitable[object]]


def paths(count: int) -> Iterator[str]:
    """All below one folder: a fifth of them directly in one of its folders, the others in folders of 200."""
    for index in range(count):
        if index % _FLAT_SHARE == 0:
            yield f"site/flat/key-{index:06}"
        else:
            group = index // 250
            yield f"site/region-{group % 20:02}/team-{group // 20:03}/key-{index:06}"


def fill(path: Path, master: MasterKey, count: int) -> None:
    """Write the rows of so many keys into a file that is there, as the store has them, in one transaction."""
    key, ids = DataKey(master), {"": 0}
    entries: list[tuple[object, ...]] = []
    values: list[tuple[int, bytes, bytes]] = []
    for each in sorted(paths(count)):
        parent = _folders(each, ids, entries)
        bound = Bound(
            path=each, type=KeyType.PASSWORD, size_bytes=len(_VALUE), created_us=_START_US, created_by="bench",
            modified_us=_START_US, modified_by="bench", meta="{}",
        )  # fmt: skip
        encrypted = key.encrypt(_VALUE, bound)
        number = len(entries) + 1
        entries.append((number, parent, *msgspec.structs.astuple(bound)))
        values.append((number, encrypted.nonce, encrypted.ciphertext))
    with closing(sqlite3.connect(path)) as file, file:
        file.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", entries)
        file.executemany("INSERT INTO secret VALUES (?, (SELECT number FROM master), ?, ?)", values)


def _folders(path: str, ids: dict[str, int], entries: list[tuple[object, ...]]) -> int:
    parent, parts = "", path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        folder = "/".join(parts[:count])
        if folder not in ids:
            ids[folder] = len(entries) + 1
            entries.append((ids[folder], ids[parent], folder, *[None] * 7))
        parent = folder
    return ids[parent]


LISTINGS: Final[dict[str, Ask]] = {
    "the root": lambda store, _: store.children(),
    "the folder of all": lambda store, _: store.children("site"),
    "a folder of 200": lambda store, r: store.children(f"site/region-{r.randrange(20):02}/team-000"),
    "20,000 in a folder, first page": lambda store, _: store.children("site/flat"),
    "20,000 in a folder, any page": lambda store, r: store.children(
        "site/flat", after=f"site/flat/key-{r.randrange(KEYS):06}"
    ),
    "all below, first page": lambda store, _: store.children("site", deep=True),
    "all below, any page": lambda store, r: store.children(
        "site", deep=True, after=f"site/region-{r.randrange(20):02}/team-{r.randrange(20):03}"
    ),
    "all below the root": lambda store, _: store.children(deep=True),
    "all below a region": lambda store, r: store.children(f"site/region-{r.randrange(20):02}", deep=True),
}
_LARGEST: Final = f"all below, a page of {MAX_PAGE:,}"
_OTHERS: Final[dict[str, Ask]] = {
    _LARGEST: lambda store, _: store.children("site", deep=True, limit=MAX_PAGE),
    "show": lambda store, r: store.show(f"site/flat/key-{r.randrange(KEYS // 5) * 5:06}"),
    "read": lambda store, r: store.read(f"site/flat/key-{r.randrange(KEYS // 5) * 5:06}"),
    "count": lambda store, _: store.count(),
    "store": lambda store, r: store.put(f"new/key-{r.random()}", _VALUE, by="bench"),
}
PARTS: Final = len(LISTINGS) + len(_OTHERS) + 2


async def measure(*, rounds: int, step: Step) -> list[Row]:
    """Each kind so many times; the file is made before, and brought to another master key at the end."""
    with tempfile.TemporaryDirectory(prefix="runbus-bench-") as folder:
        path, master = Path(folder) / "keys.sqlite", MasterKey(os.urandom(32), "bench")
        async with KeyStore.open(path, master):
            await asyncio.to_thread(fill, path, master, KEYS)
        step()
        began = time.perf_counter()
        async with KeyStore.open(path, master) as store:
            open_s = time.perf_counter() - began
            gc.freeze()  # as the service does
            with closing(sqlite3.connect(path)) as plain:
                took = {name: await _timed(store, ask, rounds, plain) for name, ask in _told(step)}
        began = time.perf_counter()
        moved = await rotate(path, master, MasterKey(os.urandom(32), "bench"))
        rate = moved / (time.perf_counter() - began)
        step()
    return _rows(took, open_s, rate)


def _told(step: Step) -> Iterator[tuple[str, Ask]]:
    for each in {**LISTINGS, **_OTHERS}.items():
        yield each
        step()


class Took(NamedTuple):
    """What each of the rounds took, in seconds."""

    wall: list[float]
    cpu: list[float]
    """Of this process: it does not count who else computes on the machine."""
    floor: list[float]
    """A page of as many rows by SQLite alone, just before: without a second thread, entries or an event loop."""
    floor_cpu: list[float]


async def _timed(store: KeyStore, ask: Ask, rounds: int, plain: sqlite3.Connection) -> Took:
    chance, took = random.Random(11), Took([], [], [], [])
    for _ in range(rounds):
        began, began_cpu = time.perf_counter(), time.process_time()
        plain.execute(f"{_FLOOR} WHERE path > 'site/' ORDER BY path LIMIT ?", (_PAGE + 1,)).fetchall()
        between, between_cpu = time.perf_counter(), time.process_time()
        await ask(store, chance)
        took.cpu.append(time.process_time() - between_cpu)
        took.wall.append(time.perf_counter() - between)
        took.floor.append(between - began)
        took.floor_cpu.append(between_cpu - began_cpu)
    return took


def _rows(took: dict[str, Took], open_s: float, rate: float) -> list[Row]:
    worst = {name: percentile(took[name].wall, 99) * _MS for name in LISTINGS}
    slowest = max(worst, key=lambda name: worst[name])
    wall, cpu, floor, floor_cpu = took[slowest]
    return [
        _beside(
            f"{KEYS:,} keys: listing p99, slowest", (wall, floor, 99),
            aim=f"< {LIST_AIM_MS:g} ms", met=worst[slowest] < LIST_AIM_MS,
            samples={name: summary(took[name].wall, scale=_MS) for name in LISTINGS}, details=worst,
            note=f"The slowest of {len(LISTINGS)} kinds of listing (pages of {_PAGE:,}) is: {slowest}. The floor of "
            "each is SQLite alone, for one page of as many rows, read just before.",
        ),
        _beside("the same, p50", (wall, floor, 50)),
        _beside(
            "the same, processor time, p99", (cpu, floor_cpu, 99),
            samples={name: summary(took[name].cpu, scale=_MS) for name in LISTINGS},
            note="Processor time leaves out what other processes take from the machine.",
        ),
        _beside("the same, processor time, p50", (cpu, floor_cpu, 50)),
        *(
            Row(figure=f"key: {name}, p50", unit="ms", measured=percentile(took[name].wall, 50) * _MS,
                samples={"all": summary(took[name].wall, scale=_MS)})
            for name in _OTHERS
        ),
        Row(figure="open the file, checked", unit="ms", measured=open_s * _MS),
        Row(
            figure="keys to another master key", unit="/s", measured=rate,
            note="Half of that time the file is left to others.",
        ),
    ]  # fmt: skip


def _beside(figure: str, of: tuple[list[float], list[float], float], **more: Any) -> Row:
    """A percentile, in ms, beside the same of the floor."""
    measured, floor = (percentile(each, of[2]) * _MS for each in of[:2])
    return Row(figure=figure, unit="ms", measured=measured, floor=floor, ratio=measured / floor, **more)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    rows = asyncio.run(measure(rounds=rounds, step=lambda: None))
    print(as_console(rows))
    for name, figures in rows[0].samples.items():
        print(f"{name:34} p50 {figures.p50:7.2f} ms   p99 {figures.p99:7.2f} ms")


if __name__ == "__main__":
    main()
