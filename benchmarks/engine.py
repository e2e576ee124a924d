"""A workflow on a runner without a bus: what the engine and its bookkeeping cost a step, beside a spawn; and plans.

Steps are of a plugin that does nothing, so that what is left is ours: the engine, the context, the log, the outcome.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.pauses import watched
from benchmarks.report import Row, Step, percentile, summary
from domain.planning import Run, plan_job
from domain.workflow import Engine, Shape, StepShape
from schemas import jobs
from schemas.api import SecretValues
from schemas.events import Dispatch
from schemas.nodes import Node
from schemas.options import Option
from tests.support.workflows import Log, Rig, a_rig, an_assignment, local_nodes

STEPS: Final = 500
NODES: Final = 10_000
THREADS: Final = 50
SPAWNS: Final = 50
STEP_AIM: Final = 0.05
PAUSE_AIM_MS: Final = 50.0
_TICK_S: Final = 0.001
_MS: Final = 1e3
_US: Final = 1e6
_IDLE: Final = jobs.Step(plugin="idle")


async def measure(*, blocks: int, step: Step) -> list[Row]:
    """Each figure so many times, by turns."""
    took: dict[str, list[float]] = {name: [] for name in ("engine", "step", "spawn", "nodes", "plan", "pause")}
    nodes = local_nodes(*(f"node-{number:05}" for number in range(NODES)))
    with tempfile.TemporaryDirectory() as directory:
        async with a_rig(Path(directory)) as rig:
            for _ in range(blocks):
                took["spawn"] += [_spawned() for _ in range(SPAWNS)]
                took["engine"].append(_engine_alone() / (NODES * 2))
                _, (whole, pause) = await watched(_steps(rig))
                took["step"].append(whole / STEPS)
                took["pause"].append(pause)
                _, (whole, pause) = await watched(_nodes(rig, nodes))
                took["nodes"].append(whole / NODES)
                took["pause"].append(pause)
                _, (whole, pause) = await watched(_planned(nodes))
                took["plan"].append(whole)
                took["pause"].append(pause)
                step()
    return _rows(took)


def _spawned() -> float:
    began = time.perf_counter()
    subprocess.Popen("/bin/true").wait()
    return time.perf_counter() - began


def _engine_alone() -> float:
    """Two steps on each node, in the engine only."""
    engine = Engine(Shape([StepShape()] * 2, [f"n{number}" for number in range(NODES)], threads=THREADS))
    began = time.perf_counter()
    running = engine.ready()
    while running:
        engine.finish(running.pop(), succeeded=True)
        running += engine.ready()
    return time.perf_counter() - began


async def _steps(rig: Rig) -> None:
    await rig.carry_out(an_assignment(*[_IDLE] * STEPS), Log(SecretValues()))


async def _nodes(rig: Rig, nodes: list[Node]) -> None:
    dispatch = Dispatch(nodes=nodes, threads=THREADS)
    await rig.carry_out(an_assignment(_IDLE, dispatch=dispatch), Log(SecretValues()))


class _Inventory:
    """Lookups that have everything at hand."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes

    async def job(self, project: str, call: jobs.JobCall) -> jobs.JobDefinition:
        raise AssertionError((project, call))

    async def nodes(self, project: str, dispatch: jobs.NodeDispatch) -> list[Node]:  # noqa: ARG002
        return self._nodes

    async def remote_values(self, option: Option, url: str) -> list[str]:
        raise AssertionError((option, url))


async def _planned(nodes: list[Node]) -> None:
    job = jobs.JobDefinition(
        uuid="j", name="j", project="p", steps=[jobs.Step(plugin="exec", config={"command": "true"})] * STEPS,
        nodes=jobs.NodeDispatch(filter=".*", threadcount=str(THREADS)),
    )  # fmt: skip
    await plan_job(job, Run(execution="e", project="p"), _Inventory(nodes))


def _rows(took: dict[str, list[float]]) -> list[Row]:
    spawn = percentile(took["spawn"], 50)
    pause_ms = percentile(took["pause"], 95) * _MS
    return [
        _share("engine alone, a step", took["engine"], spawn),
        _share("engine and bookkeeping, a step", took["step"], spawn),
        _share(f"the same on {NODES:,} nodes", took["nodes"], spawn),
        Row(
            figure=f"plan of {STEPS} steps, {NODES:,} nodes", unit="ms",
            measured=percentile(took["plan"], 50) * _MS, samples={"plan": summary(took["plan"], scale=_MS)},
        ),
        Row(
            figure="longest pause of these workflows", unit="ms", measured=pause_ms, aim=f"< {PAUSE_AIM_MS:g} ms",
            met=pause_ms < PAUSE_AIM_MS, samples={"pause": summary(took["pause"], scale=_MS)},
        ),
    ]  # fmt: skip


def _share(figure: str, samples: list[float], spawn_s: float) -> Row:
    """A time beside that of a spawn."""
    measured = percentile(samples, 50)
    return Row(
        figure=figure, unit="us", measured=measured * _US, floor=spawn_s * _US, ratio=measured / spawn_s,
        aim=f"< {STEP_AIM:g} x", met=measured < STEP_AIM * spawn_s, samples={"step": summary(samples, scale=_US)},
    )  # fmt: skip
