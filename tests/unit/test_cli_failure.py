"""What an error is called by: its code, the reason that the manual lists, and the id to look up."""

from __future__ import annotations

from typing import Any

import pytest

from runbus.cli.failure import ORIGIN, reference
from schemas.errors import ErrorCode, ErrorInfo


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({}, "(key_unavailable, id 0a1b)"),
        ({"reason": "no_key_storage"}, "(key_unavailable: no_key_storage, id 0a1b)"),
        ({"reason": "no answer within 5 s"}, "(key_unavailable, id 0a1b)"),
        ({"reason": "\x1b[31m"}, "(key_unavailable, id 0a1b)"),
        ({"reason": 5}, "(key_unavailable, id 0a1b)"),
    ],
)
def test_the_reason_stands_behind_the_code(details: dict[str, Any], text: str) -> None:
    info = ErrorInfo(
        code=ErrorCode.KEY_UNAVAILABLE, message="no", error_id="0a1b", origin="keyproxy", details=details
    )
    assert reference(info) == text


def test_what_only_the_command_knows_has_no_id() -> None:
    info = ErrorInfo(
        code=ErrorCode.INVALID_MESSAGE, message="no", error_id="0a1b", origin=ORIGIN, details={"reason": "other_key"}
    )
    assert reference(info) == "(invalid_message: other_key)"
