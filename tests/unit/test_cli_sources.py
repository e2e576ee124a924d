"""Node sources as the command line takes and shows them."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest

from runbus.cli.sourceoptions import Limit
from runbus.cli.sourcesview import print_refreshed, print_source, print_sources, selector_text
from schemas.errors import ErrorCode, ErrorInfo
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.sources import SourceDefinition, SourceState, SourceView

ERROR = ErrorInfo(
    code=ErrorCode.DISCOVERY_FAILED,
    message="node source web (file): /n.yaml (on r1): no.",
    error_id="1",
    origin="nodesource",
)


def view(name: str = "web", **state: object) -> SourceView:
    definition = SourceDefinition(name=name, type="file", timeout_s=30.0, interval_s=90.0)
    return SourceView(definition=definition, state=SourceState(project="p", source=name, **state))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "text", "shown"),
    [
        (SelectorMode.TAGS, "A, B", "a runner of A+B"),
        (SelectorMode.FILTER, " linux + dev,x ", "a runner of linux+dev+x"),
        (SelectorMode.LOCAL, "", "the Local Runner"),
    ],
)
def test_whom_a_source_asks(mode: SelectorMode, text: str, shown: str) -> None:
    assert selector_text(RunnerSelector(mode=mode, filter=text)) == shown


@pytest.mark.parametrize("given", ["never", "0", "0s", "soon", "2h", "-1", ""])
def test_a_refresh_has_an_end(given: str) -> None:
    with pytest.raises(click.UsageError, match="1h at most"):
        Limit().convert(given, None, None)


@pytest.mark.parametrize(("given", "seconds"), [("30", 30.0), ("1h", 3600.0), ("1m30s", 90.0), ("0.5s", 0.5)])
def test_how_long_a_refresh_may_take(given: str, seconds: float) -> None:
    assert Limit().convert(given, None, None) == seconds


def test_why_one_failed_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    print_refreshed(view(error=ERROR, duration_s=1.0).state)
    print_sources([view(error=ERROR)])
    print_source(view(error=ERROR))
    told = capsys.readouterr()
    assert told.err == (
        "web: failed after 1.0s: /n.yaml (on r1): no. (discovery_failed, id 1)\nweb: /n.yaml (on r1): no.\n"
    )
    assert "error        /n.yaml (on r1): no. (discovery_failed, id 1)\n" in told.out
    assert "every        1m30s\ntimeout      30s\n" in told.out


def test_a_list_of_long_names_that_failed_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_sources([view("n" * 32, error=ERROR, failures=12, succeeded_at=datetime.now(UTC), count=100_000)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SOURCE", "TYPE", "ASKS", "NODES", "AGE", "STATE"]
    assert max(map(len, lines)) <= 80
