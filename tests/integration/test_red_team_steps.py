"""What steps hand on, how they are called and how they fail: with no secret in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from schemas import catalog
from schemas.api import JobPutRequest, RunRequest
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.sources import SourceDefinition, SourcePutRequest, SourceRefreshRequest
from schemas.states import ExecutionState
from tests.support.automatic import automatic
from tests.support.keydirs import key_files
from tests.support.leaks import forms, found_in, secrets
from tests.support.overheard import files_below, overheard, stored
from tests.support.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

NAMES: Final = {f"s{number}": value for number, value in enumerate(secrets(40))}
ONE_LINE: Final = {name: value for name, value in NAMES.items() if "\n" not in value}
DMZ: Final = RunnerSelector(mode=SelectorMode.TAGS, filter="dmz")


class Nest:
    """A Runbus with keys, whose every byte is looked at in the end."""

    def __init__(self, system: System, own: Path) -> None:
        self.system = system
        self.own = own

    async def run(self, name: str, *, state: ExecutionState) -> str:
        """What the job printed."""
        view = await self.system.client.run_sealed(RunRequest(job=name, options={**NAMES}, wait_s=60.0))
        assert view.state is state, view.error
        return "".join(
            [(await self.system.output(view.id, each)).decode() for each in ("stdout", "stderr", "runner")]
        )

    async def put(self, *jobs: str) -> None:
        await self.system.client.call(catalog.JOB_PUT, JobPutRequest(text="".join(jobs)))

    async def end(self, heard: list[bytes]) -> None:
        found = await stored(self.system)
        await self.system.close()
        told = b"\n".join([*heard, found, files_below(self.system.directory, but=[self.own])])
        assert found_in(told, NAMES) == []


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory of the test's own, in which secrets may stand."""
    directory = tmp_path / "own"
    directory.mkdir()
    return directory


def job(name: str, commands: str, options: str = "", more: str = "") -> str:
    return (
        f"- {{name: {name}, uuid: {name}, options: [{options}], {more}"
        f"sequence: {{keepgoing: true, commands: [{commands}]}}}}\n"
    )


def typed(*names: str) -> str:
    return ", ".join(f"{{name: {name}, secure: true, valueExposed: true}}" for name in names)


def kept(*names: str) -> str:
    return ", ".join(
        f"{{name: {name}, secure: true, valueExposed: true, required: true, storagePath: runner/{name}}}"
        for name in names
    )


async def test_what_a_called_job_reads_is_hidden_from_there_on(system: System, own: Path) -> None:
    """The called job writes its keys into a file, its caller prints that."""
    await system.up("local", keys_dir=str(key_files(own / "keys", **NAMES)))
    file = own / "written"
    inner = job("inner", f"{{script: 'env | grep -z RD_OPTION | tee {file}'}}", kept(*NAMES))
    nest = Nest(system, own)
    async with overheard(system) as heard:
        commands = f"{{jobref: {{name: inner, group: ''}}}}, {{exec: cat {file}}}"
        await nest.put(job("outer", commands), inner)
        view = await system.client.run(RunRequest(job="outer", wait_s=60.0))
        assert view.state is ExecutionState.SUCCEEDED, view.error
        printed = await system.output(view.id)
        assert printed.count(b"[SECURE]") >= 2 * len(NAMES)
        await nest.end(heard)


async def test_the_words_in_which_a_step_fails(system: System, own: Path) -> None:
    """Its command is a secret, its script, its interpreter, its argument; and a handler is told of it."""
    await system.up("local")
    nest = Nest(system, own)
    handler = "errorhandler: {script: 'echo $RD_RESULT_MESSAGE @result.message@', keepgoingOnSuccess: true}"
    commands = ", ".join(
        f"{{{step}, description: 'as ${{option.{name}}}', {handler}}}"
        for name in NAMES
        for step in (
            f"scriptfile: '/none/${{option.{name}}}'", f"exec: '${{option.{name}}} now'",
            f"scripturl: 'http://127.0.0.1:1/${{option.{name}}}'",
            f"script: 'exit 3', scriptInterpreter: '${{option.{name}}}', args: '${{option.{name}}}'",
        )
    )  # fmt: skip
    async with overheard(system) as heard:
        await nest.put(job("failing", commands, typed(*NAMES)))
        printed = await nest.run("failing", state=ExecutionState.FAILED)
        assert printed.count("[SECURE]") > len(NAMES)
        await nest.end(heard)


async def test_data_that_steps_hand_on_to_other_runners(system: System, own: Path) -> None:
    """Values and names of what was captured; the next step, on the same node, prints what it was given of it."""
    await automatic(system, "a", "b", nodes=1)
    nest = Nest(system, own)
    said = own / "said.json"
    said.write_text(json.dumps({name: sorted({value, *forms(value)}) for name, value in ONE_LINE.items()}))
    script = (
        "import json, os\n"
        f"for name, texts in json.load(open({str(said)!r})).items():\n"
        "    assert os.environ['RD_OPTION_' + name.upper()] in texts\n"
        "    for number, text in enumerate(texts):\n"
        "        print(f'RUNDECK:DATA:{name}_{number}={text}')\n"
        "        print(f'RUNDECK:DATA:k{text}={name}')\n"
    )
    capture = "plugins: {LogFilter: [{type: key-value-data, config: {logData: 'true'}}]}"
    commands = (
        f"{{script: {json.dumps(script)}, scriptInterpreter: python3, {capture}}}, "
        "{script: 'env | grep -a RD_DATA'}"
    )
    async with overheard(system) as heard:
        await nest.put(job("data", commands, typed(*NAMES), "nodefilters: {filter: 'name: .*'}, "))
        printed = await nest.run("data", state=ExecutionState.SUCCEEDED)
        assert "RD_DATA_" in printed
        await nest.end(heard)


async def test_nodes_whose_every_part_is_a_secret(system: System, own: Path) -> None:
    """Names, tags, names of attributes and their values, as a source of the runner gives them."""
    values = dict(list(ONE_LINE.items())[:12])
    nodes = {
        f"node {value}": {"hostname": value, f"x{value}": "y", "tags": ["web", value], "note": form}
        for value in values.values()
        for form in sorted(forms(value))[:1]
    }
    (own / "nodes.json").write_text(json.dumps(nodes))
    system.start_nodesource()
    await system.up("local")
    env = {f"A{name}_TOKEN": value for name, value in values.items()}
    system.start_runner("a1", "DMZ", program=True, env=env)
    await system.runners_ready("a1")
    await system.run("true", "dmz")  # binds it: once we listen to all, NATS says no more that nobody answers
    source = SourceDefinition(
        name="secretive", type="file", interval_s=0.0, runner=DMZ, config={"file": str(own / "nodes.json")}
    )
    async with overheard(system) as heard:
        await system.client.call(catalog.SOURCE_PUT, SourcePutRequest(source=source), timeout_s=30)
        reply = await system.client.call(
            catalog.SOURCE_REFRESH, SourceRefreshRequest(name="secretive"), timeout_s=30
        )  # fmt: skip
        assert reply.state.error is None, reply.state.error
        await Nest(system, own).end(heard)
