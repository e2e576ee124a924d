from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ids import new_execution_id
from schemas.tokens import identifier

moments = st.integers(0, 2**48 - 1)
PROPERTY = settings(deadline=None)


@PROPERTY
@given(moments)
def test_an_id_is_a_token_of_26_characters(millis: int) -> None:
    made = new_execution_id(millis / 1000)
    assert len(made) == 26
    assert identifier("execution", made) == made.lower()


@PROPERTY
@given(st.lists(moments, min_size=2, max_size=2))
def test_ids_sort_by_time(pair: list[int]) -> None:
    early, late = sorted(pair)
    if late - early >= 2:
        assert new_execution_id(early / 1000) < new_execution_id(late / 1000)


def test_no_two_are_alike() -> None:
    assert len({new_execution_id(1.0) for _ in range(1000)}) == 1000
    assert new_execution_id()[:8] <= new_execution_id()[:8]
