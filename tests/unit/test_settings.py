"""Settings from the environment: what is wrong is refused where it is written."""

from __future__ import annotations

import msgspec
import pytest

from bus.settings import PREFIX, load, refuse_unknown
from schemas.errors import ErrorCode, RunbusError
from services.dispatcher.settings import DispatcherSettings
from services.nodesource.settings import NodesourceSettings
from services.registry.settings import RegistrySettings
from services.runner.settings import RunnerSettings


def tags(value: str) -> list[str]:
    return load(RunnerSettings, {"RUNBUS_RUNNER_ID": "a1", "RUNBUS_RUNNER_TAGS": value}).tags


@pytest.mark.parametrize(("value", "position"), [("A,,B", 2), ("A,B,", 3), (",A", 1), ("A, ,B", 2), (",", 1)])
def test_an_empty_tag_is_refused_with_its_place(value: str, position: int) -> None:
    with pytest.raises(RunbusError) as caught:
        tags(value)
    assert caught.value.code is ErrorCode.INVALID_TAG
    assert f"tag {position} of RUNBUS_RUNNER_TAGS={value!r}" in caught.value.message
    assert "cannot be empty" in caught.value.message
    assert caught.value.details["position"] == position


@pytest.mark.parametrize("value", ["A,local", "a\x01", "A+B", "x" * 65])
def test_what_cannot_be_a_tag_is_refused(value: str) -> None:
    with pytest.raises(RunbusError, match="RUNBUS_RUNNER_TAGS"):
        tags(value)


@pytest.mark.parametrize(("value", "expected"), [("", []), (" ", []), ("A", ["A"]), ("A, b", ["A", " b"])])
def test_tags_are_taken_as_given(value: str, expected: list[str]) -> None:
    assert tags(value) == expected


def test_each_runner_of_each_runbus_has_a_group_file_of_its_own() -> None:
    ids = [{"runner_id": "a1"}, {"runner_id": "a2"}, {"prefix": "x"}, {"nats_url": "nats://x"}, {"runner_id": "../a"}]
    paths = {RunnerSettings(**{"runner_id": "a1", "work_dir": "/w", **each}).group_file for each in ids}  # type: ignore[arg-type]
    assert len(paths) == len(ids)
    assert {str(path.parent) for path in paths} == {"/w"}


@pytest.mark.parametrize("part", [DispatcherSettings, NodesourceSettings, RegistrySettings, RunnerSettings])
def test_what_one_part_reads_no_part_refuses(part: type[msgspec.Struct]) -> None:
    refuse_unknown({f"{PREFIX}{field.name.upper()}": "x" for field in msgspec.structs.fields(part)})
