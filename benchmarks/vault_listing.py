"""Keys in Vault: a tree of folders listed, and one key read, beside the same calls made one after another by hvac.

The other side is the stand-in of the tests in a process of its own, which takes 5 ms for an answer, as a Vault in
another network does: on loopback it would be the processor that is measured.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from benchmarks.report import Row, Step, summary
from services.runner.keystorage.vault import VaultKeyStorage
from services.runner.keystorage.vault.config import AuthBackend, VaultConfig

FOLDERS: Final = 100
KEYS: Final = 1000
ANSWER_S: Final = 0.005
READ_AIM_MS: Final = 20.0
_READS: Final = 50
_STARTED_WITHIN_S: Final = 30.0
_MS: Final = 1000.0


async def measure(*, blocks: int, step: Step) -> list[Row]:
    """Each figure so many times, ours and hvac's in turns."""
    with _vault() as config:
        calls = await asyncio.to_thread(_in_turn, config)
        listed: dict[str, list[float]] = {"ours": [], "in turn": []}
        read: dict[str, list[float]] = {"ours": [], "first": []}
        for _ in range(blocks):
            listed["in turn"].append(await _timed(lambda: asyncio.to_thread(_in_turn, config)))
            storage = VaultKeyStorage(config)
            read["first"].append(await _timed(lambda used=storage: used.read("f1/k1")))  # type: ignore[misc]
            listed["ours"].append(await _timed(lambda used=storage: _listed(used)))  # type: ignore[misc]
            for number in range(_READS):
                path = f"f{number}/k{number}"
                read["ours"].append(await _timed(lambda used=storage, at=path: used.read(at)))  # type: ignore[misc]
            await storage.close()
            step()
    return [_listing(listed, calls), _reading(read)]


def _listing(took: dict[str, list[float]], calls: int) -> Row:
    ours, floor = summary(took["ours"]), summary(took["in turn"])
    return Row(
        figure=f"{KEYS:,} keys of Vault in {FOLDERS} folders", unit="s", measured=ours.p50, floor=floor.p50,
        ratio=ours.p50 / floor.p50, aim="< one by one", met=ours.p50 < floor.p50,
        samples={"ours": ours, "in turn": floor}, details={"calls": float(calls)},
        note=f"Keys of Vault: {calls:,} calls, {ANSWER_S * _MS:g} ms each; the floor is hvac, one by one.",
    )  # fmt: skip


def _reading(took: dict[str, list[float]]) -> Row:
    ours, first = summary(took["ours"], scale=_MS), summary(took["first"], scale=_MS)
    answer_ms = ANSWER_S * _MS
    return Row(
        figure="a key of Vault, read", unit="ms", measured=ours.p50, floor=answer_ms, ratio=ours.p50 / answer_ms,
        aim=f"< +{READ_AIM_MS:g} ms", met=ours.p95 - answer_ms < READ_AIM_MS, samples={"ours": ours, "first": first},
        details={"first_with_login_ms": first.p50},
        note=f"A key of Vault: p95 {ours.p95:.1f} ms; the first, with login and two answers, {first.p50:.1f} ms.",
    )  # fmt: skip


async def _listed(storage: VaultKeyStorage) -> None:
    """Raises ``RuntimeError`` where a key is missing: a failure must not be measured."""
    entries = await storage.children("", deep=True)
    if len(entries) != FOLDERS + KEYS:
        raise RuntimeError(f"{len(entries)} entries instead of {FOLDERS + KEYS}")


def _in_turn(config: VaultConfig) -> int:
    """The same calls by hvac on one connection. Returns how many."""
    import hvac  # type: ignore[import-untyped]  # noqa: PLC0415

    client = hvac.Client(url=config.address, token="root-token")
    engine, calls = client.secrets.kv.v1, 1
    for folder in engine.list_secrets("")["data"]["keys"]:
        names = engine.list_secrets(folder)["data"]["keys"]
        calls += 1 + len(names)
        for name in names:
            engine.read_secret(f"{folder}{name}")
    client.adapter.close()
    return calls


async def _timed(call: Callable[[], Awaitable[Any]]) -> float:
    began_s = time.perf_counter()
    await call()
    return time.perf_counter() - began_s


@contextmanager
def _vault() -> Iterator[VaultConfig]:
    started = multiprocessing.get_context("spawn")
    ours, theirs = started.Pipe()
    process = started.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        if not ours.poll(_STARTED_WITHIN_S):
            raise RuntimeError(f"the stand-in for Vault did not come up within {_STARTED_WITHIN_S:g} s")
        yield VaultConfig(
            address=ours.recv(),
            auth_backend=AuthBackend.APPROLE,
            approle_id="bench",
            approle_secret_id="anything",
        )
    finally:
        ours.close()
        process.join()


def _serve(until: Any) -> None:
    from tests.support.vaultstandin import vault_stand_in  # noqa: PLC0415

    with vault_stand_in() as server:
        server.state.mounts["secret"].secrets = {
            f"f{number % FOLDERS}/k{number}": {"data": f"value-{number}"} for number in range(KEYS)
        }
        server.state.logins = {"auth/approle": {"role_id": "bench"}}
        server.delay_s = ANSWER_S
        until.send(server.address)
        try:
            until.recv()
        except EOFError:
            return
