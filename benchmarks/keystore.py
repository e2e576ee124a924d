"""The centre's keys, 100,000 of them: each kind of listing, reading, writing, and another master key."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

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
            took = {name: await _timed(store, ask, rounds, step) for name, ask in {**LISTINGS, **_OTHERS}.items()}
        floor = await asyncio.to_thread(_floor, path, rounds)
        began = time.perf_counter()
        moved = await rotate(path, master, MasterKey(os.urandom(32), "bench"))
        rate = moved / (time.perf_counter() - began)
        step()
    return _rows(took, floor, open_s, rate)


async def _timed(store: KeyStore, ask: Ask, rounds: int, step: Step) -> list[float]:
    chance, took = random.Random(11), []
    for _ in range(rounds):
        began = time.perf_counter()
        await ask(store, chance)
        took.append(time.perf_counter() - began)
    step()
    return took


def _floor(path: Path, rounds: int) -> list[float]:
    """Seconds for the same rows of one page by SQLite alone, without a second thread, entries or an event loop."""
    took = []
    with closing(sqlite3.connect(path)) as file:
        for _ in range(rounds):
            began = time.perf_counter()
            file.execute(f"{_FLOOR} WHERE path > 'site/' ORDER BY path LIMIT ?", (_PAGE + 1,)).fetchall()
            took.append(time.perf_counter() - began)
    return took


def _rows(took: dict[str, list[float]], floor: list[float], open_s: float, rate: float) -> list[Row]:
    worst = {name: percentile(took[name], 99) * _MS for name in LISTINGS}
    slowest = max(worst, key=lambda name: worst[name])
    median_ms = percentile(took[slowest], 50) * _MS
    floor_ms, floor_worst_ms = (percentile(floor, percent) * _MS for percent in (50, 99))
    return [
        Row(
            figure=f"{KEYS:,} keys: listing p99, slowest", unit="ms", measured=worst[slowest],
            floor=floor_worst_ms, ratio=worst[slowest] / floor_worst_ms,
            aim=f"< {LIST_AIM_MS:g} ms", met=worst[slowest] < LIST_AIM_MS,
            samples={name: summary(took[name], scale=_MS) for name in LISTINGS}, details=worst,
            note=f"The slowest of {len(LISTINGS)} kinds of listing (pages of {_PAGE:,}) is: {slowest}.",
        ),
        Row(
            figure="the same, p50", unit="ms", measured=median_ms, floor=floor_ms, ratio=median_ms / floor_ms,
            note="The floor of a listing is SQLite alone, for one page of as many rows.",
        ),
        *(
            Row(figure=f"key: {name}, p50", unit="ms", measured=percentile(took[name], 50) * _MS,
                samples={"all": summary(took[name], scale=_MS)})
            for name in _OTHERS
        ),
        Row(figure="open the file, checked", unit="ms", measured=open_s * _MS),
        Row(figure="keys to another master key", unit="/s", measured=rate),
    ]  # fmt: skip


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
