"""Steps that call other jobs: their options, nodes, limits, secrets and outcomes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.api import SecretValues
from schemas.events import CalledJob, Dispatch
from schemas.jobs import Flow, NodeDispatch, Step, Strategy
from schemas.options import Option
from schemas.states import ExecutionState
from tests.support.workflows import CAPTURE, Rig, a_rig, call, job, line, local_nodes, on, run, say, script

SUCCEEDED, FAILED = ExecutionState.SUCCEEDED, ExecutionState.FAILED
X = Option(name="x")
SHOW = say("[${option.x}]")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as opened:
        yield opened


def inner(*steps: Step, **fields: Any) -> dict[str, CalledJob]:
    return {"1": job(*(steps or (SHOW,)), **{"options": [X], **fields})}


def given(**options: str) -> dict[str, Any]:
    return {"context": {"option": options}}


@pytest.mark.parametrize(
    ("args", "seen"),
    [
        ("", "default"),
        ("-x one", "one"),
        ("-x ${option.y}", "it's $(x) `y`"),
        ("-x 'a ${option.y} b'", "a it's $(x) `y` b"),
        ("-x ${option.none}", ""),
        ("-x -y", "-y"),
        ("-x", "default"),
        ("word -x one more", "one"),
        ("-x ${job.name}/${job.execid}", "/e1"),
        ("-x ${node.name}/${globals.zone}", "a1/eu"),
        ('-x "say ""hi"""', 'say "hi"'),
    ],
)
@pytest.mark.parametrize("node_step", [False, True])
async def test_arguments(rig: Rig, args: str, seen: str, node_step: bool) -> None:
    context = {"option": {"y": "it's $(x) `y`"}, "globals": {"zone": "eu"}}
    calls = inner(options=[Option(name="x", value="default")])
    ran = await rig.run(call(args, node_step=node_step), calls=calls, context=context)
    assert ran.lines == [f"[{seen}]"]


async def test_the_callers_options_are_not_the_called_jobs(rig: Rig) -> None:
    ran = await rig.run(call(), SHOW, calls=inner(), **given(x="mine"))
    assert ran.lines == ["[${option.x}]", "[mine]"]


async def test_import_options_by_name(rig: Rig) -> None:
    ran = await rig.run(call(import_options=True), calls=inner(), **given(x="mine", z="no matter"))
    assert ran.lines == ["[mine]"]
    ran = await rig.run(call("-x ${option.x}-2", import_options=True), calls=inner(), **given(x="mine"))
    assert ran.lines == ["[mine-2]"], "an argument beats what is imported"


async def test_arguments_that_name_no_option_are_options_all_the_same(rig: Rig) -> None:
    ran = await rig.run(call("-x 1 -more 2"), calls=inner(say("${option.x}${option.more}")))
    assert ran.lines == ["12"]


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        (Option(name="x", required=True), "is required"),
        (Option(name="x", regex="[0-9]+"), "does not match the regex"),
        (Option(name="x", enforced=True, values=("a", "b")), "is not one of"),
    ],
)
async def test_options_are_checked_on_the_runner(rig: Rig, option: Option, problem: str) -> None:
    args = "" if option.required else "-x ${option.y}"
    ran = await rig.run(call(args), calls=inner(options=[option]), **given(y="c"))
    assert (ran.end.state, ran.places) == (FAILED, ["1"])
    assert ran.outcome("1").reason == "InvalidOptions"
    assert problem in ran.message
    handled = call(args, step={"error_handler": say("${result.reason}", keepgoing_on_success=True)})
    ran = await rig.run(handled, calls=inner(options=[option]), **given(y="c"))
    assert (ran.end.state, ran.lines) == (SUCCEEDED, ["InvalidOptions"])


async def test_a_key_that_nobody_can_read(rig: Rig) -> None:
    secret = Option(name="x", secure=True, required=True, storage_path="keys/x")
    ran = await rig.run(call(), calls=inner(options=[secret]))
    assert ran.outcome("1").reason == "InvalidOptions"
    assert "keys/x" in ran.message
    assert (await rig.run(call("-x typed"), calls=inner(options=[secret]))).end.state is SUCCEEDED


async def test_its_names_and_environment_are_the_called_jobs(rig: Rig) -> None:
    step = script("echo $RD_JOB_NAME/$RD_JOB_ID/$RD_JOB_EXECID/$RD_OPTION_X/@job.name@")
    ran = await rig.run(call("-x v"), calls=inner(step, name="deploy"))
    assert ran.lines == ["deploy/deploy/e1/v/deploy"]


async def test_outcomes_and_log_entries_say_where_they_stand(rig: Rig) -> None:
    calls = {
        "1": job(say("a"), call()), "1/2": job(say("b"), line("exit 1", error_handler=call())),
        "1/2/2e": job(say("c")), "2e": job(say("d")),
    }  # fmt: skip
    ran = await rig.run(
        call(), line("false", error_handler=call(step={"keepgoing_on_success": True})), say("e"),
        calls=calls, flow=Flow(keepgoing=True),
    )  # fmt: skip
    assert ran.places == ["1/1", "1/2/1", "1/2/2", "1/2/2e/1", "1/2/2e", "1/2", "1", "2", "2e/1", "2e", "3"]
    assert [(each.context, each.text.strip()) for each in ran.entries if each.stream == "stdout"] == [
        ("1/1", "a"), ("1/2/1", "b"), ("1/2/2e/1", "c"), ("2e/1", "d"), ("", "e"),
    ]  # fmt: skip
    assert {each.step for each in ran.end.steps} == {1, 2, 3}
    assert [each.step for each in ran.end.steps if each.context.startswith("1")] == [1] * 6
    assert (ran.outcome("1/2").state, ran.outcome("1").reason) == (FAILED, "JobFailed")


async def test_a_step_behind_it_runs_only_if_it_went_well(rig: Rig) -> None:
    assert (await rig.run(call(), say("2"), calls=inner(line("exit 4")))).places == ["1/1", "1"]
    ran = await rig.run(call(), say("2"), calls=inner(line("exit 4")), flow=Flow(keepgoing=True))
    assert ran.places == ["1/1", "1", "2"]
    assert ran.end.state is FAILED


# nodes


async def test_a_node_step_runs_it_for_each_node(rig: Rig) -> None:
    ran = await rig.run(
        call("-x ${node.name}", node_step=True), calls=inner(say("${node.name}:${option.x}")), **on("a", "b")
    )
    assert ran.lines == ["a:a", "b:b"]
    assert ran.places == ["1/1@a", "1@a", "1/1@b", "1@b"]


async def test_a_workflow_step_runs_it_on_the_callers_nodes(rig: Rig) -> None:
    ran = await rig.run(call(), calls=inner(say("${node.name}")), **on("a", "b"))
    assert ran.lines == ["a", "b"]
    assert ran.places == ["1/1@a", "1/1@b", "1"]


@pytest.mark.parametrize("node_step", [False, True])
async def test_on_nodes_of_its_own(rig: Rig, node_step: bool) -> None:
    own = Dispatch(nodes=local_nodes("c", "d"), filter="c d")
    ran = await rig.run(call(node_step=node_step), calls=inner(say("${node.name}"), dispatch=own), **on("a"))
    assert ran.lines == ["c", "d"]


async def test_nodes_of_its_own_that_the_caller_has_too(rig: Rig) -> None:
    own = Dispatch(nodes=local_nodes("b", "c"), filter="b c")
    step = call(nodes=NodeDispatch(filter="b c", intersect=True))
    assert (await rig.run(step, calls=inner(say("${node.name}"), dispatch=own), **on("a", "b"))).lines == ["b"]
    none = await rig.run(step, calls=inner(say("${node.name}"), dispatch=own), **on("a"))
    assert none.outcome("1").reason == "NoMatchedNodes"
    assert "No matched nodes" in none.message


@pytest.mark.parametrize("is_well", [False, True])
async def test_no_nodes_of_its_own(rig: Rig, is_well: bool) -> None:
    own = Dispatch(nodes=[], filter="none", success_on_empty=is_well)
    ran = await rig.run(call(), say("2"), calls=inner(dispatch=own))
    assert ran.outcome("1").reason == ("" if is_well else "NoMatchedNodes")
    assert ran.lines == (["2"] if is_well else [])


async def test_its_own_threads_and_keepgoing(rig: Rig) -> None:
    own = Dispatch(nodes=local_nodes("c", "d"), keepgoing=True)
    ran = await rig.run(call(), calls=inner(line("exit 1"), dispatch=own))
    assert ran.places == ["1/1@c", "1/1@d", "1"]


async def test_its_own_strategy(rig: Rig) -> None:
    calls = inner(say("1"), say("2"), flow=Flow(strategy=Strategy.SEQUENTIAL))
    assert (await rig.run(call(), calls=calls, **on("a", "b"))).places == ["1/1@a", "1/1@b", "1/2@a", "1/2@b", "1"]


# what else


async def test_disabled(rig: Rig) -> None:
    ran = await rig.run(call(), say("2"), calls=inner(enabled=False))
    assert (ran.end.state, ran.lines) == (SUCCEEDED, ["2"])
    ran = await rig.run(call(fail_on_disable=True), say("2"), calls=inner(enabled=False))
    assert (ran.end.state, ran.outcome("1").reason) == (FAILED, "JobFailed")
    assert "is disabled" in ran.message


async def test_what_is_not_part_of_the_assignment(rig: Rig) -> None:
    assert (await rig.run(call())).outcome("1").reason == "NotFound"


@pytest.mark.parametrize("timeout", ["1", "${option.x}"])
@pytest.mark.slow
async def test_its_own_limit_is_a_failure_that_a_handler_clears(rig: Rig, timeout: str) -> None:
    calls = inner(line("exec sleep 60"), timeout=timeout)
    ran = await rig.run(call("-x 1"), say("2"), calls=calls)
    assert (ran.end.state, ran.outcome("1").reason, ran.outcome("1/1").state) == (FAILED, "JobFailed", "timedout")
    assert "longer than its limit of 1 s" in ran.message
    handler = say("${result.reason}", keepgoing_on_success=True)
    ran = await rig.run(call("-x 1", step={"error_handler": handler}), say("2"), calls=calls)
    assert (ran.end.state, ran.lines) == (SUCCEEDED, ["JobFailed", "2"])


async def test_a_limit_that_is_none_fails_the_step(rig: Rig) -> None:
    ran = await rig.run(call("-x soon"), calls=inner(timeout="${option.x}"))
    assert (ran.end.state, ran.places) == (FAILED, ["1"])
    assert "it has to be seconds" in ran.message


async def test_the_callers_limit_ends_it_all(rig: Rig) -> None:
    handler = say("never", keepgoing_on_success=True)
    step = call(step={"error_handler": handler})
    ran = await rig.run(step, say("2"), calls=inner(line("exec sleep 60"), timeout="60"), timeout_s=0.2)
    assert (ran.end.state, ran.lines) == (ExecutionState.TIMEDOUT, [])
    assert "longer than its limit of 0.2 s" in ran.message


async def test_data_goes_in_and_does_not_come_out(rig: Rig) -> None:
    steps = [
        line("echo RUNDECK:DATA:a=1", log_filters=[CAPTURE]),
        call("-x ${data.a}"),
        say("after ${data.b}"),
    ]
    called = job(
        say("${option.x}${data.a}"),
        line("echo RUNDECK:DATA:b=2", log_filters=[CAPTURE]),
        say("${data.b}"),
        options=[X],
    )
    ran = await rig.run(*steps, calls={"2": called})
    assert ran.lines[1] == "11"
    assert ran.lines[3:] == ["2", "after ${data.b}"]


# secrets

SECRETS = SecretValues(exposed={"shown": "open-sesame"}, private={"hidden": "s3cr3t-hidden"})
PRIVATE = Option(name="p", secure=True)
EXPOSED = Option(name="e", secure=True, value_exposed=True)
ENV = script("env | grep RD_OPTION_ | sort; echo .")


def told(rig_output: str) -> list[str]:
    return [each for each in rig_output.splitlines() if each != "."]


async def test_secure_values_go_to_secure_options_only(rig: Rig, tmp_path: Path) -> None:
    """What a script receives is written to a file: the log is masked."""
    file = tmp_path / "seen"
    show = script(f'printf \'%s|%s|%s\' "$RD_OPTION_X" "$RD_OPTION_E" "$RD_OPTION_P" > {file}; echo $RD_OPTION_E')
    calls = inner(show, options=[X, EXPOSED, PRIVATE])
    for args, seen in [
        ("-x ${option.shown} -e ${option.shown} -p ${option.hidden}", "|open-sesame|"),
        ("-x ${option.hidden} -e ${option.hidden} -p ${option.shown}", "||"),
        ("-x ${secureOption.shown}-", "-||"),
    ]:
        ran = await rig.run(call(args), calls=calls, secrets=SECRETS)
        assert file.read_text() == seen
        assert ran.lines == (["[SECURE]"] if "open" in seen else [""])
        assert b"open-sesame" not in b"".join(each.data for each in ran.log.messages)
        assert b"s3cr3t" not in b"".join(each.data for each in ran.log.messages)


async def test_three_deep_under_other_names(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "seen"

    def options(name: str) -> list[Option]:
        return [Option(name=name, secure=True, value_exposed=True), Option(name="n")]

    show = script(f"printf '%s' \"$RD_OPTION_THREE/$RD_OPTION_N\" > {file}; echo $RD_OPTION_THREE")
    calls = {
        "1": job(call("-two ${option.one} -n ${option.n}2"), options=options("one")),
        "1/1": job(call("-three ${option.two} -n ${option.n}3"), options=options("two")),
        "1/1/1": job(show, options=options("three")),
    }
    ran = await rig.run(call("-one ${option.shown} -n 1"), calls=calls, secrets=SECRETS)
    assert file.read_text() == "open-sesame/123"
    assert ran.lines == ["[SECURE]"]
    assert ran.places == ["1/1/1/1", "1/1/1", "1/1", "1"]


async def test_private_values_three_deep(rig: Rig) -> None:
    """What nobody sees is seen by executors only: here by asking for it as they do."""
    calls = {
        "1": job(call("-two ${option.one}"), options=[Option(name="one", secure=True)]),
        "1/1": job(Step(plugin="asking", config={"say": "option.two"}), options=[Option(name="two", secure=True)]),
    }
    ran = await rig.run(call("-one ${option.hidden}"), calls=calls, secrets=SECRETS)
    assert (ran.end.state, ran.lines) == (SUCCEEDED, ["13 characters"])
    calls["1/1"] = job(
        Step(plugin="asking", config={"say": "option.hidden"}), options=[Option(name="two", secure=True)]
    )
    ran = await rig.run(call("-one ${option.hidden}"), calls=calls, secrets=SECRETS)
    assert ran.outcome("1/1/1").reason == "AuthenticationFailure", "the caller's secrets are not the called job's"


async def test_a_secret_that_only_the_call_knows_is_masked(rig: Rig) -> None:
    calls = inner(script("echo it is $RD_OPTION_E"), options=[EXPOSED])
    ran = await rig.run(call("-e just-here"), calls=calls)
    assert ran.lines == ["it is [SECURE]"]


async def test_imported_secrets_keep_their_kind(rig: Rig) -> None:
    options = [Option(name="shown"), Option(name="hidden", secure=True, value_exposed=True)]
    ran = await rig.run(call(import_options=True), calls=inner(ENV, options=options), secrets=SECRETS)
    assert told(ran.output()) == []
    options = [Option(name="shown", secure=True, value_exposed=True), Option(name="hidden", secure=True)]
    ran = await rig.run(call(import_options=True), calls=inner(ENV, options=options), secrets=SECRETS)
    assert told(ran.output()) == ["RD_OPTION_SHOWN=[SECURE]"]


async def test_errors_do_not_tell_secrets(rig: Rig) -> None:
    steps = [
        Step(plugin="script", config={"file": "/none/${option.shown}.sh"}),
        Step(plugin="failing", config={"say": "no ${option.shown}"}),
        run("${option.shown}"),
        call("-x ${option.shown}"),
    ]
    calls = {"4": job(Step(plugin="failing", config={"say": "inner ${option.e}"}), options=[EXPOSED])}
    steps[3] = call("-e ${option.shown}")
    ran = await rig.run(*steps, calls=calls, secrets=SECRETS, flow=Flow(keepgoing=True))
    assert len([each for each in ran.end.steps if each.error]) == 5
    assert "[SECURE]" in ran.outcome("1").error.message  # type: ignore[union-attr]
    assert b"open-sesame" not in b"".join(each.data for each in ran.log.messages)
