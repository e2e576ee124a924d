"""``runbus service`` and ``runbus runner start``: the parts as an operator starts them."""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
from pathlib import Path

import pytest

from tests.integration.cli_system import Cli
from tests.support.processes import rss_bytes
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

MAX_RUNNER_RSS_BYTES = 45 << 20


async def test_services_and_runners_are_started_by_the_command(nats_url: str, tmp_path: Path) -> None:
    cli = Cli(nats_url, tmp_path, prefix=f"c{secrets.token_hex(4)}")
    registry = await cli.start("service", "registry", "--log-format", "json")
    dispatcher = await cli.start("service", "dispatcher", "--data-dir", "data", "--connect-wait", "5s")
    await asyncio.gather(registry.says('"ready"'), dispatcher.says('"ready"'))
    assert (tmp_path / "data" / "ledger.sqlite").exists()
    for project in ("shop", "web", "blog"):
        assert (await cli("project", "create", project)).code == 0
    runner = await cli.start(
        "runner", "start", "--id", "web-1", "--tags", "LINUX+DEV", "--tags", "EU", "--project", "shop,web",
        "--project", "blog", "--local", "--max-running", "2", "--grace", "1s",
    )  # fmt: skip
    await runner.says('"ready"')

    async def healthy() -> bool:
        return " Healthy " in (await cli("runner", "list")).text

    await eventually(healthy)
    shown = (await cli("runner", "show", "web-1", "--json")).json["runner"]
    assert shown["tags"] == ["dev", "eu", "linux"]
    assert shown["projects"] == ["shop", "web", "blog"]
    assert (shown["local"], shown["max_running"]) == (True, 2)
    ran = await cli("run", "--project", "web", "--tags", "EU+DEV", "--", "echo $RD_JOB_PROJECT")
    assert (ran.code, ran.out) == (0, b"web\n")
    assert rss_bytes(runner.process.pid) < MAX_RUNNER_RSS_BYTES

    for part in (runner, dispatcher, registry):
        part.signal(signal.SIGTERM)
        done = await part.end()
        assert done.code == 0, done.err


async def test_a_runner_of_an_unknown_project_says_so(nats_url: str, tmp_path: Path) -> None:
    cli = Cli(nats_url, tmp_path, prefix=f"c{secrets.token_hex(4)}")
    registry = await cli.start("service", "registry")
    await registry.says('"ready"')
    done = await cli("--project", "nix", "runner", "start", "--id", "web-1")
    assert done.code == 1
    assert re.search(r"project 'nix' is not known; there are: default", done.err)
    registry.signal(signal.SIGINT)
    assert (await registry.end()).code == 0
