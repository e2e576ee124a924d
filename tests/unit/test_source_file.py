"""The node sources ``file`` and ``directory``: as the runner asks them, real files, and what is wrong with those."""

from __future__ import annotations

import asyncio
import os
import socket
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from benchmarks.nodes import sample
from domain.nodes.formats import parts, write_nodes
from runbus.plugin import ENTRY_POINT_GROUP, Discovered, SourceFailure
from schemas.errors import ErrorCode, RunbusError
from services.runner.discovery import Discoverer, Question
from services.runner.inventory import PluginInventory
from services.runner.sources import directory as directory_module
from tests.support.keydirs import own_keys

PLUGINS = {
    "file": "services.runner.sources.file:FileNodes",
    "directory": "services.runner.sources.directory:DirectoryNodes",
}


async def ask(kind: str, **config: str) -> Discovered:
    entries = [EntryPoint(f"node-source/{name}", value, ENTRY_POINT_GROUP) for name, value in PLUGINS.items()]
    plugins = PluginInventory("web-1", entries)
    plugins.load()
    asked = Discoverer(runner="web-1", plugins=plugins, keys=own_keys(None, "web-1"), env={})
    return await asked.discover(Question(project="p", source="s1", type=kind, config=config, timeout_s=20))


async def refused(kind: str, reason: SourceFailure, **config: str) -> str:
    with pytest.raises(RunbusError) as caught:
        await ask(kind, **config)
    assert caught.value.code is ErrorCode.DISCOVERY_FAILED
    assert caught.value.details["reason"] == reason
    assert caught.value.message.startswith(f"node source s1 ({kind}): ")
    assert "Traceback" not in caught.value.message
    return caught.value.message


def written(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def names(found: Discovered) -> list[str]:
    return [node.name for node in found.nodes]


# One file


@pytest.mark.parametrize(
    ("name", "text", "given"),
    [
        ("n.yaml", "a:\n  hostname: h\n  tags: t, s\n", ""),
        ("n.YML", "a: {hostname: h, tags: [s, t]}", ""),
        ("n.json", '{"a": {"hostname": "h", "tags": "s,t"}}', ""),
        ("n.xml", '<project><node name="a" hostname="h" tags="s,t"/></project>', ""),
        ("n", "- {nodename: a, hostname: h, tags: 's,t'}", "resourceyaml"),
        ("n.txt", "a: {hostname: h, tags: 's,t'}", "text/plain"),
        ("n.json", "a: {hostname: h, tags: 's,t'}", "application/x-yaml; charset=utf-8"),
        ("n.yaml", '[{"nodename": "a", "hostname": "h", "tags": ["t", "s"]}]', "text/json"),
        ("n", '<p><node name="a" hostname="h" tags="s,t"/></p>', "Application/XML"),
    ],
)
async def test_a_file_is_read(tmp_path: Path, name: str, text: str, given: str) -> None:
    found = await ask("file", file=written(tmp_path / name, text), format=given)
    assert [(node.name, node.attributes, node.tags) for node in found.nodes] == [("a", {"hostname": "h"}, ["s", "t"])]
    assert found.warnings == []


async def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = written(tmp_path / "n.yaml", "a: {}")
    assert names(await ask("file", file=file)) == ["a"]
    written(tmp_path / "n.yaml", "b: {}")
    assert names(await ask("file", file=file)) == ["b"]
    written(tmp_path / "n.yaml", "")
    assert names(await ask("file", file=file)) == []


LISTS = [("yaml", "- {nodename: NAME, x: X}\n", "", ""), ("json", '{"nodename": "NAME", "x": "X"}', "[", "]")]
MAPS = [
    ("yaml", "NAME:\n  x: X\n", "", ""),
    ("yaml", "NAME: {x: X}\n", "", ""),
    ("yaml", "NAME: {x: X}\n", "first: &f {}\n", ""),
    ("json", '"NAME": {"x": "X"}', "{", "}"),
    ("json", '"NAME": {"x": "X", "y": {}}', "{", "}"),
    ("json", '"k-X": {"nodename": "NAME", "x": "X"}', "{", "}"),
]


def document(form: str, entry: str, around: tuple[str, str], names: list[str]) -> str:
    entries = [entry.replace("NAME", name).replace("X", str(number)) for number, name in enumerate(names)]
    return around[0] + ("," if form == "json" else "").join(entries) + around[1]


@pytest.mark.parametrize(("form", "entry", "begins", "ends"), LISTS + MAPS)
async def test_a_name_that_stands_twice_is_warned_of(
    tmp_path: Path, form: str, entry: str, begins: str, ends: str
) -> None:
    text = document(form, entry, (begins, ends), ["a", "b", "a"])
    file = written(tmp_path / f"n.{form}", text)
    found = await ask("file", file=file)
    assert [node.attributes["x"] for node in found.nodes if node.name in ("a", "b")] == ["2", "1"]
    warning = f"{file}: the name 'a' stands more than once; of each name the last holds"
    assert found.warnings == [warning]
    assert (await ask("directory", directory=str(tmp_path))).warnings == [warning]
    alone = written(tmp_path / f"n.{form}", document(form, entry, (begins, ends), ["a", "b", "c"]))
    assert (await ask("file", file=alone)).warnings == []


@pytest.mark.parametrize(("form", "entry", "begins", "ends"), LISTS + MAPS)
async def test_of_many_names_that_stand_twice_a_few_are_told(
    tmp_path: Path, form: str, entry: str, begins: str, ends: str
) -> None:
    many = [f"n{number:04}" for number in range(3_000)]
    text = document(form, entry, (begins, ends), [*many, "x", *many, *many])
    file = written(tmp_path / f"n.{form}", text)
    (warning,) = (await ask("file", file=file)).warnings
    told = "'n0000', 'n0001', 'n0002', 'n0003', 'n0004' and 2,995 more"
    assert warning == f"{file}: the names {told} stand more than once; of each name the last holds"


async def test_what_is_said_of_one_name_in_several_documents_and_in_xml(tmp_path: Path) -> None:
    file = written(tmp_path / "n.yaml", "a: {x: 1}\n---\n- {nodename: a}\n- {nodename: b}\n")
    found = await ask("file", file=file)
    assert [(node.name, node.attributes) for node in found.nodes] == [("a", {}), ("b", {})]
    assert found.warnings == [f"{file}: the name 'a' stands more than once; of each name the last holds"]
    file = written(tmp_path / "n.xml", '<p><node name="a" x="1"/><node name="b"/><node name="a" y="2"/></p>')
    found = await ask("file", file=file)
    assert found.nodes[0].attributes == {"x": "1", "y": "2"}
    assert found.warnings == [
        f"{file}: the name 'a' stands more than once; what is said of each name is put together"
    ]


async def test_a_missing_file_has_no_nodes_unless_it_is_required(tmp_path: Path) -> None:
    for file in (str(tmp_path / "n.yaml"), written(tmp_path / "f", "") + "/n.yaml"):
        found = await ask("file", file=file, generateFileAutomatically="true", writeable="true")
        assert names(found) == []
        assert [f"there is no file {file}" in text for text in found.warnings] == [False, False, True]
        assert "requireFileExists=true" in found.warnings[2]
        assert file in await refused("file", SourceFailure.NOT_FOUND, file=file, requireFileExists="true")
    assert not (tmp_path / "n.yaml").exists()


async def test_nothing_is_written_and_that_is_said(tmp_path: Path) -> None:
    file = written(tmp_path / "n.yaml", "a: {}")
    found = await ask("file", file=file, generateFileAutomatically="true", writeable="true", colour="red")
    assert [text.partition(" has no effect")[0] for text in found.warnings[1:]] == [
        "generateFileAutomatically=true",
        "writeable=true",
    ]
    assert "colour" in found.warnings[0]
    assert (await ask("file", file=file, generateFileAutomatically="false", writeable="false")).warnings == []


async def test_the_runner_is_a_node_if_asked_for(tmp_path: Path) -> None:
    file = written(tmp_path / "n.yaml", "a: {}")
    found = await ask("file", file=file, includeServerNode="true")
    assert names(found) == ["a", "web-1"]
    assert found.nodes[1].attributes["hostname"] == socket.gethostname()
    assert names(await ask("file", file=str(tmp_path / "no.yaml"), includeServerNode="true")) == ["web-1"]
    found = await ask("file", file=written(tmp_path / "n.yaml", "web-1: {x: y}"), includeServerNode="true")
    assert [node.attributes for node in found.nodes] == [{"x": "y"}]
    assert found.warnings == []


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"file": "nodes.yaml"}, "'file' has to be an absolute path on the runner"),
        ({"file": "~/nodes.yaml"}, "absolute path"),
        ({"file": "/a\0b.yaml"}, "absolute path"),
        ({}, "'file' is missing"),
        ({"file": "/n.yaml", "requireFileExists": "maybe"}, "'requireFileExists'"),
        ({"file": "/n.yaml", "format": "ini"}, "'ini', which is not known; name one of resourceyaml"),
        ({"file": "/n.ini"}, "tells no format"),
    ],
)
async def test_settings_that_are_refused(config: dict[str, str], part: str) -> None:
    assert part in await refused("file", SourceFailure.CONFIGURATION, **config)


async def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "dir.yaml").mkdir()
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    for name, kind in (("pipe", "a named pipe"), ("dir", "a directory"), ("device", "a device")):
        file = str(tmp_path / f"{name}.yaml")
        assert f"is {kind}" in await refused("file", SourceFailure.CONFIGURATION, file=file)


async def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    assert "cannot be read: Too many levels" in await refused("file", SourceFailure.FAILED, file=str(loop))
    file = tmp_path / "n.yaml"
    written(file, "a: {}")
    file.chmod(0)
    if os.access(file, os.R_OK):  # root may read it
        opened = os.open

        def denied(path: Path, *rest: int, **named: int) -> int:
            if path == file:
                raise PermissionError(13, "Permission denied")
            return opened(path, *rest, **named)

        monkeypatch.setattr(os, "open", denied)
    assert "give the runner's user access" in await refused("file", SourceFailure.FAILED, file=str(file))


@pytest.mark.parametrize(
    ("name", "text", "place", "part"),
    [
        ("n.yaml", "a: {}\nb: {x: [}\n", ":2: ", "not valid YAML"),
        ("n.yaml", "a:\n  x: y\nb:\n", ":3: ", "got nothing"),
        ("n.yaml", b"a: {}\n\xff: {}", ":2: ", "UTF-8"),
        ("n.json", '{"a":\n {"x": }}', ":2: ", "not valid JSON"),
        ("n.json", '{"a": {"x": 1}', ": ", "not valid JSON"),
        ("n.xml", "<p>\n<node/></p>", ":2: ", "no 'name'"),
        ("n.xml", '<!DOCTYPE p [\n<!ENTITY a SYSTEM "file:///etc/hostname">]><p>&a;</p>', ":2: ", "entities"),
        (
            "n.xml",
            '<!DOCTYPE p [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]><p><node name="&b;"/></p>',
            ":1: ",
            "entities",
        ),
        ("n.yaml", "a: {x: !!python/object/apply:os.system [id]}", ":1: ", "tag"),
    ],
)
async def test_faults_have_file_and_line(tmp_path: Path, name: str, text: str, place: str, part: str) -> None:
    file = written(tmp_path / name, text)
    message = await refused("file", SourceFailure.MALFORMED, file=file)
    assert f"{file}{place}" in message
    assert part in message


async def test_bombs_of_yaml_are_refused(tmp_path: Path) -> None:
    levels = [
        f"  {new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    text = "\n".join(["n:", "  a: &a [x, x, x, x, x, x, x, x, x, x]", *levels])
    assert "repeat too much" in await refused(
        "file", SourceFailure.MALFORMED, file=written(tmp_path / "n.yaml", text)
    )


async def test_a_file_is_bounded(tmp_path: Path) -> None:
    with (tmp_path / "n.json").open("wb") as file:
        file.truncate(100 << 30)  # sparse
    assert f"{parts.MAX_BYTES >> 20} MiB" in await refused("file", SourceFailure.TOO_LARGE, file=file.name)


async def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "n.yaml"
    written(file, "a: {}")
    fstat = os.fstat

    def before(descriptor: int) -> os.stat_result:
        found = fstat(descriptor)
        monkeypatch.setattr(os, "fstat", fstat)
        with file.open("a") as more:
            more.write("\nb: {}")
        return found

    monkeypatch.setattr(os, "fstat", before)
    assert "written to while it was read" in await refused("file", SourceFailure.FAILED, file=str(file))


@pytest.mark.slow
async def test_many_nodes_are_read_while_the_runner_works_on(tmp_path: Path) -> None:
    nodes = sample(20_000)
    file = written(tmp_path / "n.yaml", write_nodes("resourceyaml", nodes))
    reading = asyncio.ensure_future(ask("file", file=file))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert (await reading).nodes == nodes
    assert turns > 5


# A directory


async def test_all_files_of_a_directory_are_read_in_order(tmp_path: Path) -> None:
    written(tmp_path / "b.yaml", "x: {from: b}\nb: {}")
    written(tmp_path / "a.json", '{"x": {"from": "a"}, "a": {}}')
    written(tmp_path / "c.xml", '<p><node name="c"/></p>')
    written(tmp_path / "notes.txt", "no: nodes")
    written(tmp_path / ".yaml", "hidden: {}")
    written(tmp_path / "yaml", "no: {}")
    (tmp_path / "sub").mkdir()
    written(tmp_path / "sub" / "d.yaml", "d: {}")
    found = await ask("directory", directory=str(tmp_path))
    assert names(found) == ["a", "b", "c", "x"]
    assert found.nodes[3].attributes == {"from": "b"}
    assert found.warnings == ["1 node bears a name that another has, too ('x'); of each name the last holds"]


async def test_a_broken_file_is_a_warning_and_the_rest_is_read(tmp_path: Path) -> None:
    written(tmp_path / "a.yaml", "a: {}")
    broken = written(tmp_path / "b.yaml", "b: {}\nc: [}")
    (tmp_path / "c.yaml").mkdir()
    os.mkfifo(tmp_path / "d.json")
    (tmp_path / "e.yaml").symlink_to("nowhere")
    written(tmp_path / os.fsdecode(b"f\xff.yaml"), "f: {}")
    written(tmp_path / "g.xml", '<p><node name="g"/></p>')
    found = await ask("directory", directory=str(tmp_path))
    assert names(found) == ["a", "g"]
    parts_of = [
        f"{broken}:2: not valid YAML",
        "c.yaml is a directory",
        "d.json is a named pipe",
        "no file",
        "f\\udcff",
    ]
    assert len(found.warnings) == len(parts_of)
    for text, part in zip(found.warnings, parts_of, strict=True):
        assert text.startswith("left out: ")
        assert part in text
        text.encode()


async def test_directories_that_cannot_be_read(tmp_path: Path) -> None:
    missing = str(tmp_path / "no")
    found = await ask("directory", directory=missing)
    assert (names(found), len(found.warnings)) == ([], 1)
    assert f"there is no directory {missing}" in found.warnings[0]
    file = written(tmp_path / "f.yaml", "")
    assert "is no directory" in await refused("directory", SourceFailure.CONFIGURATION, directory=file)
    assert "absolute path" in await refused("directory", SourceFailure.CONFIGURATION, directory="nodes")
    assert "'directory' is missing" in await refused("directory", SourceFailure.CONFIGURATION, directory=" ")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "cannot be read" in await refused("directory", SourceFailure.FAILED, directory=str(loop))


async def test_a_directory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "MAX_NODES", 3)
    written(tmp_path / "a.yaml", "a: {}\nb: {}\nc: {}")
    assert len((await ask("directory", directory=str(tmp_path))).nodes) == 3
    written(tmp_path / "b.yaml", "d: {}")
    assert "more than 3 nodes" in await refused("directory", SourceFailure.TOO_LARGE, directory=str(tmp_path))
