"""Names of keys: which are taken, and that every other is refused, and never a crash."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys.paths import (
    MAX_CHARS,
    KeyPath,
    KeyPlace,
    centre_path,
    checked_path,
    folder_path,
    is_key_name,
    is_path,
)
from schemas.errors import ErrorCode, RunbusError

_PART = st.text(st.characters(codec="utf-8", exclude_characters="/\\%", exclude_categories=["C", "Z"]), min_size=1)
_GOOD = st.lists(_PART.filter(lambda part: part not in (".", "..")), min_size=1, max_size=5).map("/".join)
_AWKWARD = st.lists(
    st.sampled_from(["a", ".", "..", "/", "\\", "%", "2e", "2f", "25", "5c", "\0", "\n", "é", "\ud800"])
).map("".join)


def _refused(name: str) -> RunbusError:
    with pytest.raises(RunbusError) as caught:
        KeyPath.parse(name)
    assert caught.value.code is ErrorCode.KEY_UNAVAILABLE
    assert caught.value.details["reason"] == "outside"
    assert caught.value.message.endswith(".")
    return caught.value


class TestNames:
    @pytest.mark.parametrize(
        ("name", "place", "path"),
        [
            ("keys/a", KeyPlace.CENTRE, "a"),
            ("keys/db/pass word", KeyPlace.CENTRE, "db/pass word"),
            ("runner/db/password", KeyPlace.RUNNER, "db/password"),
            ("runner/keys/db/password", KeyPlace.RUNNER, "db/password"),
            ("runner/keys/keys/a", KeyPlace.RUNNER, "keys/a"),
            ("keys/keys/a", KeyPlace.CENTRE, "keys/a"),
            ("keys/runner/a", KeyPlace.CENTRE, "runner/a"),
            ("keys/...", KeyPlace.CENTRE, "..."),
            ("keys/.hidden/a..b", KeyPlace.CENTRE, ".hidden/a..b"),
            ("keys/100%", KeyPlace.CENTRE, "100%"),
            ("keys/a%41", KeyPlace.CENTRE, "a%41"),
            ("keys/%zz", KeyPlace.CENTRE, "%zz"),
            ("keys/clé/鍵", KeyPlace.CENTRE, "clé/鍵"),
        ],
    )
    def test_good_ones(self, name: str, place: KeyPlace, path: str) -> None:
        assert KeyPath.parse(name) == KeyPath(place, path)

    @pytest.mark.parametrize(
        "path",
        [
            "", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "../a", "a/./b", "a/..", "a\\b", "..\\a", "a\0b",
            "a\nb", "a\x7fb", "a\u202eb", "a\u200bb", "a\u2028b", "\ud800", "%2e%2e/a", "%2E%2e", ".%2e", "a%2fb",
            "a%2F..%2Fb",
            "%252e%252e/a", "%25252e%25252e", "a%255c", "a%5cb", "a%00", "a%0a", "%2e", "%c0%ae%c0%ae/a", "a%ff",
            "%25c0%25ae",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("before", ["keys/", "runner/", "runner/keys/"])
    def test_bad_ones(self, before: str, path: str) -> None:
        error = _refused(before + path)
        assert error.details["key"] == before + path
        assert error.message.isascii()
        if path:
            assert not is_path(path)

    @pytest.mark.parametrize("name", ["", "keys", "runner", "hunter2", "key/a", "/keys/a", " keys/a", "KEYS/a"])
    def test_what_may_be_the_secret_itself_is_not_repeated(self, name: str) -> None:
        error = _refused(name)
        assert not is_key_name(name)
        assert error.details["key"] == ""
        assert "hunter2" not in error.message

    def test_one_that_is_too_long(self) -> None:
        assert KeyPath.parse("keys/" + "a" * (MAX_CHARS - 5)).path
        error = _refused("keys/" + "a" * (MAX_CHARS - 4))
        assert "1025 characters" in error.message
        assert len(error.details["key"]) == 200

    def test_many_encodings_cost_little(self) -> None:
        assert "percent" in _refused("keys/%" + "25" * 500 + "2e").message

    def test_it_is_written_as_it_is_read(self) -> None:
        assert str(KeyPath.parse("runner/keys/a/b")) == "runner/a/b"
        assert str(KeyPath.parse("keys/a/b")) == "keys/a/b"


class TestPaths:
    def test_a_folder_may_be_the_root(self) -> None:
        assert checked_path("", is_folder=True) == ""
        with pytest.raises(RunbusError, match="empty part"):
            checked_path("")

    @pytest.mark.parametrize("path", ["..", "a/", "%2e%2e", "a" * 1025])
    def test_bad_ones(self, path: str) -> None:
        for is_folder in (False, True):
            with pytest.raises(RunbusError):
                checked_path(path, is_folder=is_folder)
        assert not is_path(path)


class TestOtherForms:
    @pytest.mark.parametrize("text", ["db/password", "keys/db/password"])
    def test_of_the_centre(self, text: str) -> None:
        assert centre_path(text).name == "keys/db/password"

    @pytest.mark.parametrize("text", ["runner/db", "runner/../db", "", "keys/", "a/", "keys/%2e%2e"])
    def test_none_of_the_centre(self, text: str) -> None:
        with pytest.raises(RunbusError, match="cannot be used"):
            centre_path(text)

    @pytest.mark.parametrize("text", ["", "/", "keys", "keys/"])
    def test_the_root(self, text: str) -> None:
        assert folder_path(text) == ""
        assert folder_path(text, KeyPlace.RUNNER) == ""

    def test_folders(self) -> None:
        assert folder_path("keys/db/") == folder_path("db") == "db"
        assert folder_path("runner/db") == "runner/db"
        assert folder_path("runner/keys/db", KeyPlace.RUNNER) == folder_path("runner/db/", KeyPlace.RUNNER) == "db"
        for text in ("..", "keys/..", "a//", "//"):
            with pytest.raises(RunbusError, match="cannot be used"):
                folder_path(text)

    @pytest.mark.parametrize(
        ("path", "project"), [("project/P/a", "P"), ("project/P/a/b", "P"), ("project/P", ""), ("a/project/P/b", "")]
    )
    def test_the_project(self, path: str, project: str) -> None:
        assert KeyPath(KeyPlace.CENTRE, path).project == project


@given(_GOOD)
def test_every_good_path_is_taken_as_it_is(path: str) -> None:
    if len(path) <= MAX_CHARS - 12:
        assert KeyPath.parse(f"keys/{path}") == KeyPath(KeyPlace.CENTRE, path)
        assert KeyPath.parse(str(KeyPath(KeyPlace.RUNNER, path))).place is KeyPlace.RUNNER


@given(_AWKWARD | st.text(), st.integers(0, 3))
def test_whatever_is_taken_leaves_nowhere(path: str, times: int) -> None:
    for _ in range(times):
        path = quote(path, safe="", errors="surrogatepass") if times % 2 else path.replace(".", "%2e")
    try:
        taken = KeyPath.parse(f"keys/{path}").path
    except RunbusError as error:
        assert error.details["reason"] == "outside"
        assert error.message.isascii()
        return
    assert taken == path
    from urllib.parse import unquote  # noqa: PLC0415

    for _ in range(20):
        assert not {"", ".", ".."} & set(taken.split("/"))
        assert not {"\\", "\0", "\n"} & set(taken)
        assert taken.count("/") == path.count("/")
        taken = unquote(taken)
