"""The cases taken from the original's own tests: read where they are, skipped with the reason where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from domain.context.arguments import join_arguments, split_arguments
from domain.context.commands import StepPlace, quoted_arguments, script_text
from domain.context.groups import node_context
from domain.context.masking import Masker, TextMaskStream
from domain.context.quoting import Target, command_line
from domain.context.references import Missing, expand
from domain.context.scopes import DataContext, Groups, View

FOLDER = Path(__file__).parents[3] / "shared" / "vectors"

Case = dict[str, Any]


def cases(name: str) -> list[Any]:
    path = FOLDER / name
    if not path.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no cases of the original here: {path}"))]
    return [pytest.param(case, id=case["id"]) for case in json.loads(path.read_text("utf-8"))]


def data_of(case: Case) -> DataContext:
    scopes: dict[View, Groups] = {View(): case.get("context", {})}
    for node, groups in case.get("node_context", {}).items():
        scopes[View(node=node)] = groups
    for name, groups in case.get("step_context", {}).items():
        step, _, node = name.partition("@")
        scopes[View(int(step), node or None)] = groups
    return DataContext(scopes)


def place_of(case: Case) -> StepPlace:
    family = case.get("os_family") or case.get("line_endings") or ""
    return StepPlace(data_of(case), case.get("node"), Target(family, case.get("command_interpreter") or ""))


def script(case: Case) -> str:
    return script_text(case["input"], place_of(case))


def reference(case: Case) -> str:
    missing = Missing.BLANK if case["blank_if_missing"] else Missing.LITERAL
    return expand(case["input"], data_of(case), View(node=case.get("node")), missing)


def exec_args(case: Case) -> list[str]:
    return quoted_arguments(
        case["args"], place_of(case), quoted=case["quote_args"], legacy=case.get("legacy_quoting", False)
    )


def node(case: Case) -> dict[str, str]:
    attributes = {key: value for key, value in case["attributes"].items() if key != "tags"}
    return node_context(case["nodename"], attributes, case["attributes"].get("tags", ()))


SUBSTITUTIONS = {"script": script, "reference": reference, "exec_args": exec_args, "node_context": node}


@pytest.mark.parametrize("case", cases("option_substitution.json"))
def test_substitution_is_the_originals(case: Case) -> None:
    assert SUBSTITUTIONS[case["kind"]](case) == case["expect"]


def argline(case: Case) -> str:
    return command_line(case["command"], case["input"], legacy_unsafe=case["legacy_unsafe"])


ARGUMENTS = {
    "split": lambda case: split_arguments(case["input"]),
    "join": lambda case: join_arguments(case["input"]),
    "quote": lambda case: place_of(case).target.quote(case["input"]),
    "argline": argline,
}


@pytest.mark.parametrize("case", cases("args_splitting.json"))
def test_arguments_are_split_joined_and_quoted_as_in_the_original(case: Case) -> None:
    assert ARGUMENTS[case["op"]](case) == case["expect"]


@pytest.mark.parametrize("case", cases("masking.json"))
def test_logs_are_masked_as_in_the_original_however_they_are_cut(case: Case) -> None:
    masker = Masker([*case["private_values"], *case["exposed_secure_values"]], case["replacement"])
    line, expected = case["input"], case["expect"]

    assert masker.mask(line) == expected
    for size in (1, 2, 5, 17):
        stream = TextMaskStream(masker)
        pieces = [stream.feed(line[start : start + size]) for start in range(0, len(line), size)]
        assert "".join([*pieces, stream.finish()]) == expected
