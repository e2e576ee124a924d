"""``runbus nodes filter`` and ``discover``, which need no bus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbus.cli import exits
from runbus.cli.main import run_command
from schemas.nodes import NodeFormat


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nodes.yaml").write_text("a: {hostname: a1, tags: x}\nb: {hostname: b1}\n", encoding="utf-8")
    Path("none.json").write_text("[]", encoding="utf-8")


@pytest.mark.parametrize("form", NodeFormat)
def test_each_format_is_written_by_the_name_that_help_gives_it(
    form: NodeFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["nodes", "filter", "--file", "nodes.yaml", "tags: x", "--format", str(form)]) == exits.OK
    Path("again").write_text(capsys.readouterr().out, encoding="utf-8")
    assert run_command(["nodes", "filter", "--file", "again", "--file-format", str(form), "--json"]) == exits.OK
    assert [node["name"] for node in json.loads(capsys.readouterr().out)["nodes"]] == ["a"]


def test_an_unknown_format_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["nodes", "filter", "--file", "nodes.yaml", "--format", "csv"]) == exits.USAGE
    assert "'ansible', 'resourcejson', 'resourcexml', 'resourceyaml'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("filter", "--file", "none.json"), ("discover", "file", "--config")])
def test_no_nodes_of_a_file_are_no_matter_of_the_project(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*words, f"file={tmp_path}/none.json"] if words[0] == "discover" else words
    assert run_command(["nodes", *given]) == exits.OK
    assert capsys.readouterr().err == "No nodes.\n"


def test_names_that_stand_twice_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    Path("twice.yaml").write_text("a: {hostname: a1}\na: {hostname: a2}\n", encoding="utf-8")
    assert run_command(["nodes", "filter", "--file", "twice.yaml", "--json"]) == exits.OK
    printed = capsys.readouterr()
    assert json.loads(printed.out)["nodes"][0]["attributes"] == {"hostname": "a2"}
    assert printed.err == "Warning: twice.yaml: the name 'a' stands more than once; of each name the last holds\n"


def test_a_setting_that_is_missing_is_told_with_those_that_mean_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["nodes", "discover", "file", "--config", "fle=/nodes.yaml"]) == exits.ERROR
    assert "the setting 'file' is missing; setting 'fle' means nothing to file." in capsys.readouterr().err


@pytest.mark.parametrize(("entry", "got"), [("[1, 2]", "a list"), ("7", "'7'"), ("yes", "'true'"), ("", "nothing")])
def test_what_stands_in_the_place_of_a_node_is_told_in_words(
    entry: str, got: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("odd.yaml").write_text(f"a: {entry}\n", encoding="utf-8")
    assert run_command(["nodes", "filter", "--file", "odd.yaml"]) == exits.ERROR
    assert f"expected a node's attributes, 'hostname: ...', got {got}; write a map." in capsys.readouterr().err
