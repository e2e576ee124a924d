"""What a node source may be, files of them, and when one is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from domain.discovery.definition import checked_source, digest_of, is_secret
from domain.discovery.sourcesfile import read_sources
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.sources import SourceDefinition, SourceState
from services.nodesource.refreshing import due_at

SOURCE = SourceDefinition(name="web", type="docker", config={"docker-host": "tcp://x:1"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a b"}, "is not a valid name"),
        ({"name": "loaded"}, "choose another name"),
        ({"type": ""}, "names no plugin"),
        ({"interval_s": 1.0}, "1 s, and has to be 5 s at least and 366 days at most, or 0: never"),
        ({"interval_s": float("nan")}, "5 s at least"),
        ({"interval_s": 1e12}, "366 days at most"),
        ({"timeout_s": 0.0}, "more than 0, 3600 s at most: a refresh cannot go on for ever"),
        ({"timeout_s": 90_000.0}, "3600 s at most"),
        ({"config": {"password": "swordfish"}}, "put the value into a key of the runner"),
        ({"config": {"password-storage-path": "swordfish"}}, "has to name a key"),
        ({"config": {"token_storage_path": "swordfish"}}, "has to name a key"),
        ({"config": {"ansible-ssh-key-storage-path": "swordfish"}}, "has to name a key"),
        (
            {"config": {"SOMETHING_storage_path": "runner/../x"}},
            r"node source 'web': its setting 'SOMETHING_storage_path': key 'runner/../x' cannot be used: it has the "
            r"part '.' or '..': write keys/folder/name, or runner/folder/name\.\Z",
        ),
        ({"config": {"password": "keys/a//b"}}, "its setting 'password': key 'keys/a//b' cannot be used: it has an"),
        ({"config": {"ansible-vault-storage-path": "keys/%2e%2e/b"}}, "a percent-encoded"),
        ({"config": {"x": "y" * 70_000}}, "64 KiB"),
        ({"runner": RunnerSelector(mode=SelectorMode.TAGS)}, "its filter is empty"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RunbusError, match=words) as caught:
        checked_source(msgspec.structs.replace(SOURCE, **changes))
    assert "swordfish" not in caught.value.message


@pytest.mark.parametrize("value", ["keys/a/b", "runner/keys/a/b", ""])
def test_a_key_may_stand_for_a_secret(value: str) -> None:
    checked_source(
        msgspec.structs.replace(SOURCE, config={"password": value, "vault-token": value, "token_storage_path": value})
    )


def test_a_path_of_something_else_is_not_judged() -> None:
    config = {"file": "keys/../nodes.yaml", "ansible-binaries-dir-path": "runner/../bin", "x-storage-path": "/a/../b"}
    checked_source(msgspec.structs.replace(SOURCE, config=config))


@pytest.mark.parametrize(
    ("setting", "secret"),
    [
        ("password", True), ("token", True), ("ansible-ssh-passphrase-storage-path", False),
        ("token_storage_path", False), ("client-secret", True), ("ssh-password-option", False), ("hostname", False),
        ("ansible-vault-password", True),
    ],
)  # fmt: skip
def test_what_is_taken_for_a_secret(setting: str, *, secret: bool) -> None:
    assert is_secret(setting) is secret


def test_a_file_of_sources() -> None:
    first, second = read_sources(
        """\
sources:
- name: web
  type: docker
  tags: [DMZ, Linux]
  interval: 1m
  config: {docker-host: 'tcp://10.0.0.9:2376', all-containers: true, port: 5, empty: }
- {name: files, type: file, interval: never, timeout: 30, enabled: false,
   runnerSelector: {runnerFilterMode: LOCAL, runnerFilterType: LOCAL_RUNNER}}
""",
        "s.yaml",
    )
    assert first == SourceDefinition(
        name="web", type="docker", interval_s=60.0, runner=RunnerSelector(mode=SelectorMode.TAGS, filter="DMZ+Linux"),
        config={"docker-host": "tcp://10.0.0.9:2376", "all-containers": "true", "port": "5", "empty": ""},
    )  # fmt: skip
    assert second == SourceDefinition(name="files", type="file", interval_s=0.0, timeout_s=30.0, enabled=False)


@pytest.mark.parametrize("tags", ["'A, B'", "' A +B'", "[A, ' B ']", "['A , B']"])
def test_blanks_around_tags_are_none_of_theirs(tags: str) -> None:
    (source,) = read_sources(f"- {{name: a, type: file, tags: {tags}}}", "f")
    assert source.runner == RunnerSelector(mode=SelectorMode.TAGS, filter="A+B")


@pytest.mark.parametrize(
    ("given", "interval_s"), [("90", 90.0), ("90.5", 90.5), ("1m", 60.0), ("0", 0.0), ("never", 0.0)]
)
def test_times_of_a_file(given: str, interval_s: float) -> None:
    (source,) = read_sources(f"- {{name: a, type: file, interval: {given}, timeout: 2.5}}", "f")
    assert (source.interval_s, source.timeout_s) == (interval_s, 2.5)


@pytest.mark.parametrize("given", ["never", "0", ".inf", ".nan", "2h"])
def test_a_refresh_of_a_file_has_an_end(given: str) -> None:
    with pytest.raises(RunbusError, match="3600 s at most: a refresh cannot go on for ever"):
        read_sources(f"- {{name: a, type: file, timeout: {given}}}", "f")


def test_properties_of_the_original() -> None:
    first, second = read_sources(
        """\
project.name=x
resources.source.2.type=script
resources.source.2.config.file=/opt/nodes.sh
resources.source.2.config.interpreter=bash -c
resources.source.1.type = file
resources.source.1.config.file=/etc/n\\=1.yaml
resources.source.1.extra.runner.runnerFilterMode=TAGS
resources.source.1.extra.runner.filter=LAB
""",
        "project.properties",
    )
    assert (first.name, first.type, first.config) == ("source-1", "file", {"file": "/etc/n=1.yaml"})
    assert first.runner == RunnerSelector(mode=SelectorMode.TAGS, filter="LAB")
    assert (second.name, second.config["interpreter"], second.runner) == ("source-2", "bash -c", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no list of sources"),
        ("- {name: a, type: b", "f:1: not valid YAML"),
        ("- {name: a, typ: b}", "source 1: Object contains unknown field `typ`"),
        ("- {name: a, type: b, config: [c]}", r"source 1: Expected `object`, got `array` - at `\$.config`"),
        ("- {name: a, type: b}\n- {name: a, type: c}", "two sources are named 'a'"),
        ("- {name: a, type: b, interval: soon}", "source 1: 'soon' is no duration"),
        ("- {name: a, type: b, runnerSelector: {filter: x}}", "runnerFilterMode is ''"),
        ("- {name: a, type: b, config: {password: x}}", "source 1: node source 'a': its setting 'password'"),
        ("&a [*a]", "no list|recursive|not valid|Expected"),
    ],
)
def test_faults_of_a_file_have_their_place(text: str, words: str) -> None:
    with pytest.raises(RunbusError, match=words) as caught:
        read_sources(text, "f")
    assert caught.value.code is ErrorCode.INVALID_SOURCE
    assert caught.value.message.startswith("f:")


def state(**fields: Any) -> SourceState:
    return SourceState(project="p", source="web", definition=digest_of(SOURCE), **fields)


def test_what_was_never_asked_or_was_changed_is_due_now() -> None:
    now = datetime.now(UTC)
    for known in (None, SourceState(project="p", source="web"), state(), state(checked_at=now).__class__(
        project="p", source="web", definition="another", checked_at=now
    )):  # fmt: skip
        due = due_at(SOURCE, known, now)
        assert due == now


def test_what_was_asked_is_due_after_its_interval_and_not_while_it_is_being_asked() -> None:
    now = datetime.now(UTC)
    until = now + timedelta(hours=1)
    assert due_at(SOURCE, state(checked_at=now), now) == now + timedelta(seconds=300)
    assert due_at(SOURCE, state(checked_at=now, refreshing_until=until), now) == until
    assert due_at(msgspec.structs.replace(SOURCE, interval_s=0.0), state(checked_at=now), now) is None
    assert due_at(msgspec.structs.replace(SOURCE, enabled=False), None, now) is None


def test_times_are_no_reason_to_ask_anew() -> None:
    assert digest_of(SOURCE) == digest_of(msgspec.structs.replace(SOURCE, interval_s=60.0, timeout_s=5.0))
    assert digest_of(SOURCE) != digest_of(msgspec.structs.replace(SOURCE, type="file"))
