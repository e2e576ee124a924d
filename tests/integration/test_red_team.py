"""Everything that a secret could leak through is searched for it: the bus, the streams, the files, the logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from bus.connection import Heard
from schemas import catalog
from schemas.api import JobPutRequest, RunRequest
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.nodes import NodeListRequest
from schemas.sources import SourceDefinition, SourcePutRequest, SourceRefreshRequest
from schemas.states import ExecutionState
from tests.integration.test_secure_options import everything
from tests.support.keydirs import put_key
from tests.support.leaks import forms, found_in, secrets
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COUNT: Final = 100
DMZ: Final = RunnerSelector(mode=SelectorMode.TAGS, filter="dmz")

# What is printed comes in a file of forms, read by the job: nothing of it stands in the job itself.
LEAK: Final = """\
import json, os, random, sys, time
forms = json.load(open(os.environ["FORMS"]))
chance = random.Random(7)
def byte_by_byte(data, out):
    for at in range(len(data)):
        out.write(data[at:at + 1]); out.flush()
def in_pieces(data, out):
    at = 0
    while at < len(data):
        size = chance.randint(1, 40)
        out.write(data[at:at + size]); out.flush()
        at += size
for name, texts in forms.items():
    value = os.environ.get("RD_OPTION_" + name.upper(), "")
    assert value == texts[0], name
    for number, text in enumerate(texts):
        out = (sys.stdout, sys.stderr)[number % 2].buffer
        data = ("[" + text + "]\\n").encode()
        if number == 0 and len(data) < 200:
            byte_by_byte(data, out)
        elif number % 3 == 0:
            in_pieces(data, out)
        else:
            out.write(data)
    sys.stdout.buffer.write(json.dumps({"value": [value]}).encode() + b"\\n")
    sys.stdout.buffer.write(repr([value]).encode() + b"\\n")
    sys.stdout.flush()
print("done, all of them")
sys.stdout.flush()
class Odd(Exception): pass
raise Odd(*[os.environ["RD_OPTION_" + name.upper()] for name in forms])
"""


@asynccontextmanager
async def overheard(system: System) -> AsyncIterator[list[bytes]]:
    """Everything that anybody publishes, while this lasts."""
    heard: list[bytes] = []

    async def hear(message: Heard) -> None:
        heard.append(message.subject.encode() + b" " + message.data)

    await system.bus.subscribe(">", hear)
    await system.bus.flush()
    yield heard
    await system.bus.flush()


def files_below(directory: Path, *, but: set[Path]) -> bytes:
    """All that any part has written: ledgers, the file of keys, logs, work directories."""
    return b"".join(
        path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(each) for each in but)
    )


async def test_a_hundred_secrets_in_every_form_reach_nobody(system: System, tmp_path: Path) -> None:
    names = {f"s{number}": value for number, value in enumerate(secrets(COUNT))}
    kept = {name: value for name, value in names.items() if int(name[1:]) % 2}
    own = tmp_path / "own"
    inputs = own / "inputs"
    inputs.mkdir(parents=True)
    for name, value in kept.items():
        (own / name).write_bytes(value.encode() + b"\n")
        (own / name).chmod(0o600)
    said = {name: [value, *sorted(forms(value))] for name, value in names.items()}
    (inputs / "forms.json").write_text(json.dumps(said))
    (inputs / "nodes.sh").write_text(
        '#!/bin/sh\nprintf \'{"n1": {"hostname": "n1", "note": "%s"}}\' "$DMZ_PASSWORD"\n'
    )

    system.start_keyproxy()
    await system.up("local")
    system.start_nodesource()
    env = {"FORMS": str(inputs / "forms.json"), "DMZ_PASSWORD": names["s0"]}
    system.start_runner("a1", "DMZ", program=True, env=env, keys_dir=str(own))
    await system.runners_ready("a1")
    async with overheard(system) as heard:
        for name in names.keys() - kept.keys():
            await put_key(system.client, f"keys/{name}", names[name])
        view_id = await leaked(system, names, kept)
        await discovered(system, inputs)
        printed = b"".join([await system.output(view_id, each) for each in ("stdout", "stderr", "runner")])
        assert b"done, all of them" in printed
        assert printed.count(b"[SECURE]") > sum(map(len, said.values()))
        haystack = b"".join([*heard, printed, await everything(system)])
    haystack += files_below(system.directory, but={own})
    assert len(heard) > COUNT
    assert found_in(haystack, names) == []


async def leaked(system: System, names: dict[str, str], kept: dict[str, str]) -> str:
    options = [
        f"{{name: {name}, secure: true, valueExposed: true, required: true, "
        f"storagePath: {'runner' if name in kept else 'keys'}/{name}}}"
        for name in names
    ]
    text = f"""\
- name: leak
  uuid: leak
  runnerSelector: {{runnerFilterMode: TAGS, filter: dmz}}
  options: [{", ".join(options)}]
  sequence:
    commands:
    - script: {json.dumps(LEAK)}
      scriptInterpreter: python3
"""
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
    view = await system.client.run(RunRequest(job="leak", wait_s=120.0))
    assert view.state is ExecutionState.FAILED, view.state
    return view.id


async def discovered(system: System, inputs: Path) -> None:
    """A node source that puts a secret into an attribute."""
    source = SourceDefinition(
        name="script", type="script", interval_s=0.0, runner=DMZ,
        config={"file": str(inputs / "nodes.sh"), "interpreter": "/bin/sh", "format": "resourcejson"},
    )  # fmt: skip
    await eventually(lambda: answers(system), what="nodesource answers")
    await system.client.call(catalog.SOURCE_PUT, SourcePutRequest(source=source), timeout_s=30)
    state = (
        await system.client.call(catalog.SOURCE_REFRESH, SourceRefreshRequest(name="script"), timeout_s=30)
    ).state
    assert (state.count, state.error) == (1, None)
    reply = await system.client.call(catalog.NODE_LIST, NodeListRequest(filter="n1"))
    assert reply.nodes[0].attributes["note"] == "[SECURE]"


async def answers(system: System) -> bool:
    try:
        await system.client.call(catalog.NODE_LIST, NodeListRequest(), timeout_s=1)
    except Exception:  # noqa: BLE001  (not there yet)
        await asyncio.sleep(0)
        return False
    return True


def test_the_search_finds_every_form() -> None:
    for name, secret in {f"s{number}": value for number, value in enumerate(secrets(COUNT))}.items():
        for form in forms(secret):
            assert (name, form) in found_in(f"x{form}y".encode(), {name: secret})
        assert found_in(b"[SECURE] and nothing else", {name: secret}) == []
