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
