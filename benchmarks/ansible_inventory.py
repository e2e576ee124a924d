"""An Ansible inventory of 2,000 hosts: what the node source adds to ``ansible-inventory --list`` itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.report import Row
from services.runner.discovery import Asked, Question
from services.runner.sources.ansible import AnsibleInventory
from services.runner.sources.ansible.config import AnsibleConfig

HOSTS: Final = 2_000
AIM: Final = 1.2
"""Our time is to be less than this many times Ansible's own."""
_TIMEOUT_S: Final = 300.0
_SCRIPT: Final = """#!{python}
import json
hosts = {{
    f"web{{n:05}}": {{"ansible_host": f"10.0.{{n >> 8}}.{{n & 255}}", "ansible_user": "deploy", "rack": n % 40}}
    for n in range({hosts})
}}
groups = {{f"z{{z}}": {{"hosts": list(hosts)[z::8], "vars": {{"zone": z}}}} for z in range(8)}}
print(json.dumps({{"_meta": {{"hostvars": hosts}}, "prod": {{"children": list(groups)}}, **groups}}))
"""


class Took(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement, in seconds."""

    ours_s: float
    floor_s: float
    """``ansible-inventory --list`` alone, its output read and thrown away."""

    @property
    def times(self) -> float:
        """How many times Ansible's own time ours is."""
        return self.ours_s / self.floor_s


async def measure(*, hosts: int = HOSTS, blocks: int = 1) -> Took:
    """The fastest of so many runs of each, one after the other. Raises where Ansible is missing or hosts are."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    if shutil.which("ansible-inventory", path=env["PATH"]) is None:
        raise RuntimeError("ansible-inventory is not in PATH; install ansible-core")
    ours, floor = [], []
    with _inventory(hosts) as inventory:
        for _ in range(blocks):
            floor.append(await asyncio.to_thread(_plain, inventory, env))
            ours.append(await _discovered(inventory, env, hosts))
    return Took(ours_s=min(ours), floor_s=min(floor))


async def row(*, blocks: int) -> Row:
    """The figure of :func:`measure`; without Ansible there is none."""
    figure = f"Ansible, {HOSTS:,} hosts"
    try:
        took = await measure(blocks=blocks)
    except RuntimeError as cause:
        return Row(figure=f"{figure}: {cause}", unit="", measured=0.0)
    return Row(
        figure=figure, unit="s", measured=took.ours_s, floor=took.floor_s, ratio=took.times, aim=f"<= {AIM:g} x",
        met=took.times <= AIM,
    )  # fmt: skip


@contextmanager
def _inventory(hosts: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "inventory.py"
        path.write_text(_SCRIPT.format(python=sys.executable, hosts=hosts))
        path.chmod(0o755)
        yield path


def _plain(inventory: Path, env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(
        ["ansible-inventory", f"--inventory={inventory}", "--list"], env=env, check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began


async def _discovered(inventory: Path, env: dict[str, str], hosts: int) -> float:
    question = Question(project="bench", source="ansible", type="ansible", config={}, timeout_s=_TIMEOUT_S)
    settings = {"ansible-inventory": str(inventory), "ansible-import-inventory-vars": "true"}
    config = msgspec.convert(settings, AnsibleConfig, strict=False)
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        found = await AnsibleInventory().discover(config, Asked("bench", question, Path(directory), env, None))
        took = time.perf_counter() - began
    if len(found.nodes) != hosts:
        raise RuntimeError(f"{len(found.nodes)} of {hosts} hosts were found")
    return took
