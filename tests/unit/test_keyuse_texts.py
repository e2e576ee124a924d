"""How people are told of keys: a refusal ends as a sentence does, a key without a type says so."""

from __future__ import annotations

import pytest

from domain.keys.metadata import PROBLEM
from runbus.cli.keysview import print_key, print_keys
from runbus.plugin import KeyFailure, KeyStorageError
from schemas.errors import ErrorCode
from schemas.keys import KeyEntry, KeyList, KeyShown, KeyType
from services.runner.keyuse import not_listed, unavailable


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("it is away", "it is away."),
        ("it is away.", "it is away."),
        ("it is away. Is it up?", "it is away. Is it up?"),
    ],
)
def test_a_refusal_ends_as_a_sentence_does(said: str, text: str) -> None:
    error = KeyStorageError(said, reason=KeyFailure.UNREACHABLE)
    read = unavailable("runner/db/pw", "a1", error)
    assert read.message == f"key 'runner/db/pw' cannot be read on runner a1: {text}"
    listed = not_listed("runner/", "a1", error)
    assert listed.message == f"the keys in 'runner/' cannot be listed on runner a1: {text}"
    assert (listed.code, listed.details) == (
        ErrorCode.KEY_UNAVAILABLE, {"key": "runner/", "runner": "a1", "reason": KeyFailure.UNREACHABLE},
    )  # fmt: skip


def test_a_key_without_a_type_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    keys = [
        KeyEntry(path="a", folder=True),
        KeyEntry(path="b", type=KeyType.PASSWORD),
        KeyEntry(path="c"),
        KeyEntry(path="d", meta={PROBLEM: "others may read it"}),
    ]
    print_keys(KeyList(keys=keys), root="runner/")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [
        ["runner/a/", "folder"],
        ["runner/b", "password"],
        ["runner/c", "unknown"],
        ["runner/d", "unreadable"],
    ]


@pytest.mark.parametrize(("path", "shown"), [("", "runner/"), ("db", "runner/db/")])
def test_a_folder_and_the_root(path: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_key(KeyShown(key=KeyEntry(path=path, folder=True), runner="r1"), root="runner/")
    assert capsys.readouterr().out.splitlines()[0].split() == ["path", shown]
