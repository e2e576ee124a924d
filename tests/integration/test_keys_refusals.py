"""Keys that are not for whoever asks: each refusal says why, and what to do, on the command line as well."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import structlog

from runbus.cli import exits
from schemas import catalog
from schemas.api import JobPutRequest, ProjectRequest
from schemas.codec import decode
from schemas.errors import ErrorCode
from schemas.events import AssignmentStarted
from schemas.keys import KeyAccess, KeyOpenRequest
from tests.integration.cli_system import Cli, Done
from tests.integration.test_keys import answers
from tests.integration.test_secure_options import event_of
from tests.support.gate import Gate
from tests.support.keydirs import key_files, put_key
from tests.support.system import System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

VALUE = "ref-used-h4ndsh4ke"
SHOP = "keys/project/shop/x"


@pytest.fixture
async def cli(system: System, tmp_path: Path) -> Cli:
    """Runners ``a1`` of DMZ and ``b1`` of LAB with a key storage each, and the projects ``shop`` and ``other``."""
    system.start_keyproxy()
    await system.up("local")
    for project in ("shop", "other"):
        await system.client.call(catalog.PROJECT_CREATE, ProjectRequest(project=project))
    here = key_files(tmp_path / "dmz", db__pw=VALUE)
    there = key_files(tmp_path / "lab", db__other=VALUE)
    system.start_runner("a1", "DMZ", keys_dir=str(here), runner_projects="default,shop,other")
    system.start_runner("b1", "LAB", keys_dir=str(there), runner_projects="default,shop,other")
    await system.runners_ready("a1", "b1")
    await eventually(lambda: answers(system), what="the keyproxy answers")
    return Cli.of(system)


async def put_job(system: System, path: str, *, tags: str = "lab", project: str = "default", **more: bool) -> None:
    required = json.dumps(more.get("required", True))
    option = f"{{name: own, secure: true, valueExposed: true, storagePath: {path}, required: {required}}}"
    text = f"""\
- name: use
  uuid: use
  runnerSelector: {{runnerFilterMode: TAGS, filter: {tags}}}
  options: [{option}]
  sequence: {{commands: [{{exec: echo ran}}]}}
"""
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text, project=project))


async def audit(system: System) -> list[tuple[str, str, str]]:
    stored = await system.stored(system.subjects.audit_stream, f"{system.subjects.prefix}.audit.>")
    told = [decode(data, KeyAccess) for _, data in stored]
    return [(each.path, each.runner, each.outcome) for each in told if each.action == "read"]


def said(done: Done, *parts: str) -> None:
    """It was refused, and in these words; nothing of a value is in them."""
    assert done.code == exits.ERROR, done.err
    assert VALUE not in done.err + done.text
    for part in parts:
        assert part in re.sub(r"\s+", " ", done.err), done.err


async def test_a_key_of_a_project_in_a_job_of_another(system: System, cli: Cli) -> None:
    await put_key(system.client, SHOP, VALUE)
    what_to_do = (
        f"key '{SHOP}': it belongs to project shop, and this is project other. Run it in project shop, or name a key "
        "that is for all (keys/folder/name) or for this project (keys/project/other/...), or give it a value."
    )
    await put_job(system, SHOP, project="other")
    before = await system.count(system.subjects.events_stream)
    done = await cli("job", "run", "use", "--project", "other")
    said(done, f"option 'own' takes its value from {what_to_do}", "(key_unavailable: forbidden, id ")
    assert await system.count(system.subjects.events_stream) == before
    await put_job(system, SHOP, project="other", required=False)
    done = await cli("job", "run", "use", "--project", "other")
    assert (done.code, done.text) == (0, "ran\n")
    assert f"Warning: option 'own' takes its value from {what_to_do}" in done.err
    assert "option 'own' has no value: key 'keys/project/shop/x' is not given to runner b1: it belongs" in done.err
    assert (SHOP, "b1", "forbidden") in await audit(system)
    await put_job(system, SHOP, project="shop")
    done = await cli("job", "run", "use", "--project", "shop")
    assert (done.code, done.text) == (0, "ran\n")
    assert (SHOP, "b1", "ok") in await audit(system)


async def test_a_key_that_only_a_runner_of_another_tag_set_has(system: System, cli: Cli) -> None:
    await put_job(system, "runner/db/pw")
    done = await cli("job", "run", "use")
    said(
        done,
        "option 'own' takes its value from a key: key 'runner/db/pw' cannot be read on runner b1: ",
        "A runner reads its own keys only: 'runbus keys list runner/db --tags @b1' shows those of this one. Mend",
        "(invalid_option: not_found, id ",
    )
    listed = await cli("keys", "list", "runner/db", "--tags", "@b1")
    assert "runner/db/other" in listed.text
    shown = await cli("keys", "show", "runner/db/pw", "--tags", "LAB")
    said(shown, "key 'runner/db/pw' cannot be read on runner b1: ", "(key_unavailable: not_found, id ")
    await put_job(system, "runner/db/pw", tags="dmz")
    assert (await cli("job", "run", "use")).code == 0


async def test_a_key_of_a_runner_in_a_job_that_selects_none(system: System, cli: Cli) -> None:
    text = (
        "- {name: use, uuid: use, options: [{name: own, secure: true, storagePath: runner/db/pw, required: true}], "
    )
    text += "sequence: {commands: [{exec: echo ran}]}}"
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
    said(await cli("job", "run", "use"), "key 'runner/db/pw' cannot be read on runner local: this runner has no key")


async def test_a_key_of_the_centre_for_a_runner_that_does_not_hold_the_claim(
    system: System, cli: Cli, tmp_path: Path
) -> None:
    await put_key(system.client, "keys/db/pw", VALUE)
    instances = {name: view.instance for name, view in (await system.runners()).items()}

    async def ask(runner: str, instance: str, execution: str, *, reason: str = "forbidden") -> str:
        request = KeyOpenRequest(
            path="keys/db/pw", runner=runner, instance=instance, project="default", execution=execution,
            assignment="1",
        )  # fmt: skip
        error = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: system.client.call(catalog.KEY_OPEN, request))
        assert error.details == {"key": "keys/db/pw", "runner": runner, "reason": reason}
        return error.message.removeprefix(f"key 'keys/db/pw' is not given to runner {runner}: ")

    with Gate(tmp_path) as gate:
        view = await system.start(gate.command, "DMZ")
        await eventually(lambda: gate.inside, what="it runs")
        subject = system.subjects.events_of_assignment("default", view.id, "1")
        stored = await system.stored(system.subjects.events_stream, subject)
        (claim,) = [each for _, data in stored if isinstance(each := event_of(data), AssignmentStarted)]
        work = f"execution {view.id!r}, assignment '1'"
        assert await ask("b1", instances["b1"], view.id) == (
            f"runner a1 holds the claim of {work}, and only that one is given it. Let the job run there, or abort it "
            "and run it again with a selector that reaches this runner."
        )
        assert await ask("a1", "earlier", view.id) == (
            "the registry knows no such run of it. Start the runner again; what it had claimed, run anew."
        )
        assert "no runner works on execution 'x', assignment '1'." in await ask("a1", claim.instance, "x")
        gate.open()
        await system.end_of(view.id)
    # It had the claim: the answer comes late, and nobody is denied what he may have.
    assert await ask("a1", claim.instance, view.id, reason="already_ended") == (
        f"no runner works on {work}. A key is given while a runner holds the claim, and not afterwards: run the job "
        "again."
    )
    with structlog.testing.capture_logs() as logs:
        await ask("b1", instances["b1"], view.id)
    (told,) = [each for each in logs if each["event"] == "key.refused"]
    assert (told["path"], told["runner"], told["reason"]) == ("keys/db/pw", "b1", "forbidden")
    assert (told["execution"], VALUE in str(logs)) == (view.id, False)
    assert ("keys/db/pw", "a1", "already_ended") in await audit(system)
    audited = await cli("keys", "audit", "--path", "keys/db")
    assert "forbidden" in audited.text
