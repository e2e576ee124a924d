"""What a request changes of a project."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.api import DispatchMode, ProjectRecord, ProjectSetRequest
from schemas.errors import ErrorCode, RunbusError
from services.registry.projects import changed

BEFORE = ProjectRecord(name="shop", description="d", settings={"a": "1", "b": "2"}, globals={"g": "x"})


def test_what_is_named_is_changed_and_all_else_stays() -> None:
    request = ProjectSetRequest(
        project="shop", settings={"b": "3", "ssh-keypath": "keys/k"}, unset_settings=["a", "z"]
    )
    after = changed(BEFORE, request)
    assert after.settings == {"b": "3", "ssh-keypath": "keys/k"}
    assert (after.globals, after.description, after.dispatch) == ({"g": "x"}, "d", DispatchMode.MANUAL)


def test_globals_mode_and_description() -> None:
    request = ProjectSetRequest(
        project="shop", globals={"h": ""}, unset_globals=["g"], dispatch=DispatchMode.AUTOMATIC, description=""
    )
    after = changed(BEFORE, request)
    assert (after.globals, after.dispatch, after.description) == ({"h": ""}, DispatchMode.AUTOMATIC, "")
    assert after.settings == BEFORE.settings


@pytest.mark.parametrize("name", ["", "a b", "a=b", "${x}", "a\n", "x" * 201])
def test_a_name_that_no_setting_can_have(name: str) -> None:
    for request in (
        ProjectSetRequest(project="shop", settings={name: "v"}),
        ProjectSetRequest(project="shop", globals={name: "v"}),
    ):
        with pytest.raises(RunbusError) as caught:
            changed(BEFORE, request)
        assert caught.value.code is ErrorCode.INVALID_NAME


def test_too_much_is_refused() -> None:
    with pytest.raises(RunbusError) as caught:
        changed(BEFORE, ProjectSetRequest(project="shop", settings={"a": "x" * (256 << 10)}))
    assert caught.value.code is ErrorCode.TOO_LARGE


VALUES = st.dictionaries(st.text("abc", min_size=1, max_size=2), st.text(max_size=3), max_size=4)


@given(before=VALUES, new=VALUES, gone=st.lists(st.text("abc", min_size=1, max_size=2), max_size=3))
def test_setting_wins_over_unsetting(before: dict[str, str], new: dict[str, str], gone: list[str]) -> None:
    request = ProjectSetRequest(project="p", settings=new, unset_settings=gone)
    after = changed(ProjectRecord(name="p", settings=before), request).settings
    assert after == {key: value for key, value in before.items() if key not in gone} | new
