"""Jobs, executions, runners and projects: what the commands show, for people and as JSON."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from runbus.contract import DOCUMENTS
from schemas import api
from schemas.codec import decode
from schemas.jobs import JobDefinition
from tests.integration.cli_system import Cli, Done
from tests.support.system import System

pytestmark = pytest.mark.slow

_ID = r"[0-9a-z]{26}"
_JOBS = """\
- name: hello
  group: demo
  description: Says hello.
  project: elsewhere
  runnerSelector: {filter: "LINUX,DEV", runnerFilterMode: TAGS, runnerFilterType: TAG_FILTER_AND}
  sequence:
    commands:
      - exec: echo hello
        description: greet
      - script: |
          #!/bin/sh
          echo "$@" >&2
          exit 4
        args: a b
      - exec: echo never
- name: anywhere
  project: elsewhere
  runnerSelectorEditable: true
  sequence: {commands: [{exec: echo here}]}
"""


def narrow(done: Done) -> list[str]:
    """The lines of an output made for 80 columns."""
    assert done.code == 0, done.err
    lines = done.text.splitlines()
    assert max(map(len, lines), default=0) <= 80, done.text
    return lines


def facts(done: Done) -> dict[str, str]:
    """The ``label  value`` lines of an output, the first of each label."""
    found: dict[str, str] = {}
    for line in done.text.splitlines():
        label, _, value = line.strip().partition("  ")
        found.setdefault(label, value.strip())
    return found


async def test_jobs_are_put_shown_run_and_removed(system: System) -> None:
    cli = Cli.of(await system.up("local", "web-1:LINUX,DEV"))
    (cli.directory / "jobs.yaml").write_text(_JOBS)
    created, updated = await cli("job", "put", "jobs.yaml"), await cli("job", "put", "--json", "jobs.yaml")
    assert re.fullmatch(r"created demo/hello \(.{36}\)\ncreated anywhere \(.{36}\)\n", created.text)
    ignored = "project: ignored: a job goes into the project it is put into"
    assert created.err == f"Warning: jobs.yaml:4:3, jobs.yaml:17:3: {ignored}\n"
    (reply,) = (decode(_bytes(each), api.JobPutReply) for each in updated.json)
    assert [job.ref.path for job in reply.updated] == ["demo/hello", "anywhere"]

    listed, as_json = await asyncio.gather(
        cli("job", "list", env={"COLUMNS": "80"}), cli("job", "list", "--json")
    )  # fmt: skip
    assert [line.split()[0] for line in narrow(listed)] == ["JOB", "anywhere", "demo/hello"]
    assert [job.name for job in decode(as_json.out, api.JobList).jobs] == ["anywhere", "hello"]

    shown, definition = await asyncio.gather(
        cli("job", "show", "demo/hello", env={"COLUMNS": "80"}), cli("job", "show", reply.updated[0].uuid, "--json")
    )
    assert facts(shown)["runs on"] == "LINUX,DEV"
    assert "step 2       script\n" in shown.text
    assert decode(definition.out, JobDefinition) == reply.updated[0]

    ran, moved = await asyncio.gather(
        cli("job", "run", "demo/hello"), cli("job", "run", "anywhere", "--tags", "LINUX", "--json")
    )
    assert (ran.code, ran.out) == (4, b"hello\n")
    assert ran.err.splitlines()[1] == "a b"
    assert "step 2 (script) failed: exit code 4. (step_failed, id " in ran.last_remark
    assert moved.final.runner == "web-1"
    refused = await cli("job", "run", "demo/hello", "--local")
    assert (refused.code, "(runner_change_refused, id " in refused.err) == (125, True)

    removed = await cli("job", "remove", "demo/hello")
    assert removed.text == "Removed demo/hello.\n"
    assert (await cli("job", "show", "demo/hello")).code == 125


def _bytes(value: Any) -> bytes:
    import msgspec  # noqa: PLC0415  (what one command printed, taken apart)

    return msgspec.json.encode(value)


async def test_executions_are_found_by_what_they_are(system: System) -> None:
    cli = Cli.of(await system.up("local", "web-1:LINUX"))
    for command, tags in (("echo plum; false", ""), ("echo pear", "LINUX"), ("sleep 0; true", "LINUX")):
        await system.run(command, tags)
    searches: dict[tuple[str, ...], list[str]] = {
        (): ["sleep 0; true", "echo pear", "echo plum; false"],
        ("--state", "failed", "--state", "lost"): ["echo plum; false"],
        ("--runner", "web-1", "--limit", "1"): ["sleep 0; true"],
        ("--text", "pear", "--since", "1h"): ["echo pear"],
        ("--until", "1h"): [],
        ("--since", "2020-01-31", "--until", "2020-02-01T08:00"): [],
        ("--job", "nix"): [],
    }
    done = await asyncio.gather(*(cli("execution", "list", "--json", *words) for words in searches))
    pages = [decode(each.out, api.ExecutionPage) for each in done]
    assert [[view.title for view in page.executions] for page in pages] == list(searches.values())
    behind = await cli("execution", "list", "--cursor", pages[2].next_cursor, env={"COLUMNS": "80"})
    title, *rows = narrow(behind)
    assert title.split() == ["ID", "STATE", "QUEUED", "TOOK", "RUNNER", "TITLE"]
    assert [row.split()[4:] for row in rows] == [["web-1", "echo", "pear"], ["local", "echo", "plum;", "false"]]
    assert (await cli("execution", "list", "--runner", "nix")).err == "No executions.\n"


async def test_tables_fold_and_never_cut_an_id(system: System) -> None:
    cli = Cli.of(await system.up("a-runner-with-a-rather-long-name:LINUX"))
    long = "echo " + " ".join(f"word{number}" for number in range(12))
    view = await system.run(long, "LINUX")
    piped, at_80, at_40 = await asyncio.gather(
        cli("execution", "list"),
        cli("execution", "list", env={"COLUMNS": "80"}),
        cli("execution", "list", env={"COLUMNS": "40"}),
    )
    assert len(piped.text.splitlines()) == 2
    for part in (view.id, long, "a-runner-with-a-rather-long-name"):
        assert part in piped.text
    assert view.id in "\n".join(narrow(at_80))
    at = at_80.text.index("TITLE")
    folded = "".join(line[at:].strip() for line in at_80.text.splitlines()[1:])
    assert folded.replace(" ", "") == long[:39].replace(" ", "") + "…"
    at = at_80.text.index("RUNNER")
    assert (
        "".join(line[at:].split(" ")[0] for line in at_80.text.splitlines()[1:]) == "a-runner-with-a-rather-long-name"
    )
    assert f"id           {view.id}\n" in at_40.text


async def test_an_execution_is_shown_with_its_steps_and_its_log(system: System) -> None:
    cli = Cli.of(await system.up("local", "web-1:LINUX,DEV"))
    (cli.directory / "jobs.yaml").write_text(_JOBS)
    await cli("job", "put", "jobs.yaml")
    ran = await cli("job", "run", "demo/hello", "--json")
    shown, as_json, log, stamped, pieces = await asyncio.gather(
        cli("execution", "show", ran.final.id, env={"COLUMNS": "80"}),
        cli("execution", "show", ran.final.id, "--json"),
        cli("execution", "log", ran.final.id),
        cli("execution", "log", ran.final.id, "--timestamps", "--follow"),
        cli("execution", "log", ran.final.id, "--json"),
    )
    assert narrow(shown)[0] == "runner       web-1 (dev+linux)"
    assert re.search(r"^state +failed, exit code 4, \S+$", shown.text, re.M)
    assert re.search(r"^error +step 2 \(script\) failed: exit code 4\.\n +\(step_failed, id ", shown.text, re.M)
    assert re.search(r"^step 3 +exec\n  command +echo never\n  state +not run$", shown.text, re.M)
    assert decode(as_json.out, api.ExecutionView) == ran.final
    assert (log.out, log.err) == (b"hello\n", "a b\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} hello\n", stamped.text)
    assert [piece["entries"][0]["text"] for piece in pieces.lines] == ["hello\n", "a b\n"]
    rest = await cli("execution", "log", ran.final.id, "--offset", str(pieces.lines[0]["offset"]))
    assert (rest.out, rest.err) == (b"", "a b\n")


async def test_runners_are_listed_shown_and_pinged(system: System) -> None:
    cli = Cli.of(await system.up("local", "web-1:LINUX,DEV"))
    await cli("runner", "create", "new-1", "--tags", "A,B", "--description", "a new one")
    listed, healthy, as_json, shown, ping, pong = await asyncio.gather(
        cli("runner", "list", env={"COLUMNS": "80"}),
        cli("runner", "list", "--tags", "DEV+LINUX", "--status", "healthy"),
        cli("runner", "list", "--json", "--project", "default"),
        cli("runner", "show", "web-1", env={"COLUMNS": "80"}),
        cli("runner", "ping", "web-1"),
        cli("runner", "ping", "web-1", "--json"),
    )
    _, local, new, web = narrow(listed)
    assert local.split()[:3] == ["local", "Healthy", "(local)"]
    assert new.split() == ["new-1", "New", "a,", "b", "default", "0/50", "never"]
    assert web.split()[:4] == ["web-1", "Healthy", "dev,", "linux"]
    assert [line.split()[0] for line in healthy.text.splitlines()] == ["RUNNER", "web-1"]
    assert [view.id for view in decode(as_json.out, api.RunnerList).runners] == ["local", "new-1", "web-1"]
    narrow(shown)
    assert facts(shown)["tags"] == "dev, linux"
    assert "\nstep           command 0.1.0\n" in shown.text
    assert re.fullmatch(r"web-1 answers in \d+\.\d ms: running 0 of 50, up for \S+, Runbus \S+\n", ping.text)
    assert pong.json["round_trip_ms"] > 0
    assert pong.json["pong"]["runner"] == "web-1"


async def test_a_plugin_that_cannot_be_loaded_is_shown_with_its_problem(system: System) -> None:
    cli = Cli.of(await system.up())
    broken = cli.directory / "broken" / "broken-1.0.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[runbus.plugins]\nbroken = no_such_module:Step\n")
    system.start_runner("web-1", program=True, env={"PYTHONPATH": str(broken.parent)})
    await system.runners_ready("web-1")
    shown = await cli("runner", "show", "web-1")
    assert re.search(r"^step +broken .*cannot be used: .*no_such_module", shown.text, re.M)


async def test_tags_of_a_runner_are_changed_at_once(system: System) -> None:
    cli = Cli.of(await system.up("web-1:LINUX"))
    assert (await cli("runner", "tags", "web-1")).text == "linux\n"
    changed = await cli("runner", "tags", "web-1", "--add", "BLUE", "--remove", "LINUX")
    assert changed.text == "web-1: blue (it takes their work already)\n"
    assert (await cli("run", "--tags", "BLUE", "--", "true")).code == 0
    none = await cli("runner", "tags", "web-1", "--set", "", "--json")
    assert decode(none.out, api.RunnerReply).runner.tags == []
    await cli("runner", "create", "new-1")
    later = await cli("runner", "tags", "new-1", "--set", "A+B")
    assert later.text == "new-1: a, b (it is New: once it connects)\n"
    assert (await cli("runner", "remove", "new-1")).text == "Removed new-1.\n"


async def test_projects(system: System) -> None:
    cli = Cli.of(await system.up())
    assert (await cli("project", "create", "shop", "--description", "the shop")).text == "Created project shop.\n"
    again, listed, as_json, jobs = await asyncio.gather(
        cli("project", "create", "shop"),
        cli("project", "list", env={"COLUMNS": "80"}),
        cli("project", "list", "--json"),
        cli("job", "list", env={"RUNBUS_PROJECT": "shop"}),
    )
    assert (again.code, "(already_exists, id " in again.err) == (125, True)
    assert [line.split()[0] for line in narrow(listed)] == ["PROJECT", "default", "shop"]
    assert [record.name for record in decode(as_json.out, api.ProjectList).projects] == ["default", "shop"]
    assert (jobs.code, jobs.err) == (0, "No jobs. 'runbus job put FILE' stores some.\n")


async def test_the_contract_is_printed_as_it_is(system: System) -> None:
    cli = Cli.of(system)
    done = await asyncio.gather(*(cli("contract", name) for name in DOCUMENTS))
    assert [each.text for each in done] == [make() for make in DOCUMENTS.values()]


async def test_what_never_ran_took_no_time(system: System) -> None:
    cli = Cli.of(await system.up())
    assert (await cli("run", "--wait-for-runner", "--deadline", "100ms", "--tags", "never", "--", "true")).code == 124
    title, row = (await cli("execution", "list")).text.splitlines()
    took = slice(title.index("TOOK"), title.index("RUNNER"))
    assert row[took].strip() == ""


async def test_a_runner_without_tags_is_said_to_be_out_of_reach(system: System) -> None:
    cli = Cli.of(await system.up("web-1:LINUX"))
    assert (await cli("runner", "tags", "web-1", "--set", "")).text == "web-1: no tags (no run can select it)\n"
