"""Values of keys for options: what no step could be given is told before the first one, with option and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbus.plugin import KeyFailure
from schemas.errors import ErrorCode, RunbusError
from schemas.events import StoredKey
from services.runner.keyuse import Use
from services.runner.secrets import OptionKeys, read_options
from tests.support.keydirs import key_files, own_keys

USE = Use(project="p")
MOST = 131_071 - len("RD_SECUREOPTION_tok=")


async def read(directory: Path, value: str, *, required: bool = True, exposed: bool = True) -> OptionKeys:
    keys = own_keys(key_files(directory, db__pw=value), "r1")
    stored = {"tok": StoredKey(path="/runner/db/pw", exposed=exposed, required=required)}
    return await read_options(stored, keys, USE)


BAD = [
    ("", KeyFailure.NO_KEY, "the value of key 'runner/db/pw' is empty."),
    ("\n", KeyFailure.NO_KEY, "the value of key 'runner/db/pw' is empty."),
    ("s3cret\0x", KeyFailure.MALFORMED, "the value of key 'runner/db/pw' holds a NUL character"),
    (
        "s3cret" * 22_000,
        KeyFailure.TOO_LARGE,
        f"has 132,000 bytes, and a process can be given {MOST:,}",
    ),
    ("é" * (MOST // 2 + 1), KeyFailure.TOO_LARGE, "the value of key 'runner/db/pw' has 131,052 bytes"),
]


@pytest.mark.parametrize(("value", "reason", "text"), BAD)
async def test_a_required_option_is_refused(tmp_path: Path, value: str, reason: KeyFailure, text: str) -> None:
    with pytest.raises(RunbusError) as caught:
        await read(tmp_path, value)
    error = caught.value
    assert error.code is ErrorCode.INVALID_OPTION
    assert error.details == {"option": "tok", "path": "/runner/db/pw", "key": "runner/db/pw", "reason": reason}
    assert error.message.startswith("option 'tok' takes its value from a key: the value of key 'runner/db/pw' ")
    assert text in error.message
    assert "s3cret" not in error.message


@pytest.mark.parametrize(("value", "text"), [(value, text) for value, _, text in BAD])
async def test_any_other_is_left_without_a_value_and_told(tmp_path: Path, value: str, text: str) -> None:
    found = await read(tmp_path, value, required=False)
    assert found.exposed == found.private == {}
    (told,) = found.unread
    assert told.startswith("option 'tok' has no value: the value of key 'runner/db/pw' ")
    assert text in told


async def test_the_longest_that_fits_is_given(tmp_path: Path) -> None:
    assert (await read(tmp_path, "x" * MOST)).exposed == {"tok": "x" * MOST}


async def test_what_no_script_sees_may_be_longer(tmp_path: Path) -> None:
    value = "x" * 200_000
    assert (await read(tmp_path, value, exposed=False)).private == {"tok": value}
    with pytest.raises(RunbusError, match="is empty"):
        await read(tmp_path, "", exposed=False)
