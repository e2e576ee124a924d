"""Everything that a secret could leak through is searched for it: the bus, the streams, the files, the logs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from schemas import catalog
from schemas.api import ExecutionView, JobPutRequest, RunRequest
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.nodes import NodeListRequest
from schemas.sources import SourceDefinition, SourcePutRequest, SourceRefreshRequest
from schemas.states import ExecutionState
from tests.support.keydirs import put_key
from tests.support.leaks import forms, found_in, secrets
from tests.support.leakyjob import DONE, SCRIPT, write_forms
from tests.support.overheard import files_below, overheard, stored
from tests.support.receivers import web_receiver
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COUNT: Final = 100
DMZ: Final = RunnerSelector(mode=SelectorMode.TAGS, filter="dmz")
ENV: Final = ("DMZ_PASSWORD", "api_token", "Deploy_Key")
ALL: Final = secrets(COUNT + 6)
"""Of options, of the runner's environment, told by the script itself."""
OPTIONS: Final = {f"s{number}": value for number, value in enumerate(ALL[:COUNT])}
IN_ENV: Final = dict(zip(ENV, ALL[COUNT : COUNT + 3], strict=True))
TOLD: Final = {f"told{number}": value for number, value in enumerate(ALL[COUNT + 3 :])}
TYPED: Final = {name: value for name, value in OPTIONS.items() if int(name[1:]) % 5 == 4}
KEPT: Final = {name: value for name, value in OPTIONS.items() if int(name[1:]) % 2 and name not in TYPED}
"""By the runner; the rest is the centre's."""
NAMES: Final = {**OPTIONS, **IN_ENV, **TOLD}


async def test_a_hundred_secrets_in_every_form_reach_nobody(system: System, tmp_path: Path) -> None:
    own = tmp_path / "own"
    for name, value in KEPT.items():
        put_file(own / name, value)
    put_file(own / "inputs" / "nodes.sh", '#!/bin/sh\ncat "$(dirname "$0")/nodes.json"\n')
    attributes = {name: f"<{value}> {json.dumps(value)}" for name, value in IN_ENV.items()}
    put_file(own / "inputs" / "nodes.json", json.dumps({"n1": {"hostname": "n1", **attributes}}))
    count = write_forms(own / "inputs" / "forms.json", options=OPTIONS, env=IN_ENV, told=TOLD)

    await started(system, own)
    async with overheard(system) as heard, web_receiver() as web:
        for name in OPTIONS.keys() - KEPT.keys() - TYPED.keys():
            await put_key(system.client, f"keys/{name}", OPTIONS[name])
        view = await leaked(system, web.url)
        await discovered(system, own / "inputs")
        await eventually(lambda: web.calls, what="the notification comes")
        printed = b"".join([await system.output(view.id, each) for each in ("stdout", "stderr", "runner")])
        assert DONE in printed
        assert printed.count(b"[SECURE]") > count
        told = [*heard, printed, await stored(system), *(call.body for call in web.calls), repr(web.calls).encode()]
        await system.close()
    told.append(files_below(system.directory, but=[own]))
    assert len(heard) > COUNT
    assert found_in(b"\n".join(told), NAMES) == []


def put_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() + b"\n")
    path.chmod(0o600)


async def started(system: System, own: Path) -> None:
    """Every part as a process of its own that logs all it can."""
    for start in (system.start_registry, system.start_dispatcher, system.start_keyproxy, system.start_nodesource):
        start(program=True, log_level="debug")
    env = {"FORMS": str(own / "inputs" / "forms.json"), **IN_ENV}
    await system.ready()
    system.start_runner("a1", "DMZ", program=True, env=env, keys_dir=str(own), log_level="debug")
    await system.runners_ready("a1")


async def leaked(system: System, url: str) -> ExecutionView:
    """The job's end."""
    options = ", ".join(option(name) for name in OPTIONS)
    commands = f"""\
    - script: {json.dumps(SCRIPT)}
      scriptInterpreter: python3
      description: log in with ${{option.s0}} and ${{option.s4}}
      errorhandler: {{exec: 'echo ${{result.message}} ${{result.reason}}', keepgoingOnSuccess: false}}
"""
    text = f"""\
- name: leak
  uuid: leak
  loglevel: DEBUG
  description: with ${{option.s0}}
  runnerSelector: {{runnerFilterMode: TAGS, filter: dmz}}
  options: [{options}]
  notification: {{onfailure: [{{urls: '{url}/failed', format: json}}, {{urls: '{url}/?of=${{option.s0}}'}}]}}
  sequence:
    commands:
{commands}"""
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
    view = await system.client.run_sealed(RunRequest(job="leak", options={**TYPED}, wait_s=120.0))
    assert view.state is ExecutionState.FAILED, view.state
    return view


def option(name: str) -> str:
    path = "" if name in TYPED else f", storagePath: {'runner' if name in KEPT else 'keys'}/{name}"
    return f"{{name: {name}, secure: true, valueExposed: true, required: true{path}}}"


async def discovered(system: System, inputs: Path) -> None:
    """A node source that puts secrets of its runner into attributes."""
    source = SourceDefinition(
        name="script", type="script", interval_s=0.0, runner=DMZ,
        config={"file": str(inputs / "nodes.sh"), "interpreter": "/bin/sh", "format": "resourcejson"},
    )  # fmt: skip
    await system.client.call(catalog.SOURCE_PUT, SourcePutRequest(source=source), timeout_s=30)
    refresh = SourceRefreshRequest(name="script")
    state = (await system.client.call(catalog.SOURCE_REFRESH, refresh, timeout_s=30)).state
    assert (state.count, state.error) == (1, None)
    reply = await system.client.call(catalog.NODE_LIST, NodeListRequest(filter="n1"))
    shown: Mapping[str, str] = reply.nodes[0].attributes
    assert {shown[name] for name in IN_ENV} <= {"<[SECURE]> [SECURE]", '<[SECURE]> "[SECURE]"'}


def test_the_search_finds_every_form() -> None:
    for name, secret in NAMES.items():
        for form in forms(secret):
            assert (name, form) in found_in(f"x{form}y".encode(), {name: secret})
        assert found_in(b"[SECURE] and nothing else", {name: secret}) == []
