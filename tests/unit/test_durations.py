from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.durations import duration_s
from schemas.errors import ErrorCode, RunbusError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0), ("1d 2h 3m 4s", 93_784.0), ("2h", 7200.0), ("1w", 604_800.0), ("3m4s", 184.0), (" 5 m ", 300.0),
        ("", None), ("  ", None), ("0", None), ("0s", None),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "1h1h", "1x", "${option.t}", "1" * 40, "1h x", "٣"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(RunbusError) as caught:
        duration_s(text)
    assert caught.value.code is ErrorCode.INVALID_JOB
    assert "is no duration" in caught.value.message


@given(st.text(max_size=40))
def test_any_text_is_a_duration_or_a_typed_error(text: str) -> None:
    try:
        found = duration_s(text)
    except RunbusError:
        return
    assert found is None or found > 0
