"""The job file reader: what holds for every field, and place and text of every problem."""

from __future__ import annotations

import uuid

import pytest
import yaml

from domain.jobfile import read_job_file, source
from schemas.errors import RunbusError
from schemas.jobs import JobDefinition, RunnerSelector, SelectorMode, Step
from tests.support.jobfiles import STEPS, job, one, problems, read, step, the_problem

FULL = """\
# a comment
- name: Nightly backup
  group: /ops/backup/
  uuid: 3f1f2c9a-1111-4222-8333-444455556666
  id: 3f1f2c9a-1111-4222-8333-444455556666
  description: |
    First line

    More.
  timeout: 1h 30m
  runnerSelector: {filter: "linux,dev", runnerFilterMode: TAGS, runnerFilterType: TAG_FILTER_AND}
  runnerSelectorEditable: true
  sequence:
    commands:
      - exec: pg_dump main
        description: dump
      - script: |
          #!/bin/bash
          echo "$1"
        args: a 'b c'
        scriptInterpreter: sudo bash
        interpreterArgsQuoted: false
        fileExtension: .sh
      - scriptfile: /opt/tidy.sh
        args: -v
      - type: wait-for-port
        nodeStep: true
        configuration: {port: 80, "on": [yes, 1.5, ~, 2024-01-02], deep: {a: b}}
"""


def test_a_file_with_several_kinds_of_steps() -> None:
    file = read(FULL)
    assert file.warnings == []
    assert file.jobs == [
        JobDefinition(
            uuid="3f1f2c9a-1111-4222-8333-444455556666",
            name="Nightly backup",
            project="p",
            group="ops/backup",
            description="First line\n\nMore.\n",
            timeout="1h 30m",
            runner=RunnerSelector(mode=SelectorMode.TAGS, filter="linux,dev"),
            runner_editable=True,
            node_filter_editable=True,
            steps=[
                Step(plugin="exec", config={"command": "pg_dump main"}, description="dump"),
                Step(
                    plugin="script",
                    config={
                        "script": '#!/bin/bash\necho "$1"\n',
                        "args": "a 'b c'",
                        "interpreter": "sudo bash",
                        "file_extension": ".sh",
                        "expand_tokens": True,
                    },
                ),
                Step(plugin="scriptfile", config={"file": "/opt/tidy.sh", "args": "-v", "expand_tokens": False}),
                Step(
                    plugin="wait-for-port",
                    config={"port": 80, "on": [True, 1.5, None, "2024-01-02"], "deep": {"a": "b"}},
                ),
            ],
        )
    ]


def test_the_parser_in_python_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read(FULL)
    monkeypatch.setattr(source, "LOADER", yaml.SafeLoader)
    assert read(FULL) == expected


def test_a_job_without_uuid_keeps_its_made_one() -> None:
    first, again = one(job("group: g")), one(job("group: /g/\ndescription: changed"))
    assert first.uuid == again.uuid == str(uuid.UUID(first.uuid))
    others = {one(job()).uuid, one(job("group: h")).uuid, read_job_file(job("group: g"), project="q").jobs[0].uuid}
    assert len({first.uuid, *others}) == 4


def test_the_made_uuid_never_changes() -> None:
    assert one(job("group: g")).uuid == "5bf55232-ff0d-5954-8826-1fa781c40168"


@pytest.mark.parametrize("field", ["uuid", "id"])
def test_either_name_gives_the_uuid(field: str) -> None:
    assert one(job(f"{field}: abc-1")).uuid == "abc-1"


def test_lists_single_jobs_and_documents_mix() -> None:
    text = f"- name: a\n  {STEPS}\n- name: b\n  {STEPS}\n---\nname: c\n{STEPS}\n"
    assert [each.name for each in read(text).jobs] == ["a", "b", "c"]


def test_anchors_and_aliases_work() -> None:
    text = "- name: a\n  sequence: &s {commands: [{exec: ls}]}\n- name: b\n  sequence: *s\n"
    first, second = read(text).jobs
    assert first.steps == second.steps == [Step(plugin="exec", config={"command": "ls"})]


@pytest.mark.parametrize(
    ("written", "selector"),
    [
        ("", None),
        ("{runnerFilterMode: LOCAL, runnerFilterType: LOCAL_RUNNER}", RunnerSelector()),
        ("{runnerFilterMode: LOCAL, filter: ''}", RunnerSelector()),
        ("{filter: a, runnerFilterMode: TAGS}", RunnerSelector(mode=SelectorMode.TAGS, filter="a")),
        (
            "{filter: a+b, runnerFilterMode: FILTER, runnerFilterType: TAGS_FILTER_AND}",
            RunnerSelector(mode=SelectorMode.FILTER, filter="a+b"),
        ),
        (
            "{filter: 'a+${option.t}', runnerFilterMode: TAGS}",
            RunnerSelector(mode=SelectorMode.TAGS, filter="a+${option.t}"),
        ),
    ],
)
def test_runner_selector(written: str, selector: RunnerSelector | None) -> None:
    assert one(job(f"runnerSelector: {written}")).runner == selector


@pytest.mark.parametrize(
    ("written", "path", "text"),
    [
        ("{filter: a, filterMode: TAGS}", ".filterMode", "ignores this name silently"),
        (
            "{filter: a, runnerFilterMode: TAGS, filterType: TAG_FILTER_AND}",
            ".filterType",
            "write 'runnerFilterType'",
        ),
        ("{filter: a}", "", "no 'runnerFilterMode'"),
        ("{}", "", "no 'runnerFilterMode'"),
        ("{filter: a, runnerFilterMode: TAG}", ".runnerFilterMode", "did you mean 'TAGS'?"),
        ("{filter: a, runnerFilterMode: TAGS, runnerFilterType: OR}", ".runnerFilterType", "'OR' is not known"),
        ("{runnerFilterMode: LOCAL, runnerFilterType: TAG_FILTER_AND}", ".runnerFilterType", "contradicts"),
        ("{filter: a, runnerFilterMode: TAGS, runnerFilterType: LOCAL_RUNNER}", ".runnerFilterType", "contradicts"),
        ("{filter: a, runnerFilterMode: LOCAL}", "", "says LOCAL and also has a filter"),
        ("{filter: '${option.t}', runnerFilterMode: LOCAL}", "", "says LOCAL and also has a filter"),
        ("{runnerFilterMode: TAGS}", "", "its filter is empty"),
        ("{filter: 'a,,b', runnerFilterMode: TAGS}", "", "a tag cannot be empty"),
        ("{filter: local, runnerFilterMode: TAGS}", "", "reserved"),
        ("{filter: [a, b], runnerFilterMode: TAGS}", ".filter", "expected text, got a list"),
        ("TAGS", "", "expected a map, got text ('TAGS')"),
    ],
)
def test_runner_selector_refused(written: str, path: str, text: str) -> None:
    found = the_problem(job(f"runnerSelector: {written}"))
    assert found[2] == f"runnerSelector{path}"
    assert text in found[3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (step("exce: ls"), (2, 24, "sequence.commands[0].exce", "unknown field; did you mean 'exec'?")),
        (step("zzz: ls"), (2, 24, "sequence.commands[0].zzz", "unknown field 'zzz'; remove it")),
        (job("nodefilter: {}"), (2, 1, "nodefilter", "unknown field; did you mean 'nodefilters'?")),
        (job("description: [a]"), (2, 14, "description", "expected text, got a list; write text here")),
        (
            job("description: 2024-01-02"),
            (2, 14, "description", "expected text, got a date ('2024-01-02'); put it in quotes"),
        ),
        (step("exec: "), (2, 30, "sequence.commands[0].exec", "expected text, got nothing; write the text")),
        (step("exec: ' '"), (2, 30, "sequence.commands[0].exec", "empty; write something here")),
        (job("description: !!python/name:os.system x"), (2, 14, "description", None)),
        (
            job("runnerSelectorEditable: 'false'"),
            (
                2,
                25,
                "runnerSelectorEditable",
                "expected true or false, got text ('false'); "
                "take the quotes away: the original takes this text for true",
            ),
        ),
        (job("runnerSelectorEditable: !!bool x"), (2, 25, "runnerSelectorEditable", None)),
        (job("uuid: a b"), (2, 7, "uuid", None)),
        (job("uuid: a\nid: b"), (3, 5, "id", "differs from uuid 'a'; keep one of the two")),
        (job("group: a\ngroup: b"), (3, 1, "group", "given twice, first in line 2; keep one")),
        (job("? [a]\n: b"), (2, 3, "", "a list or map cannot be a field's name; quote the text")),
        (job("<<: {group: a}"), (2, 1, "", "merge keys ('<<') are not supported; write the fields out")),
        (job('description: "\\0"'), (2, 14, "description", "holds a NUL or half a character; take the escape out")),
        (f"name: a/b\n{STEPS}", (1, 7, "name", "'a/b' contains '/'; put what is before it into 'group'")),
        (f"name: ''\n{STEPS}", (1, 7, "name", "empty; write something here")),
        (f'name: "a\\nb"\n{STEPS}', (1, 7, "name", None)),
        (f"group: a\n{STEPS}", (1, 1, "", "no 'name'; every job has a name")),
        ("name: n\n", (1, 1, "", "no 'sequence'; write 'sequence: {commands: [...]}' with the job's steps")),
        (job(steps="sequence: {}"), (2, 11, "sequence", "no 'commands'; list the steps there")),
        (job(steps="sequence: {commands: []}"), (2, 22, "sequence.commands", "no step; give at least one")),
        (job(steps="sequence: {commands: {exec: a}}"), (2, 22, "sequence.commands", None)),
        (job(steps="sequence: {commands: [ls]}"), (2, 23, "sequence.commands[0]", None)),
        (step("exec: a, script: b"), (2, 23, "sequence.commands[0]", None)),
        (step("description: a"), (2, 23, "sequence.commands[0]", None)),
        (
            step("exec: a, errorhandler: {exec: b, errorhandler: {exec: c}}"),
            (2, 57, "sequence.commands[0].errorhandler.errorhandler", "an error handler has none itself; remove it"),
        ),
        (step("type: a, configuration: [b]"), (2, 48, "sequence.commands[0].configuration", None)),
        (step("type: a, configuration: {b: !!set {c}}"), (2, 52, "sequence.commands[0].configuration.b", None)),
        (step("type: a, configuration: {b: !!binary c}"), (2, 52, "sequence.commands[0].configuration.b", None)),
        (step("type: a, configuration: {b: .nan}"), (2, 52, "sequence.commands[0].configuration.b", None)),
        (step("type: a, configuration: {b: !!int x}"), (2, 52, "sequence.commands[0].configuration.b", None)),
        (step(f"type: a, configuration: {{b: {1 << 64}}}"), (2, 52, "sequence.commands[0].configuration.b", None)),
        (
            step(f"type: a, configuration: {{b: {'1:' * 9000}1}}"),
            (2, 52, "sequence.commands[0].configuration.b", None),
        ),
        (step("type: a, configuration: {b: 1, b: 2}"), (2, 55, "sequence.commands[0].configuration.b", None)),
        ("", (1, 1, "", "the file is empty; write a job into it")),
        ("# nothing\n", (1, 1, "", "the file is empty; write a job into it")),
        (job() + "---\n", (4, 1, "", "an empty document; write a job into it, or remove its '---'")),
        ("[]", (1, 1, "", "an empty list of jobs; write a job into it")),
        ("hello", (1, 1, "", None)),
        ("- 5\n", (1, 3, "", "expected a map, got a whole number ('5'); write 'name: value' lines")),
        ("a: b: c", (1, 5, "", None)),
        ("name: n\n\tgroup: g", (2, 1, "", None)),
        ("name: 'n\n", (2, 1, "", None)),
        ("name: *n\n", (1, 7, "", None)),
        ("name: n\n\x07", (2, 1, "", "the character U+0007 cannot stand in YAML; remove it")),
        ("name: \ud800", (1, 7, "", "the character U+D800 cannot stand in YAML; remove it")),
        ("<joblist></joblist>", (1, 1, "", "no <job> in it; write one")),
    ],
)
def test_one_problem(text: str, expected: tuple[int, int, str, str | None]) -> None:
    *place, words = the_problem(text)
    assert tuple(place) == expected[:3]
    assert words == expected[3] or expected[3] is None


def test_jobs_of_one_file_differ() -> None:
    def file(*jobs: str) -> str:
        return "".join(f"- {{{each}, {STEPS}}}\n" for each in jobs)

    assert the_problem(file("name: a, uuid: u", "name: b, id: u")) == (
        2,
        3,
        "[1]",
        "same uuid as the job in line 1 ('u'); change one, or remove it",
    )
    assert the_problem(file("name: a, group: /g", "name: a, group: g")) == (
        2,
        3,
        "[1]",
        "same group and name as the job in line 1 ('g/a'); change one, or remove it",
    )
    assert len(problems(file("name: a, uuid: u", "name: a, uuid: u"))) == 2
    assert len(problems(f"[{{name: a, {STEPS}}}, {{name: a, {STEPS}}}]")) == 1
    assert len(problems(f"- &a {{name: a, {STEPS}}}\n- *a\n")) == 1
    assert len(read(file("name: a, group: g", "name: a")).jobs) == 2


def test_all_problems_of_a_file_come_at_once_and_in_order() -> None:
    text = """\
- name: a/b
  timeout: soon
  sequence:
    commands:
      - exce: ls
      - exec: [5]
- group: g
  loglimit: 5XB
  sequence: {commands: [{jobref: {group: a}}]}
"""
    assert [(each["line"], each["path"]) for each in problems(text)] == [
        (1, "[0].name"),
        (2, "[0].timeout"),
        (5, "[0].sequence.commands[0].exce"),
        (6, "[0].sequence.commands[1].exec"),
        (7, "[1]"),
        (8, "[1].loglimit"),
        (9, "[1].sequence.commands[0].jobref"),
    ]


def test_without_a_file_name_the_line_comes_first() -> None:
    with pytest.raises(RunbusError, match=r"\A1:1: the file is empty; "):
        read_job_file("", project="p")


def test_very_many_problems_are_counted() -> None:
    with pytest.raises(RunbusError) as caught:
        read("runnerSelector:\n" + "".join(f"  unknown{number}: 1\n" for number in range(10_000)))
    assert len(caught.value.details["problems"]) == 500
    lines = caught.value.message.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 9982 more problems"


def test_very_many_warnings_are_counted() -> None:
    steps = "".join(f"  - {{exec: a, args: b{number}}}\n" for number in range(700))
    warnings = read(f"name: n\nsequence:\n  commands:\n{steps}").warnings
    assert (len(warnings), warnings[-1]) == (501, "... and 200 more warnings")
