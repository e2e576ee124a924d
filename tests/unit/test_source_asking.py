"""Which runners are asked for a source's nodes."""

from __future__ import annotations

import msgspec
import pytest

from schemas.api import MatchReply
from schemas.errors import ErrorCode, RunbusError
from schemas.runners import PluginInfo, RunnerView
from schemas.sources import SourceDefinition
from schemas.states import RunnerStatus
from schemas.tokens import TagSet
from services.nodesource.asking import Reach
from tests.support.centre import runner_view

SET = TagSet.parse("linux")


def bearing(name: str, *, version: str = "1.0", problem: str = "", running: int = 0) -> RunnerView:
    info = PluginInfo(name="docker", version=version, kind="node-source", problem=problem, unless="uri")
    return msgspec.structs.replace(runner_view(name=name), plugins=[info], running=running)


def reach(*runners: RunnerView) -> Reach:
    return reach_with({}, *runners)


def reach_with(config: dict[str, str], *runners: RunnerView) -> Reach:
    source = SourceDefinition(name="web", type="docker", config=config)
    return Reach("p", source, SET, MatchReply(runners=list(runners), borne_by_none=[] if runners else ["linux"]))


def test_where_all_bear_the_plugin_the_set_is_asked() -> None:
    found = reach(bearing("a"), bearing("b"), runner_view(RunnerStatus.DOWN, name="c"))
    assert (found.chosen(), found.warnings) == (SET, [])
    assert [(each.runner, each.version) for each in found.bearers] == [("a", "1.0"), ("b", "1.0"), ("c", "")]


def test_where_only_some_do_the_least_busy_of_them_is_asked_by_its_name() -> None:
    found = reach(runner_view(name="a"), bearing("b", running=5), bearing("c", running=1), bearing("d", problem="x"))
    assert found.chosen() == TagSet(("@c",))
    assert found.warnings == ["the docker plugin is not on a, d (x): the others of linux are asked"]


def test_where_none_does_it_is_refused_in_the_original_s_words() -> None:
    with pytest.raises(RunbusError) as caught:
        reach(runner_view(name="US-WEST-1-QA"), runner_view(name="b")).chosen()
    assert caught.value.code is ErrorCode.PLUGIN_NOT_FOUND
    assert caught.value.message == (
        "Reason: The docker plugin was not found on Runner ID = US-WEST-1-QA. You may need to upgrade your Runner or "
        "select a different Runner."
    )
    assert caught.value.details["runners"] == ["US-WEST-1-QA", "b"]


def test_what_is_installed_and_cannot_be_loaded_says_why() -> None:
    with pytest.raises(RunbusError) as caught:
        reach(bearing("a", problem="aiodocker is not installed on the runner")).chosen()
    assert caught.value.message.endswith(" There, aiodocker is not installed on the runner.")


def test_nobody_is_connected() -> None:
    with pytest.raises(RunbusError, match="bears linux") as caught:
        reach().chosen()
    assert caught.value.code is ErrorCode.NO_RUNNER
    with pytest.raises(RunbusError, match="c is Down"):
        reach(runner_view(RunnerStatus.DOWN, name="c")).chosen()


def test_a_setting_of_the_source_may_make_up_for_what_a_runner_lacks() -> None:
    lacking, whole = bearing("a", problem="docker is not on the runner's PATH"), bearing("b")
    assert reach_with({"uri": "/run/x"}, lacking, whole).chosen() == SET
    assert reach_with({"uri": " "}, lacking, whole).chosen() == TagSet(("@b",))


def test_bearers_stand_in_one_order_whoever_is_busy() -> None:
    down = runner_view(RunnerStatus.DOWN, name="a")
    found = reach(bearing("c"), bearing("b", running=5), down)
    assert [each.runner for each in found.bearers] == ["b", "c", "a"]
