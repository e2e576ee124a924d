"""The job file reader: facts of good files, and place and text of every problem of bad ones."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from domain.jobfile import JobFile, read_job_file, source
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition, RunnerSelector, SelectorMode, Step

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "job_yaml.json"

STEPS = "sequence: {commands: [{exec: ls}]}"


def job(text: str = "", *, steps: str = STEPS) -> str:
    """One job; ``text`` begins in line 2."""
    return "\n".join(line for line in ("name: n", text, steps) if line) + "\n"


def step(text: str) -> str:
    """One job with one step, a flow map's inside, from column 24 of line 2."""
    return job(steps=f"sequence: {{commands: [{{{text}}}]}}")


def read(text: str) -> JobFile:
    return read_job_file(text, project="p", file="f.yaml")


def one(text: str) -> JobDefinition:
    (only,) = read(text).jobs
    return only


def problems(text: str) -> list[dict[str, Any]]:
    with pytest.raises(RunbusError) as caught:
        read(text)
    assert caught.value.code is ErrorCode.INVALID_JOB
    found: list[dict[str, Any]] = caught.value.details["problems"]
    assert found
    for line, problem in zip(caught.value.message.splitlines(), found, strict=False):
        path = f"{problem['path']}: " if problem["path"] else ""
        assert line == f"f.yaml:{problem['line']}:{problem['column']}: {path}{problem['text']}"
        assert "; " in line, "no word on what to do"
    return found


def the_problem(text: str) -> tuple[int, int, str, str]:
    (only,) = problems(text)
    return only["line"], only["column"], only["path"], only["text"]


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


def test_every_field_that_is_supported() -> None:
    file = read(FULL)
    assert file.warnings == []
    assert file.jobs == [
        JobDefinition(
            uuid="3f1f2c9a-1111-4222-8333-444455556666",
            name="Nightly backup",
            project="p",
            group="ops/backup",
            description="First line\n\nMore.\n",
            timeout_s=5400.0,
            runner=RunnerSelector(mode=SelectorMode.TAGS, filter="linux,dev"),
            runner_editable=True,
            steps=[
                Step(plugin="command", config={"command": "pg_dump main"}, description="dump"),
                Step(
                    plugin="script",
                    config={
                        "script": '#!/bin/bash\necho "$1"\n',
                        "args": "a 'b c'",
                        "interpreter": "sudo bash",
                        "interpreter_args_quoted": False,
                        "file_extension": ".sh",
                    },
                ),
                Step(plugin="script", config={"file": "/opt/tidy.sh", "args": "-v"}),
                Step(
                    plugin="wait-for-port",
                    config={"port": 80, "on": [True, 1.5, None, "2024-01-02"], "deep": {"a": "b"}},
                ),
            ],
        )
    ]


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
    assert first.steps == second.steps == [Step(plugin="command", config={"command": "ls"})]


def test_json_is_yaml_and_a_byte_order_mark_is_no_text() -> None:
    text = "\ufeff" + json.dumps([{"name": "n", "sequence": {"commands": [{"exec": "ls"}]}}], indent=1)
    assert one(text).name == "n"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("120", 120),
        ("'120'", 120),
        ("1.5", 1.5),
        ("1d 2h 3m 4s", 93_784),
        ("1h30m", 5400),
        ("5m", 300),
        ("30m 2h", 9000),
        ("0", None),
        ("0s", None),
        ("''", None),
        ("", None),
    ],
)
def test_timeout(written: str, seconds: float | None) -> None:
    assert one(job(f"timeout: {written}")).timeout_s == seconds


@pytest.mark.parametrize("written", ["5x", "1m 2m", "m5", "-5", "1:30", "0x10", ".inf", "true", "5 m", "9" * 5000])
def test_timeout_that_is_none(written: str) -> None:
    line, column, path, text = the_problem(job(f"timeout: {written}"))
    assert (line, column, path) == (2, 10, "timeout")
    assert text.startswith("expected a duration, got ")


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
        ("{runnerFilterMode: TAGS}", "", "its filter is empty"),
        ("{filter: 'a,,b', runnerFilterMode: TAGS}", "", "a tag cannot be empty"),
        ("{filter: local, runnerFilterMode: TAGS}", "", "reserved"),
        ("{filter: '${option.t}', runnerFilterMode: TAGS}", ".filter", "not supported yet"),
        ("{filter: [a, b], runnerFilterMode: TAGS}", ".filter", "expected text, got a list"),
        ("TAGS", "", "expected a map, got text ('TAGS')"),
    ],
)
def test_runner_selector_refused(written: str, path: str, text: str) -> None:
    found = the_problem(job(f"runnerSelector: {written}"))
    assert found[2] == f"runnerSelector{path}"
    assert text in found[3]


@pytest.mark.parametrize(
    "field",
    [
        "loglevel: INFO",
        "defaultTab: nodes",
        "nodeFilterEditable: false",
        "nodesSelectedByDefault: true",
        "scheduleEnabled: false",
        "executionEnabled: true",
        "plugins:",
        "plugins: {ExecutionLifecycle: null}",
        "plugins: {ExecutionLifecycle: {}}",
        "schedules: []",
        "schedule: {}",
        "options: []",
        "options:",
        "averageDuration: 5",
        "multipleExecutions: true",
        "notifyAvgDurationThreshold:",
        "orchestrator:",
        "retry: '0'",
        "retry: {retry: '0', delay: '10'}",
        "nodefilters:",
        "tags: a,b",
        "timeZone: Europe/Athens",
    ],
)
def test_harmless_fields_of_a_job_are_warned_of(field: str) -> None:
    (warning,) = read(job(field)).warnings
    assert warning.startswith(f"f.yaml:2:1: {field.split(':', maxsplit=1)[0]}: ignored: ")


@pytest.mark.parametrize(
    "field", ["keepgoing: false", "strategy: node-first", "strategy: sequential", "pluginConfig: {}"]
)
def test_harmless_fields_of_a_sequence_are_warned_of(field: str) -> None:
    (warning,) = read(job(steps=f"sequence: {{{field}, commands: [{{exec: ls}}]}}")).warnings
    assert warning.startswith(f"f.yaml:2:12: sequence.{field.split(':', maxsplit=1)[0]}: ignored: ")


@pytest.mark.parametrize(
    "field",
    ["plugins: {LogFilter: []}", "autoSecureInput: 'false'", "expandTokenInScriptFile: false", "errorhandler: "],
)
def test_harmless_fields_of_a_step_are_warned_of(field: str) -> None:
    (warning,) = read(step(f"script: ls, {field}")).warnings
    assert f"sequence.commands[0].{field.split(':', maxsplit=1)[0]}: ignored: " in warning


@pytest.mark.parametrize(
    "field",
    [
        "options: [{name: a}]",
        "schedule: {crontab: '0 0 0 * * ? *'}",
        "schedules: [a]",
        "notification: {onfailure: {email: {recipients: a}}}",
        "retry: 1",
        "retry: '${option.r}'",
        "retry: {retry: 2}",
        "nodefilters: {filter: .*}",
        "loglimit: 100MB",
        "executionEnabled: false",
        "plugins: {ExecutionLifecycle: {a: {b: c}}}",
        "orchestrator: {type: subset}",
        "maxMultipleExecutions: 3",
    ],
)
def test_fields_that_change_a_job_are_not_dropped(field: str) -> None:
    line, column, path, text = the_problem(job(field))
    assert (line, column, path) == (2, 1, field.split(":", maxsplit=1)[0])
    assert text.startswith("not supported yet; ")


@pytest.mark.parametrize("field", ["keepgoing: true", "strategy: parallel", "pluginConfig: {LogFilter: [a]}"])
def test_fields_that_change_a_sequence_are_not_dropped(field: str) -> None:
    found = the_problem(job(steps=f"sequence: {{{field}, commands: [{{exec: ls}}]}}"))
    assert found[:3] == (2, 12, f"sequence.{field.split(':', maxsplit=1)[0]}")
    assert found[3].startswith("not supported yet; ")


@pytest.mark.parametrize(
    "field",
    [
        "jobref: {name: other}",
        "scripturl: 'http://x'",
        "exec: ls, errorhandler: {exec: rm}",
        "exec: ls, plugins: {LogFilter: [{type: a}]}",
        "scriptfile: a, expandTokenInScriptFile: true",
        "exec: ls, enabled: false",
    ],
)
def test_fields_that_change_a_step_are_not_dropped(field: str) -> None:
    assert the_problem(step(field))[3].startswith("not supported yet; ")


def test_a_timeout_from_an_option_is_not_supported_yet() -> None:
    assert the_problem(job("timeout: ${option.t}"))[3].startswith("not supported yet")


def test_references_are_warned_of() -> None:
    warnings = read(step("exec: 'echo ${option.x} $HOME ${HOME} a@b.c'")).warnings
    assert warnings == [
        "f.yaml:2:24: sequence.commands[0].exec: '${option.x}' is passed on as it stands: "
        "putting values in is not supported yet"
    ]
    assert len(read(step("type: x, configuration: {a: [b, '@option.c@']}")).warnings) == 1
    assert read(step("exec: 'echo ${HOME} a@b.c'")).warnings == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (step("exce: ls"), (2, 24, "sequence.commands[0].exce", "unknown field; did you mean 'exec'?")),
        (job("Group: a"), (2, 1, "Group", "unknown field; did you mean 'group'?")),
        (job("zzz: a"), (2, 1, "zzz", "unknown field 'zzz'; remove it")),
        (job(steps="sequence: {cmds: [], commands: [{exec: a}]}"), (2, 12, "sequence.cmds", None)),
        (job("description: [a]"), (2, 14, "description", "expected text, got a list; write text here")),
        (
            job("description: 5"),
            (2, 14, "description", "expected text, got a whole number ('5'); put it in quotes"),
        ),
        (
            step("exec: true"),
            (2, 30, "sequence.commands[0].exec", "expected text, got true or false ('true'); put it in quotes"),
        ),
        (step("exec: "), (2, 30, "sequence.commands[0].exec", "expected text, got nothing; write the text")),
        (step("exec: ' '"), (2, 30, "sequence.commands[0].exec", "empty; write something here")),
        (job("description: !!python/name:os.system x"), (2, 14, "description", None)),
        (
            job("runnerSelectorEditable: 'true'"),
            (
                2,
                25,
                "runnerSelectorEditable",
                "expected true or false, got text ('true'); take the quotes away",
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
        (step("exec: a, args: b"), (2, 33, "sequence.commands[0].args", None)),
        (step("script: a, configuration: {b: c}"), (2, 35, "sequence.commands[0].configuration", None)),
        (step("type: a, config: {b: c}"), (2, 33, "sequence.commands[0].config", None)),
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
        ("<joblist></joblist>", (1, 1, "", "this looks like XML: not supported yet; export the job as YAML")),
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
      - exec: 5
- group: g
  loglimit: 5MB
  sequence: {commands: [{jobref: {name: a}}]}
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
        read("".join(f"unknown{number}: 1\n" for number in range(10_000)))
    assert len(caught.value.details["problems"]) == 500
    lines = caught.value.message.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 9982 more problems"


@pytest.mark.parametrize("loader", [yaml.SafeLoader, source.LOADER])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "more than 100 levels"),
        ("{a: " * 50_000, "more than 100 levels"),
        ("- " * 100_000, "more than 100 levels"),
        ("? " * 100_000, "more than 100 levels"),
        ("&a [*a]", "more than 100 levels"),
        ("- &a {name: *a}", "more than 100 levels"),
        (
            "".join(f"k{n}: &a{n} [{f'*a{n - 1}, ' * 9 if n else 'x'}]\n" for n in range(12)),
            "more than 100,000 values",
        ),
        ("[" + "a," * 120_000 + "]", "more than 100,000 values"),
        (step("zz: 1, exec: '" + "${option." * 110_000 + "'"), "unknown field"),
        (job(f"timeout: {'9' * 1_000_000}"), "expected a duration"),
        (f"a: &a {'x' * 1000}\nb: [{'*a, ' * 2000}]", "more than 1 MiB of text"),
        ("x" * (1 << 20) + "x", "longer than 1 MiB"),
        ("\u00e9" * (1 << 19) + "x", "longer than 1 MiB"),
        ('"\\UFFFFFFFF"', "not valid YAML"),
        ("%YAML " + "9" * 5000 + ".1\n--- a", "not valid YAML"),
    ],
    ids=range(15),
)
def test_hostile_files_are_refused_fast(
    text: str, words: str, loader: type[yaml.SafeLoader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "LOADER", loader)
    begin = time.process_time()
    assert any(words in each["text"] for each in problems(text))
    assert time.process_time() - begin < 20


def test_the_parser_in_python_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read(FULL)
    monkeypatch.setattr(source, "LOADER", yaml.SafeLoader)
    assert read(FULL) == expected


WORDS = (
    "name|sequence|commands|exec|timeout|runnerSelector|<<|: |:\n  |\n|- |[|]|{|}|, "
    "|&a |*a|!!int |!!map |!x |'|---\n|# |5|~|true|\t"
)
YAMLISH = st.lists(st.sampled_from([*WORDS.split("|"), '"', "|\n "]), max_size=40).map("".join)


def read_or_error(text: str) -> JobFile | RunbusError:
    try:
        return read(text)
    except RunbusError as error:
        return error


@given(text=st.one_of(st.text(), YAMLISH))
def test_no_text_raises_anything_else(text: str) -> None:
    result = read_or_error(text)
    if isinstance(result, JobFile):
        assert result.jobs
    else:
        assert result.code is ErrorCode.INVALID_JOB
        assert all(each["line"] > 0 and each["column"] > 0 for each in result.details["problems"])


TREES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=9) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)
FIELDS = ["name", "uuid", "group", "timeout", "runnerSelector", "sequence", "options", "retry", "plugins"]


@given(tree=st.dictionaries(st.sampled_from(FIELDS), TREES), step_tree=TREES)
def test_no_tree_raises_anything_else(tree: dict[str, Any], step_tree: Any) -> None:
    tree.setdefault("sequence", {"commands": [step_tree, {"type": "x", "configuration": step_tree}]})
    result = read_or_error(yaml.safe_dump([tree]))
    assert isinstance(result, JobFile) or result.code is ErrorCode.INVALID_JOB


# without what PyYAML's own emitter does not write back as it was
FITTING = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff\x85\u2028\u2029")
FILLED = st.text(FITTING, min_size=1, max_size=30).filter(str.strip)
NAMES = st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="/"), min_size=1, max_size=20)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(FITTING),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(FITTING, max_size=9), inner, max_size=3),
    max_leaves=10,
)
CONFIGS = st.dictionaries(st.text(FITTING, max_size=9), PLAIN, max_size=3)
STEP_PAIRS = st.one_of(
    FILLED.map(lambda text: ({"exec": text}, Step(plugin="command", config={"command": text}))),
    st.tuples(FILLED, FILLED).map(
        lambda pair: (
            {"script": pair[0], "args": pair[1]},
            Step(plugin="script", config={"script": pair[0], "args": pair[1]}),
        )
    ),
    st.tuples(NAMES, CONFIGS).map(
        lambda pair: (
            {"type": pair[0], "nodeStep": True, "configuration": pair[1]},
            Step(plugin=pair[0], config=pair[1]),
        )
    ),
)


@given(
    name=NAMES, description=st.text(FITTING), seconds=st.integers(1, 10**6), pairs=st.lists(STEP_PAIRS, min_size=1)
)
def test_valid_jobs_come_back_as_written(
    name: str, description: str, seconds: int, pairs: list[tuple[dict[str, Any], Step]]
) -> None:
    written = {
        "name": name,
        "description": description,
        "timeout": seconds,
        "sequence": {"commands": [mapping for mapping, _ in pairs]},
    }
    job = one(yaml.safe_dump([written], allow_unicode=True))
    assert (job.name, job.description, job.timeout_s) == (name, description, seconds)
    assert job.steps == [step for _, step in pairs]


def real_files() -> list[Any]:
    if not VECTORS.exists():
        return [
            pytest.param({}, marks=pytest.mark.skip(reason=f"no {'/'.join(VECTORS.parts[-3:])} beside the project"))
        ]
    cases = json.loads(VECTORS.read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["id"]) for case in cases if case["format"] == "yaml"]


@pytest.mark.parametrize("case", real_files())
def test_real_files_load_or_wait_for_a_later_version(case: dict[str, Any]) -> None:
    result = read_or_error(case["text"])
    if isinstance(result, RunbusError):
        for each in result.details["problems"]:
            # a step's 'config' is that file's own mistake: the original reads 'configuration' only
            assert "not supported yet" in each["text"] or each["path"].endswith("].config"), each
        return
    plugins = {"exec": "command", "script": "script", "scriptfile": "script"}
    for job, facts in zip(result.jobs, case["expect"], strict=True):
        assert (job.name, job.group or None, len(job.steps)) == (facts["name"], facts["group"], facts["steps"])
        assert job.uuid == facts["uuid"] or facts["uuid"] is None
        assert [step.plugin for step in job.steps] == [
            plugins.get(kind, kind.removeprefix("plugin:")) for kind in facts["step_types"]
        ]
