"""What an error about the name of a key advises to write: what its caller takes."""

from __future__ import annotations

import pytest

from domain.keys.paths import KeyPath, KeyPlace, centre_path
from schemas.errors import RunbusError

ADVICE = [
    (None, "write keys/folder/name, or runner/folder/name."),
    (KeyPlace.CENTRE, "write keys/folder/name."),
    (KeyPlace.RUNNER, "write runner/folder/name."),
]


@pytest.mark.parametrize(("wanted", "advice"), ADVICE)
@pytest.mark.parametrize("name", ["keys/a//b", "runner/..", "the value itself"])
def test_it_fits_its_caller(name: str, wanted: KeyPlace | None, advice: str) -> None:
    with pytest.raises(RunbusError) as caught:
        KeyPath.parse(name, wanted)
    assert caught.value.message.endswith(f": {advice}")
    assert "the value itself" not in caught.value.message


def test_a_name_of_the_other_place_is_read() -> None:
    assert KeyPath.parse("runner/a", KeyPlace.CENTRE).place is KeyPlace.RUNNER


def test_a_key_of_a_runner_where_the_centre_is_meant() -> None:
    with pytest.raises(RunbusError, match=r"the centre has none of those: write keys/folder/name\.\Z"):
        centre_path("runner/a")
