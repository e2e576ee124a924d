"""The key storages of runners, held against the keys that a job is to read."""

from __future__ import annotations

import msgspec
import pytest

from domain.keys.needs import KeyNeed, refuse_or_warn
from domain.keystorages import disagreements, lacking, told_of_runners
from schemas.errors import ErrorCode, RunbusError
from schemas.keys import KeyStorageInfo
from schemas.runners import RunnerView
from schemas.states import RunnerStatus
from schemas.tokens import TagSet

DMZ = TagSet(["dmz"])


def runner(name: str, *mounts: str) -> RunnerView:
    return RunnerView(
        id=name, status=RunnerStatus.HEALTHY, tags=["dmz"], projects=["default"], local=False, description="",
        version="", instance="", plugins=[], running=0, max_running=1, uptime_s=None, created_at=None,
        last_seen_at=None, key_storage=[KeyStorageInfo(type="file", path=mount, digest=mount) for mount in mounts],
    )  # fmt: skip


def need(path: str, *, required: bool = True, option: str = "own", place: str = "") -> KeyNeed:
    return KeyNeed(option=option, path=path, required=required, place=place, job="ops/x" if place else "")


@pytest.mark.parametrize(
    ("path", "mounts"),
    [
        ("runner/db/pw", [""]),
        ("runner/db/pw", ["db"]),
        ("runner/keys/db/pw", ["db"]),
        ("runner/db/pw", ["vault", "db"]),
        ("runner/db", ["db"]),
        ("keys/db/pw", []),
        ("runner/${node.name}/pw", ["vault"]),
        ("runner/vau${node.name}/pw", ["vault/deep"]),
        ("runner/vault/${node.name}", ["vault"]),
    ],
)
def test_nothing_is_told_of_what_may_be_read(path: str, mounts: list[str]) -> None:
    assert lacking([need(path)], DMZ, [runner("a", *mounts)]) == []


@pytest.mark.parametrize(
    ("path", "mounts"),
    [
        ("runner/db/pw", []),
        ("runner/db/pw", ["vault"]),
        ("runner/dbs/pw", ["db"]),
        ("runner/db", ["db/deep"]),
        ("runner/${node.name}/pw", []),
        ("runner/db/${node.name}", ["vault"]),
    ],
)
def test_what_nobody_could_read_is_refused(path: str, mounts: list[str]) -> None:
    with pytest.raises(RunbusError) as caught:
        refuse_or_warn(lacking([need(path)], DMZ, [runner("a", *mounts)]))
    assert caught.value.code is ErrorCode.KEY_UNAVAILABLE
    assert caught.value.details == {
        "option": "own", "key": path, "reason": "no_key_storage", "tags": ["dmz"], "runners": ["a"],
    }  # fmt: skip


def test_of_the_local_runner_and_of_nobody_nothing_is_told() -> None:
    assert lacking([need("runner/db/pw")], TagSet.local(), [runner("local")]) == []
    assert lacking([need("runner/db/pw")], DMZ, []) == []


def test_the_error_says_what_is_wrong_with_whom_and_what_to_do() -> None:
    runners = [runner("c"), runner("a", "vault", "local"), runner("b", "vault")]
    (finding,) = lacking([need("runner/db/pw")], DMZ, runners)
    assert finding.text == (
        "option 'own' takes its value from 'runner/db/pw', which no connected runner of dmz can read: c has no key "
        "storage; a, b have only keys that begin with runner/local/, runner/vault/. Start such a runner with "
        "RUNBUS_KEY_STORAGE, a file that says where its keys are, select others, or give it a value."
    )


def test_where_some_have_it_those_without_are_named() -> None:
    runners = [runner("a", ""), runner("d"), runner("c"), runner("b", "vault")]
    text = "Where one of these takes it, the run fails: all runners of a tag set should have the same key storage."
    assert refuse_or_warn(lacking([need("runner/db/pw")], DMZ, runners)) == [
        "option 'own' takes its value from 'runner/db/pw', which not every runner of dmz can read: c, d have no key "
        f"storage; b has only keys that begin with runner/vault/. {text}"
    ]
    (warning,) = refuse_or_warn(lacking([need("runner/db/pw", required=False)], DMZ, runners))
    assert "Where one of these takes it, there is no value: " in warning


def test_options_that_the_same_runners_lack_share_a_text() -> None:
    needs = [need("runner/a"), need("runner/b", option="more", required=False), need("runner/vault/c", option="c")]
    shared, own = lacking(needs, DMZ, [runner("a"), runner("b", "vault")])
    assert shared.text.startswith(
        "option 'own', option 'more' take their values from 'runner/a', 'runner/b', which no connected runner of dmz"
    )
    assert own.text.startswith("option 'c' takes its value from 'runner/vault/c', which not every runner of dmz")
    with pytest.raises(RunbusError) as caught:
        refuse_or_warn([shared])
    assert caught.value.details["option"] == "own"


@pytest.mark.parametrize(
    ("of_whom", "ends"),
    [(need("runner/a", required=False), "There is no value."), (need("runner/a", place="2/1"), "That step fails.")],
)
def test_what_does_not_end_the_run_is_warned_of(of_whom: KeyNeed, ends: str) -> None:
    (warning,) = refuse_or_warn(lacking([of_whom], DMZ, [runner("a")]))
    assert warning.startswith(of_whom.label)
    assert f"a has no key storage. {ends} Start such a runner with RUNBUS_KEY_STORAGE" in warning
    (warning,) = refuse_or_warn(lacking([of_whom], DMZ, [runner("a"), runner("b", "")]))
    assert f"Where one of these takes it, {ends[0].lower()}{ends[1:-1]}: " in warning


def test_runners_that_disagree() -> None:
    assert disagreements([runner("a"), runner("b")]) == []
    assert disagreements([runner("a", "x"), runner("b"), runner("c", "x"), runner("d", "y")]) == [
        "b of the selected runners has no key storage; the others have",
        "the key storage of d is configured differently from that of a: the same job may find another key there, "
        "or none",
    ]


def other(name: str) -> RunnerView:
    """The same mount as ``runner(name, "")``, of which something else is configured: the prefix at the provider."""
    storage = [KeyStorageInfo(type="file", path="", digest="k2")]
    return msgspec.structs.replace(runner(name), key_storage=storage)


DIFFERS = (
    "the key storage of p2 is configured differently from that of p1: the same job may find another key there, "
    "or none"
)


def test_runners_that_would_find_another_key() -> None:
    needs = [need("runner/db/pw"), need("runner/x", option="more"), need("keys/x", option="centre")]
    assert refuse_or_warn(told_of_runners(needs, DMZ, [runner("p1", ""), other("p2")])) == [DIFFERS]
    assert told_of_runners(needs, DMZ, [runner("p1", ""), runner("p2", "")]) == []


def test_only_for_keys_of_the_runner_and_of_those_that_look_for_them() -> None:
    both = [runner("p1", ""), other("p2")]
    assert told_of_runners([need("keys/x")], DMZ, both) == []
    assert told_of_runners([], DMZ, both) == []
    assert told_of_runners([need("runner/x")], TagSet.local(), both) == []
    (lacks,) = told_of_runners([need("runner/x")], DMZ, [runner("a"), runner("b", ""), runner("c", "vault")])
    assert "not every runner" in lacks.text
    lacks, differs = told_of_runners([need("runner/x")], DMZ, [runner("a"), *both])
    assert "a has no key storage" in lacks.text
    assert differs.text == DIFFERS
