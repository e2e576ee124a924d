"""The original's XML and JSON: the same definitions as from YAML, and the place of every problem."""

from __future__ import annotations

import json

import pytest
import yaml

from domain.jobfile import read_job_file
from schemas.errors import RunbusError
from tests.support.jobfiles import one, problems, read, the_problem, xml
from tests.support.jobfixtures import XML, YAML


def test_xml_is_read_as_yaml_is() -> None:
    assert one(XML) == one(YAML)


def test_json_is_read_as_yaml_is() -> None:
    tree = yaml.safe_load(YAML)
    for text in (json.dumps(tree), json.dumps(tree, indent="\t", ensure_ascii=False), "\ufeff" + json.dumps(tree[0])):
        assert one(text) == one(YAML)


def test_json_may_hold_what_yaml_may_not() -> None:
    text = '[{"name": "n", "description": "\\ud83d\\ude00\\/\x7f",\t"sequence": {"commands": [{"exec": "ls"}]}}]'
    assert one(text).description == "\U0001f600/\x7f"


def test_what_looks_like_json_may_be_yaml() -> None:
    assert one("{name: n, sequence: {commands: [{exec: ls}]}}").name == "n"
    with pytest.raises(
        RunbusError, match=r"\Af.json:1:2: not valid JSON: a field's name stands in double quotes|no "
    ):
        read_job_file("{name: n}", project="p", file="f.json")


def test_options_without_order_are_sorted() -> None:
    text = "<context><options><option name='b'/><option name='a'/></options></context>"
    assert [each.name for each in one(xml(text)).options] == ["a", "b"]


def test_several_jobs_in_one_list() -> None:
    text = xml("").replace("</joblist>", "") + xml("").replace("<joblist>", "").replace(">n<", ">m<")
    assert [each.name for each in read(text).jobs] == ["n", "m"]


def test_old_forms() -> None:
    found = one(
        xml(
            "<nodefilters excludeprecedence='true'><include><tags>a</tags></include></nodefilters>"
            "<dispatch><threadcount>2</threadcount></dispatch><schedule crontab='0 0 12 * * ?'/><retry>1</retry>"
        )
    )
    assert found.nodes
    assert (found.nodes.filter, found.nodes.threadcount) == ("tags: a", "2")
    assert found.schedule
    assert (found.schedule.crontab, found.retry and found.retry.count) == ("0 0 12 * * ? *", "1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (xml("  <timeout>soon</timeout>"), (2, 3, "timeout")),
        (xml("<group>a</group>\n <group>b</group>"), (3, 2, "group")),
        (xml("<nodefilter>a</nodefilter>"), (2, 1, "nodefilter")),
        (xml("<executionEnabled>perhaps</executionEnabled>"), (2, 1, "executionEnabled")),
        (xml("<context><options>\n<option value='x'/></options></context>"), (3, 1, "options[0]")),
        (xml("<context><options preserveOrder='true'><option name='a' isDate='x'/></options></context>"),
         (2, 40, "options[0].isDate")),
        (xml("<runnerSelector><filterMode>TAGS</filterMode></runnerSelector>"), (2, 17, "runnerSelector.filterMode")),
        (xml("<dispatch><threadcount>0</threadcount></dispatch><nodefilters><filter>a</filter></nodefilters>"),
         (2, 11, "dispatch.threadcount")),
        (xml("", steps="\n <command><exce>ls</exce></command>"), (3, 11, "sequence.commands[0].exce")),
        (xml("", steps="\n <command><exec>ls</exec><script>a</script></command>"), (3, 2, "sequence.commands[0]")),
        (xml("", steps="\n <command><exec> </exec></command>"), (3, 11, "sequence.commands[0].exec")),
        (xml("", steps=""), (2, 1, "sequence.commands")),
    ],
)  # fmt: skip
def test_the_place_of_a_problem_in_xml(text: str, expected: tuple[int, int, str]) -> None:
    assert the_problem(text)[:3] == expected


def test_the_place_of_a_problem_in_json() -> None:
    text = '[\n  {"name": "a/b",\n   "timeout": "soon",\n   "sequence": {"commands": [{"exec": ["x"]}]}}\n]\n'
    assert [(each["line"], each["column"], each["path"]) for each in problems(text)] == [
        (2, 12, "name"),
        (3, 15, "timeout"),
        (4, 39, "sequence.commands[0].exec"),
    ]
