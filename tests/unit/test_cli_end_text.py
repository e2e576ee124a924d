"""How an execution is said to have ended, where nothing of it ran."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runbus.cli.execution import _row
from runbus.cli.show import end_text
from schemas.api import ExecutionView
from schemas.errors import ErrorCode, ErrorInfo
from schemas.events import StepOutcome
from schemas.states import ExecutionState

AT = datetime(2025, 1, 31, tzinfo=UTC)
OUTCOME = StepOutcome(step=1, plugin="script", state=ExecutionState.FAILED, duration_s=0.0)


def ended(code: ErrorCode | None = None, **fields: Any) -> ExecutionView:
    error = ErrorInfo(code=code, message="No.") if code else None
    given = {"state": ExecutionState.FAILED, "started_at": AT, "duration_s": 0.0, **fields}
    return ExecutionView(id="x", project="default", error=error, **given)


@pytest.mark.parametrize(
    "code", [ErrorCode.INVALID_OPTION, ErrorCode.KEY_UNAVAILABLE, ErrorCode.NO_MATCHED_NODES, ErrorCode.PARCEL_LOST]
)
def test_what_is_refused_before_its_first_step(code: ErrorCode) -> None:
    view = ended(code)
    assert end_text(view) == "failed before it began"
    assert _row(view)[3] == ""


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (ended(ErrorCode.INTERNAL), "failed"),
        (ended(ErrorCode.UNAVAILABLE), "failed"),
        (ended(ErrorCode.UNKNOWN_JOB, started_at=None), "failed"),
        (ended(ErrorCode.STEP_FAILED, duration_s=0.0004), "failed, 0ms"),
        (ended(ErrorCode.STEP_FAILED, outcomes=[OUTCOME]), "failed, 0ms"),
        (ended(exit_code=3, duration_s=1.2), "failed, exit code 3, 1.2s"),
        (ended(ErrorCode.RUNNER_LOST, state=ExecutionState.LOST, duration_s=61.0), "lost, 1m1s"),
        (ended(state=ExecutionState.RUNNING, duration_s=None), "running"),
    ],
)
def test_any_other_end(view: ExecutionView, text: str) -> None:
    assert end_text(view) == text
