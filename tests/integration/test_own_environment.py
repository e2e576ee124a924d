"""What stands in the environment of a Runbus' own processes: jobs can read that, and it reaches no log."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
from pathlib import Path

import pytest

from runbus.cli.supervisor import PartSpec, Supervisor
from schemas.states import ExecutionState
from tests.integration.cli_system import Cli
from tests.support.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

MASTER, NEW_MASTER = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
HELD = {"RUNBUS_MASTER_KEY": MASTER, "MYKEY_DB_HOSTS": "k3y-in-the-env", "DB_PASSWORD": "of-the-jobs-0wn"}
STORAGE = {"RUNBUS_KEY_STORAGE_TYPE": "environment", "RUNBUS_KEY_STORAGE_CONFIG_PREFIX": "MYKEY_"}
ENVIRONMENTS = r"""for each in /proc/[0-9]*; do
  found=$(tr '\0' '\n' < $each/environ | grep -a "^RUNBUS_.*MASTER_KEY=\|^RUNBUS_PREFIX=\|^RUNBUS_NOTIFY_S")
  test -z "$found" || echo $(tr '\0' ' ' < $each/cmdline) $found
done 2>/dev/null; true"""
OWN = r"tr '\0' '\n' < /proc/$PPID/environ; tr '\0' '\n' < /proc/$PPID/environ | base64 -w 0"


async def test_the_secrets_given_to_up_stand_in_no_environment(system: System, tmp_path: Path) -> None:
    """Neither in that of ``up`` itself nor in that of a job's runner; nor in those of the parts that need them."""
    cli = Cli.of(system)
    env = {
        "RUNBUS_MASTER_KEY": MASTER,
        "RUNBUS_NEW_MASTER_KEY": NEW_MASTER,
        "RUNBUS_NOTIFY_SECRET": "of-the-webhooks",
    }
    running = await cli.start("up", "--nats-url", system.url, "--data-dir", str(tmp_path / "data"), env=env)
    try:
        await running.says("Ready in", on="out")
        done = await cli("run", "--", ENVIRONMENTS)
        assert done.code == 0, done.err
        own = [line for line in done.text.splitlines() if f"RUNBUS_PREFIX={system.subjects.prefix}" in line]
        blank = "RUNBUS_MASTER_KEY=xxx"
        assert [line for line in own if "services.runner" in line and blank not in line]
        assert [
            line for line in own if "services.keyproxy" in line and blank in line and "_NEW_MASTER_KEY=xxx" in line
        ]
        signed = [line for line in own if "RUNBUS_NOTIFY_SECRET=xxx" in line]
        assert [line for line in signed if "services.dispatcher" in line]
        assert not [line for line in signed if "services.runner" in line]
        assert "of-webhooks" not in done.text
        assert MASTER not in done.text
        assert NEW_MASTER not in done.text
        assert (await cli("keys", "put", "keys/a", stdin=b"value\n")).code == 0, "the keyproxy has it"
        assert not (tmp_path / "data" / "master.key").exists()
    finally:
        running.signal(signal.SIGTERM)
        await running.end()


async def test_up_shows_no_password_of_a_given_nats(system: System, tmp_path: Path) -> None:
    cli, data = Cli.of(system), tmp_path / "data"
    url = system.url.replace("nats://", "nats://ann:bus-passw0rd@")
    running = await cli.start("up", "--nats-url", url, "--data-dir", str(data))
    try:
        await running.says("RUNBUS_NATS_URL: runbus run -- uname -a", on="out")
    finally:
        running.signal(signal.SIGTERM)
        done = await running.end()
    assert f"given    {system.url}\n" in done.text
    assert "bus-passw0rd" not in done.text + done.err
    logs = [path.read_text() for path in (data / "logs").iterdir()]
    assert any('"event":"ready"' in log for log in logs)
    assert not [log for log in logs if "bus-passw0rd" in log]


async def test_up_gives_each_part_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    of_keyproxy = ("RUNBUS_MASTER_KEY", "RUNBUS_MASTER_KEY_FILE", "RUNBUS_NEW_MASTER_KEY", "RUNBUS_KEYS_TAKE_OVER")
    of_dispatcher = ("RUNBUS_NOTIFY_SECRET", "RUNBUS_SMTP_URL")
    for name in (*of_keyproxy, *of_dispatcher):
        monkeypatch.setenv(name, f"of {name}")
    modules = ("keyproxy", "dispatcher", "runner")
    specs = [PartSpec(name=each, module=f"services.{each}", env={"A": "b"}) for each in modules]
    keyproxy, dispatcher, runner = Supervisor(specs, tmp_path, on_ready=lambda _part: None).parts
    assert keyproxy.spec.env == {"A": "b", **{name: f"of {name}" for name in of_keyproxy}}
    assert dispatcher.spec.env == {"A": "b", **{name: f"of {name}" for name in of_dispatcher}}
    assert runner.spec.env == {"A": "b"}
    assert not [name for name in (*of_keyproxy, *of_dispatcher) if name in os.environ]


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
