"""Keys of a runner, listed as far as they can be: storages that fail are told, and no page leaves anything out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runbus.cli import exits, keys
from runbus.cli.context import Options
from runbus.cli.session import Session
from runbus.cli.settings import settings_of
from schemas import catalog
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.keys import KeyListRequest
from tests.integration.cli_system import Cli
from tests.integration.test_keys import answers
from tests.support.keydirs import key_files
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

DMZ = RunnerSelector(mode=SelectorMode.TAGS, filter="dmz")
VALUE = "l1sted-h4ndsh4ke"
BOTH = {"A": "1", "A_B": "2", "A_B_C": "3", "A_D": "4", "E": "5", "E_F": "6", "G": "7"}
"""Variables whose keys are ``a``, ``a/b``, ...: of some paths there is a key and a folder."""
ENTRIES = ["a", "a/", "a/b", "a/b/", "a/b/c", "a/d", "e", "e/", "e/f", "g"]


async def keyed(system: System, storages: str) -> System:
    """A runner ``a1`` of DMZ whose keys are where this says, and a keyproxy."""
    file = system.directory / "key-storage.yaml"
    file.write_text(storages)
    file.chmod(0o600)
    system.start_keyproxy()
    await system.up("a1:DMZ", key_storage=str(file))
    await eventually(lambda: answers(system), what="the keyproxy answers")
    return system


async def test_a_storage_that_fails_does_not_keep_the_others_from_being_listed(
    system: System, tmp_path: Path
) -> None:
    here = key_files(tmp_path / "keys", db__pw=VALUE, top=VALUE)
    there = tmp_path / "gone"
    there.mkdir()
    await keyed(
        system,
        f"- {{type: file, config: {{directory: {here}}}}}\n"
        f"- {{type: file, path: vault/prod, config: {{directory: {there}}}}}\n",
    )
    cli = Cli.of(system)
    there.rmdir()
    listed = await cli("keys", "list", "--tags", "DMZ", "--deep")
    assert listed.code == exits.OK, listed.err
    paths = [line.split()[0] for line in listed.text.splitlines()[1:]]
    assert paths == ["runner/db/", "runner/db/pw", "runner/top", "runner/vault/", "runner/vault/prod/"]
    assert "Warning: the keys below 'runner/vault/prod/' are not listed (configuration): " in listed.err
    as_json = await cli("keys", "list", "--tags", "DMZ", "--deep", "--json")
    (warning,) = as_json.json["warnings"]
    assert f"directory {there}" in warning
    assert VALUE not in listed.text + listed.err + as_json.text
    above = await cli("keys", "list", "--tags", "DMZ")
    assert (above.code, "Warning" in above.err) == (exits.OK, False)
    itself = await cli("keys", "list", "runner/vault/prod", "--tags", "DMZ", "--deep")
    assert itself.code == exits.ERROR
    assert "the keys in 'runner/vault/prod' cannot be listed on runner a1: " in itself.err


@pytest.mark.parametrize("page", [1, 2, 3, 4, 7, 10, 2000])
async def test_no_page_leaves_a_folder_out_that_is_a_key_as_well(
    system: System, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    for name, value in BOTH.items():
        monkeypatch.setitem(os.environ, f"H3_{name}", value)
    await keyed(system, "- {type: environment, config: {prefix: H3_}}\n")
    monkeypatch.setattr(keys, "_PAGE", page)
    options = Options(nats_url=system.url, prefix=system.subjects.prefix)
    session = Session(system.client, settings_of(options), options)
    found = await keys._listed(session, "", DMZ, deep=True)
    assert [entry.path + "/" * entry.folder for entry in found.keys] == ENTRIES
    assert found.more is False
    assert found.warnings == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_pages_that_go_on_behind_the_last_path_are_whole(
    system: System, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    for name, value in BOTH.items():
        monkeypatch.setitem(os.environ, f"H3_{name}", value)
    await keyed(system, "- {type: environment, config: {prefix: H3_}}\n")
    found: list[str] = []
    request = KeyListRequest(runner=DMZ, deep=True, limit=limit)
    more = True
    while more:
        page = await system.client.call(catalog.KEY_LIST, request)
        found += [entry.path + "/" * entry.folder for entry in page.keys]
        request = KeyListRequest(runner=DMZ, deep=True, limit=limit, after=page.keys[-1].path)
        more = page.more
    assert found == ENTRIES


async def test_the_local_runners_own_keys_are_listed_by_its_tag(system: System, tmp_path: Path) -> None:
    keys_dir = key_files(tmp_path / "keys", db__pw=VALUE)
    system.start_keyproxy()
    await system.up()
    system.start_runner("local", local=True, keys_dir=str(keys_dir))
    await system.runners_ready("local")
    await eventually(lambda: answers(system), what="the keyproxy answers")
    listed = await Cli.of(system)("keys", "list", "runner/db", "--tags", "@local")
    assert "runner/db/pw" in listed.text, listed.err
