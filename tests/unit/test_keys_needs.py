"""Keys that a run is to read, judged before it is queued."""

from __future__ import annotations

import pytest

from domain.dryrun import FileLookups
from domain.jobfile import read_job_file
from domain.keys.needs import Finding, KeyNeed, faults_of, listed, refuse_or_warn
from domain.keys.planned import needs_of
from domain.planning import Run, plan_job
from schemas.errors import ErrorCode, RunbusError

_OPTION = "secure: true, valueExposed: true"
JOBS = f"""\
- name: use
  options:
  - {{name: own, {_OPTION}, storagePath: 'runner/${{option.where}}/pw', required: true}}
  - {{name: centre, secure: true, storagePath: keys/pw}}
  - {{name: node, {_OPTION}, storagePath: 'keys/${{node.name}}/pw'}}
  - {{name: plain}}
  - {{name: where, value: db}}
  sequence:
    commands:
    - exec: date
      errorhandler: {{jobref: {{name: inner}}}}
    - jobref: {{name: outer, args: -given x}}
    - {{jobref: {{name: inner, importOptions: true}}, enabled: true}}
    - {{jobref: {{name: off}}}}
- name: outer
  options:
  - {{name: given, {_OPTION}, storagePath: runner/given}}
  - {{name: left, {_OPTION}, storagePath: 'runner/${{option.x}}/left', required: true}}
  sequence: {{commands: [{{jobref: {{name: inner}}}}]}}
- name: inner
  options: [{{name: deep, {_OPTION}, storagePath: keys/project/shop/deep, required: true}}]
  sequence: {{commands: [{{exec: date}}]}}
- name: off
  executionEnabled: false
  options: [{{name: never, {_OPTION}, storagePath: runner/never}}]
  sequence: {{commands: [{{exec: date}}]}}
"""


def need(path: str, *, required: bool = True, option: str = "own", place: str = "") -> KeyNeed:
    return KeyNeed(option=option, path=path, required=required, place=place, job="ops/x" if place else "")


async def needs(**options: str) -> list[KeyNeed]:
    jobs = read_job_file(JOBS, project="default", file="jobs.yaml").jobs
    lookups = FileLookups(jobs, None)
    plan = await plan_job(jobs[0], Run(execution="e", project="default", options=dict(options)), lookups)
    return needs_of(plan, jobs[0].steps)


async def test_what_a_run_reads_is_told_from_its_plan() -> None:
    assert [(each.place, each.option, each.path, each.required) for each in await needs()] == [
        ("", "own", "runner/db/pw", True),
        ("", "centre", "keys/pw", False),
        ("", "node", "keys/${node.name}/pw", False),
        ("1e", "deep", "keys/project/shop/deep", True),
        ("2", "left", "runner/${option.x}/left", True),
        ("2/1", "deep", "keys/project/shop/deep", True),
    ]


async def test_an_option_with_a_value_reads_no_key() -> None:
    found = await needs(own="typed", centre="typed, too", node="")
    assert [each.option for each in found if not each.place] == ["node"]


async def test_a_key_of_a_called_job_decides_nothing() -> None:
    found = await needs()
    assert [each.option for each in found if each.decides] == ["own"]
    warnings = refuse_or_warn(faults_of(found, "default"))
    assert [text.partition(" takes")[0] for text in warnings] == [
        "option 'deep' of job inner (step 1e)", "option 'deep' of job inner (step 2/1)",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["runner/db/pw", "keys/db/pw", "keys/project/shop/pw", "keys/project", "keys/a b"])
def test_what_may_be_there_is_no_fault(path: str) -> None:
    assert faults_of([need(path)], "shop") == []


@pytest.mark.parametrize(
    "path", ["keys/../pw", "runner/a//b", "runner/%2e%2e/pw", "keys/", "s3cret-itself", "runner"]
)
def test_a_name_that_is_no_keys_is_refused(path: str) -> None:
    with pytest.raises(RunbusError) as caught:
        refuse_or_warn(faults_of([need(path)], "shop"))
    assert caught.value.code is ErrorCode.KEY_UNAVAILABLE
    assert (caught.value.details["reason"], caught.value.details["option"]) == ("outside", "own")
    assert "option 'own' takes its value from a key: " in caught.value.message
    assert "write keys/folder/name, or runner/folder/name" in caught.value.message
    assert "s3cret" not in str(caught.value.message) + str(caught.value.details)


def test_a_path_that_is_not_known_to_its_end_is_left_to_the_run() -> None:
    assert faults_of([need("keys/project/${node.team}/pw"), need("runner/${node.a}//b")], "shop") == []


def test_a_key_of_another_project_is_refused_and_it_is_said_what_to_do() -> None:
    with pytest.raises(RunbusError) as caught:
        refuse_or_warn(faults_of([need("keys/project/shop/x")], "other"))
    assert caught.value.message == (
        "option 'own' takes its value from key 'keys/project/shop/x': it belongs to project shop, and this is "
        "project other. Run it in project shop, or name a key that is for all (keys/folder/name) or for this "
        "project (keys/project/other/...), or give it a value."
    )
    assert caught.value.details == {"option": "own", "key": "keys/project/shop/x", "reason": "forbidden"}
    (warning,) = refuse_or_warn(faults_of([need("keys/project/shop/x", required=False)], "other"))
    assert warning == caught.value.message
    assert faults_of([need("runner/project/shop/x")], "other") == []


def test_what_is_not_certain_is_a_warning() -> None:
    finding = Finding(needs=[need("runner/a")], text="some have it not", certain=False)
    assert refuse_or_warn([finding]) == ["some have it not"]


def test_warnings_without_end_are_cut_and_a_refusal_among_them_is_not() -> None:
    many = [Finding(needs=[need("runner/a")], text=f"{number}", certain=False) for number in range(1234)]
    warnings = refuse_or_warn(many)
    assert (warnings[19], warnings[20:]) == ("19", ["... and 1,214 more warnings of keys"])
    with pytest.raises(RunbusError, match="nobody"):
        refuse_or_warn([*many, Finding(needs=[need("runner/a")], text="nobody")])


def test_a_list_of_many_is_short() -> None:
    assert listed(list("abc")) == "a, b, c"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
