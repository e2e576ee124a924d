"""Warnings of secure values that a call of a job does not hand on: an option would get nothing, untold."""

from __future__ import annotations

import pytest

from tests.support.jobfiles import read, xml

CALLED = """\
- name: called
  group: ops
  uuid: c1
  options: [{name: plain}, {name: seen, secure: true, valueExposed: true}, {name: unseen, secure: true}]
  sequence: {commands: [{exec: ls}]}
"""
NAMED = "group: ops, name: called"


def warnings(args: str, *, called: str = NAMED, step: str = "jobref: {CALLED, args: 'ARGS'}") -> list[str]:
    options = "[{name: f, secure: true, valueExposed: true}, {name: p, secure: true}, {name: open}]"
    text = step.replace("CALLED", called).replace("ARGS", args)
    return read(f"- name: n\n  options: {options}\n  sequence: {{commands: [{{{text}}}]}}\n{CALLED}").warnings


@pytest.mark.parametrize("called", [NAMED, "uuid: c1", "name: called, group: /ops/, uuid: other, useName: true"])
def test_a_plain_option_is_given_nothing(called: str) -> None:
    (warning,) = warnings("-plain x${option.f}y", called=called)
    column = 26 + len("jobref: {") + len(called) + len(", ")
    assert warning == (
        f"f.yaml:3:{column}: [0].sequence.commands[0].jobref.args: the value of the secure option 'f' is not handed "
        "on to 'plain' of job 'ops/called', which gets nothing in its place: it is a plain option, whose value "
        "anybody can read; make it 'secure' there"
    )


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ("-plain ${option.f}", "it is a plain option"),
        ("-plain ${unquotedoption.f}", "it is a plain option"),
        ("-other ${option.f}", "that job has no such option; make it a secure one there"),
        ("-seen a${option.p}", "scripts see its value, and are not to see this one"),
        ("-unseen ${option.p} -plain ${option.p}", "'plain' of job"),
    ],
)
def test_who_is_not_given_a_value(args: str, why: str) -> None:
    (warning,) = warnings(args)
    assert why in warning


@pytest.mark.parametrize(
    "args",
    [
        "-seen x${option.f}y", "-seen ${option.f} -unseen ${option.p}", "-unseen ${option.f}",
        "-plain ${option.open} -other ${option.none}", "${option.f} ${option.p}", "-plain f",
    ],
)  # fmt: skip
def test_what_is_handed_on(args: str) -> None:
    assert warnings(args) == []


@pytest.mark.parametrize("called", ["name: other", "uuid: c2", "group: ops, name: called, project: elsewhere"])
def test_of_a_job_that_the_file_does_not_hold_nothing_is_told(called: str) -> None:
    assert warnings("-plain ${option.f}", called=called) == []


def test_a_handler() -> None:
    step = "exec: ls, errorhandler: {jobref: {CALLED, args: 'ARGS'}}"
    (warning,) = warnings("-plain ${option.f}", step=step)
    assert ": [0].sequence.commands[0].errorhandler.jobref.args: the value of" in warning


def test_xml() -> None:
    options = '<context><options><option name="f" secure="true"/></options></context>'
    steps = '<command><jobref name="n"><arg line="-g ${option.f}"/></jobref></command>'
    (warning,) = read(xml(options, steps=steps)).warnings
    assert "'f' is not handed on to 'g' of job 'n'" in warning
