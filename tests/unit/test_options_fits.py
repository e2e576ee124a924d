"""Values that no process can be given, told with the option's name where they are given."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from domain.options import Option, resolve_options
from domain.options.fits import MAX_VARIABLE_BYTES, unfit_of
from schemas.errors import ErrorCode, RunbusError

PLAIN, EXPOSED = Option(name="x"), Option(name="x", secure=True, value_exposed=True)
PRIVATE = Option(name="x", secure=True)


def problem(option: Option, value: Any) -> str:
    with pytest.raises(RunbusError) as caught:
        resolve_options([option], {"x": value})
    assert caught.value.code is ErrorCode.INVALID_OPTION
    return caught.value.message


@pytest.mark.parametrize("option", [PLAIN, EXPOSED])
def test_what_is_too_long_for_a_variable(option: Option) -> None:
    told = problem(option, "y" * 200_000)
    assert told.startswith("option 'x' has 200,000 bytes, and a process can be given 131,0")
    assert len(told) < 200


def test_several_values_count_together() -> None:
    many = Option(name="x", multivalued=True)
    assert "option 'x' has 140,000 bytes" in problem(many, ["y" * 69_999, "z" * 70_000])
    assert resolve_options([many], {"x": ["y" * 70_000, "z" * 10_000]}).plain["x"].endswith("z")


def test_what_no_script_sees_may_be_long() -> None:
    assert resolve_options([PRIVATE], {"x": "y" * 200_000}).private == {"x": "y" * 200_000}


@pytest.mark.parametrize("option", [PLAIN, EXPOSED, PRIVATE])
def test_what_is_no_text(option: Option) -> None:
    assert "option 'x' holds a NUL character" in problem(option, "s3cret\0")
    told = problem(option, "s3cret\udcff")
    assert "option 'x' is no UTF-8 text" in told
    assert "s3cret" not in told


@pytest.mark.parametrize(("option", "name"), [(PLAIN, "RD_OPTION_X"), (EXPOSED, "RD_SECUREOPTION_X")])
def test_the_limit_is_the_systems(option: Option, name: str) -> None:
    longest = "y" * (MAX_VARIABLE_BYTES - len(f"{name}="))
    assert unfit_of(option, longest) is None
    assert subprocess.run(["/bin/true"], env={name: longest}, check=True).returncode == 0
    assert unfit_of(option, longest + "y")
    with pytest.raises(OSError, match="too long"):
        subprocess.run(["/bin/true"], env={name: longest + "y"}, check=False)
