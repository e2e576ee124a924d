"""The first use of a key in a job: the same job with it and without, by turns."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.report import Row, Step, percentile, summary
from benchmarks.site import KEY, Site
from bus.sealing import seal
from schemas import catalog
from schemas.api import JobPutRequest, RunRequest
from schemas.codec import encode
from schemas.keys import KeyPutRequest, KeyValue, SealingKeyRequest
from schemas.states import ExecutionState

BLOCK: Final = 10
AIM_MS: Final = 20.0
_MS: Final = 1000.0
_PLAIN: Final = "none"
_KEYS: Final = {"of the runner (a file)": f"runner/{KEY}", "of the centre, sealed": f"keys/{KEY}"}


async def measure(site: Site, *, blocks: int, step: Step) -> list[Row]:
    """How much later a job ends that has to read a key before its first step."""
    await _put_key(site)
    await _put_jobs(site)
    took: dict[str, list[float]] = {name: [] for name in (_PLAIN, *_KEYS)}
    for name in took:
        await _timed(site, name)
    for _ in range(blocks):
        for _ in range(BLOCK):
            for name, samples in took.items():
                samples.append(await _timed(site, name))
        step()
    return [_row(name, took[name], took[_PLAIN]) for name in _KEYS]


async def _put_key(site: Site) -> None:
    public_key = (await site.client.call(catalog.KEY_SEALING, SealingKeyRequest())).public_key
    value = KeyValue(path=f"keys/{KEY}", value=b"correct horse battery staple")
    await site.client.call(catalog.KEY_PUT, KeyPutRequest(path=value.path, sealed=seal(public_key, encode(value))))


async def _put_jobs(site: Site) -> None:
    jobs = "".join(_job(name, path) for name, path in {_PLAIN: "", **_KEYS}.items())
    await site.client.call(catalog.JOB_PUT, JobPutRequest(text=jobs))


def _job(name: str, path: str) -> str:
    options = f"  options: [{{name: key, secure: true, storagePath: {path}, required: true}}]\n" if path else ""
    return f"""\
- name: {name!r}
  uuid: {_uuid(name)}
  runnerSelector: {{runnerFilterMode: TAGS, filter: linux+bench}}
{options}  sequence: {{commands: [{{exec: /bin/true}}]}}
"""


def _uuid(name: str) -> str:
    return "use-" + "".join(char for char in name if char.isalpha())


async def _timed(site: Site, name: str) -> float:
    """Raises ``RuntimeError`` unless it succeeds: a failure must not be measured."""
    began = time.perf_counter()
    ended = await site.client.run(RunRequest(job=_uuid(name), wait_s=60.0))
    if ended.state is not ExecutionState.SUCCEEDED:
        raise RuntimeError(f"{name}: {ended.state}, {ended.error}")
    return time.perf_counter() - began


def _row(name: str, took: list[float], plain: list[float]) -> Row:
    measured = (percentile(took, 50) - percentile(plain, 50)) * _MS
    return Row(
        figure=f"use of a key {name}, p50", unit="ms", measured=measured, aim=f"< {AIM_MS:g} ms",
        met=measured < AIM_MS,
        samples={"with": summary(took, scale=_MS), "without": summary(plain, scale=_MS)},
    )  # fmt: skip
