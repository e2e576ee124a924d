"""What stands in the environment of a Runbus' own processes: jobs can read that, and it reaches no log."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import signal
import sys
from pathlib import Path

import pytest

from runbus.cli import supervisor
from runbus.cli.supervisor import PartSpec, Supervisor
from schemas.states import ExecutionState
from tests.integration.cli_system import Cli
from tests.support.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

MASTER, NEW_MASTER = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
HELD = {"RUNBUS_MASTER_KEY": MASTER, "MYKEY_DB_HOSTS": "k3y-in-the-env", "DB_PASSWORD": "of-the-jobs-0wn"}
STORAGE = {"RUNBUS_KEY_STORAGE_TYPE": "environment", "RUNBUS_KEY_STORAGE_CONFIG_PREFIX": "MYKEY_"}
ENVIRONMENTS = r"""for each in /proc/[0-9]*; do
  case $(tr '\0' ' ' < $each/cmdline) in *services.keyproxy*) continue;; esac
  tr '\0' '\n' < $each/environ | grep -a "^RUNBUS_.*MASTER_KEY=\|^RUNBUS_PREFIX="
done 2>/dev/null; true"""
OWN = r"tr '\0' '\n' < /proc/$PPID/environ; tr '\0' '\n' < /proc/$PPID/environ | base64 -w 0"


async def test_only_the_keyproxy_of_up_is_given_the_master_key(system: System, tmp_path: Path) -> None:
    """Neither a job's runner has it, nor NATS, nor ``up`` itself."""
    cli = Cli.of(system)
    env = {"RUNBUS_MASTER_KEY": MASTER, "RUNBUS_NEW_MASTER_KEY": NEW_MASTER}
    running = await cli.start("up", "--nats-url", system.url, "--data-dir", str(tmp_path / "data"), env=env)
    try:
        await running.says("Ready in", on="out")
        done = await cli("run", "--", ENVIRONMENTS)
        assert done.code == 0, done.err
        assert f"RUNBUS_PREFIX={system.subjects.prefix}" in done.text, "it has looked at the runner at least"
        assert MASTER not in done.text
        assert NEW_MASTER not in done.text
        assert (await cli("keys", "put", "keys/a", stdin=b"value\n")).code == 0, "the keyproxy has it"
        assert not (tmp_path / "data" / "master.key").exists()
    finally:
        running.signal(signal.SIGTERM)
        await running.end()


async def test_up_gives_each_part_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("RUNBUS_MASTER_KEY", "RUNBUS_MASTER_KEY_FILE", "RUNBUS_NEW_MASTER_KEY", "RUNBUS_KEYS_TAKE_OVER")
    for name in names:
        monkeypatch.setenv(name, f"of {name}")
    specs = [PartSpec(name=each, module=f"services.{each}", env={"A": "b"}) for each in ("keyproxy", "runner")]
    keyproxy, runner = Supervisor(specs, tmp_path, on_ready=lambda _part: None).parts
    assert keyproxy.spec.env == {"A": "b", **{name: f"of {name}" for name in names}}
    assert runner.spec.env == {"A": "b"}
    assert not [name for name in names if name in os.environ]


async def test_what_a_process_was_started_with_is_blanked_out() -> None:
    code = (
        f"from {supervisor.__name__} import Supervisor; Supervisor([], None, on_ready=None); "
        "print(open('/proc/self/environ').read().replace(chr(0), chr(10)))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "RUNBUS_MASTER_KEY": MASTER, "RUNBUS_PREFIX": "kept"},
    )  # fmt: skip
    said, _ = await process.communicate()
    assert b"RUNBUS_MASTER_KEY=xxxx" in said
    assert b"RUNBUS_PREFIX=kept" in said
    assert MASTER.encode() not in said


async def test_what_jobs_are_not_given_is_masked(system: System) -> None:
    """Keys in the environment, the runner's own settings, the password of the bus: found in ``/proc``."""
    url = system.url.replace("nats://", "nats://ann:bus-passw0rd@")
    await system.up()
    part = system.start_runner("a1", "LINUX", program=True, env={**HELD, **STORAGE}, nats_url=url)
    await system.runners_ready("a1")
    ended = await system.run(OWN, tags="linux", wait_s=30.0)
    assert ended.state is ExecutionState.SUCCEEDED
    printed = (await system.output(ended.id)).decode()
    part.check()
    assert "RUNBUS_RUNNER_ID=a1" in printed
    for name, value in HELD.items():
        assert f"{name}=[SECURE]" in printed
        assert value not in printed
    assert "bus-passw0rd" not in printed
    assert "RUNBUS_NATS_URL=nats://ann:[SECURE]@" in printed


async def test_the_same_holds_for_a_source_that_is_asked_here(tmp_path: Path) -> None:
    script = tmp_path / "nodes.sh"
    script.write_text(
        '#!/bin/sh\nprintf \'{"n1": {"hostname": "h", "own": "%s", "parent": "%s"}}\' '
        '"$(env | tr "\\n" " ")" "$(tr "\\0" " " < /proc/$PPID/environ)"\n'
    )
    script.chmod(0o700)
    cli = Cli("nats://ann:bus-passw0rd@127.0.0.1:9", tmp_path)
    done = await cli(
        "nodes", "discover", "script", "--config", f"file={script}", "--config", "format=resourcejson", "--json",
        env={**HELD, **STORAGE},
    )  # fmt: skip
    assert done.code == 0, done.err
    (node,) = json.loads(done.out)["nodes"]
    own, parent = node["attributes"]["own"], node["attributes"]["parent"]
    assert "MYKEY_" not in own
    assert "DB_PASSWORD=[SECURE]" in own
    for name in HELD:
        assert f"{name}=[SECURE]" in parent
    for value in (*HELD.values(), "bus-passw0rd"):
        assert value not in done.text
