from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.errors import ErrorCode, ErrorReply, RunbusError
from schemas.tokens import (
    MAX_SET_TOKEN_CHARS,
    MAX_TAG_CHARS,
    MAX_TAGS_PER_SET,
    OWN_TAG,
    RESERVED_PROJECTS,
    RESERVED_RUNNERS,
    TagSet,
    escape_tag,
    given_tag,
    identifier,
    own_tag,
    project_name,
    runner_id,
    tag,
    unescape_tag,
)

PROPERTY = settings(deadline=None, max_examples=80)
TOKEN = re.compile(r"[A-Za-z0-9_=+-]+\Z")
KEY = re.compile(r"[A-Za-z0-9_=-]+(\.[A-Za-z0-9_=-]+)*\Z")

any_text = st.text(st.characters(), max_size=70)
"""Lone surrogates included."""


def refusal(attempt: Callable[[], object]) -> RunbusError | None:
    """The error of an attempt that may fail with a ``RunbusError`` only, and None where it succeeds."""
    try:
        attempt()
    except RunbusError as error:
        return error
    return None


def is_tag(text: str) -> bool:
    return refusal(lambda: tag(text)) is None and tag(text) == text


plain_tags = st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True)
odd_tags = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=3)
tags = (plain_tags | odd_tags).map(lambda text: text.lower().strip()).filter(is_tag)
tag_sets = st.lists(tags, min_size=1, max_size=4).map(TagSet)


@PROPERTY
@given(any_text)
def test_a_normalised_tag_is_normal(text: str) -> None:
    if refused := refusal(lambda: tag(text)):
        assert refused.code is ErrorCode.INVALID_TAG
        assert encode(ErrorReply(error=refused.info()))
    else:
        normal = tag(text)
        assert tag(normal) == normal
        assert tag(f" {normal}\t") == normal
        if not normal.startswith(OWN_TAG):  # the id of a runner keeps its case
            assert tag(f" {normal.upper().lower()}\t") == tag(normal.upper())
        assert unicodedata.is_normalized("NFC", normal)


def test_every_character_normalises_to_something_normal() -> None:
    for code in range(0, 0x110000, 37):
        text = f"A{chr(code)}\u0301"
        if unicodedata.category(chr(code)) not in {"Cc", "Cs"} and not set(text) & {",", "+"}:
            assert tag(tag(text)) == tag(text)


def test_tags_are_trimmed_and_in_lower_case() -> None:
    assert tag("  LINUX ") == tag("linux") == "linux"
    assert tag("E\u0301") == "é"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be empty"),
        ("  ", "cannot be empty"),
        ("a,b", "separate tags"),
        ("a+b", "separate tags"),
        ("a\x00b", "control character"),
        ("a\ud800", "control character"),
        ("a" * (MAX_TAG_CHARS + 1), "longer than 64"),
        ("Local", "reserved"),
    ],
)
def test_an_invalid_tag_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(RunbusError, match=reason) as refused:
        tag(text)
    assert refused.value.code is ErrorCode.INVALID_TAG


@PROPERTY
@given(st.text())
def test_escaping_is_reversible_for_any_text(text: str) -> None:
    assert unescape_tag(escape_tag(text)) == text


@PROPERTY
@given(st.text(min_size=1))
def test_an_escaped_tag_is_one_token(text: str) -> None:
    token = escape_tag(text)
    assert TOKEN.match(token)
    assert "+" not in token


@PROPERTY
@given(tag_sets)
def test_a_set_is_read_back_from_its_token(tag_set: TagSet) -> None:
    assert TagSet.from_token(tag_set.token) == tag_set
    assert TagSet.parse(str(tag_set)) == tag_set
    assert TOKEN.match(tag_set.token)
    assert KEY.match(tag_set.key)


@PROPERTY
@given(tag_sets, tag_sets)
def test_different_sets_have_different_tokens_and_keys(one: TagSet, other: TagSet) -> None:
    assume(one != other)
    assert one.token != other.token
    assert one.key != other.key
    assert TagSet.local().token not in {one.token, other.token}


@PROPERTY
@given(st.lists(tags, min_size=1, max_size=6), st.randoms())
def test_order_repeats_and_case_do_not_matter(given_tags: list[str], chance: Random) -> None:
    shuffled = [*given_tags, given_tags[0]]
    chance.shuffle(shuffled)
    assert TagSet(shuffled) == TagSet(given_tags)
    assert hash(TagSet(shuffled)) == hash(TagSet(given_tags))


@PROPERTY
@given(any_text, st.sampled_from([TagSet.parse, TagSet.from_token, lambda text: TagSet([text])]))
def test_any_text_is_a_set_or_an_invalid_tag(text: str, make: Callable[[str], TagSet]) -> None:
    if refused := refusal(lambda: make(text)):
        assert refused.code is ErrorCode.INVALID_TAG
        assert encode(ErrorReply(error=refused.info()))
    else:
        assert TagSet.from_token(make(text).token) == make(text)


@pytest.mark.parametrize("token", ["=FF", "a=C3+b", "\ud800", "", "a++b", "=2B", "a=00"])
def test_what_is_no_token_of_a_set_is_refused(token: str) -> None:
    with pytest.raises(RunbusError) as refused:
        TagSet.from_token(token)
    assert refused.value.code is ErrorCode.INVALID_TAG


def test_a_typed_filter_takes_both_separators() -> None:
    assert TagSet.parse("LINUX+DEV, eu").tags == ("dev", "eu", "linux")
    assert TagSet.parse("web 1+dev").token == "dev+web=201"
    assert TagSet.parse("web 1+dev").key == "dev.web=201"


@pytest.mark.parametrize("text", ["", "a,", "+a", "a,,b", "a+local"])
def test_a_filter_with_an_empty_or_reserved_part_is_refused(text: str) -> None:
    with pytest.raises(RunbusError):
        TagSet.parse(text)


def test_a_set_has_a_most_of_tags_and_of_characters() -> None:
    most = [f"t{number}" for number in range(MAX_TAGS_PER_SET)]
    assert len(list(TagSet(most))) == MAX_TAGS_PER_SET
    with pytest.raises(RunbusError, match="17 tags"):
        TagSet([*most, "one-more"])
    long = ["a" * 64, "b" * 64, "c" * (MAX_SET_TOKEN_CHARS - 130)]
    assert len(TagSet(long).token) == MAX_SET_TOKEN_CHARS
    with pytest.raises(RunbusError, match="too long together"):
        TagSet([*long[:2], long[2] + "c"])
    with pytest.raises(RunbusError, match="too long together"):
        TagSet(["語" * 22])


def test_the_local_set_is_empty() -> None:
    local = TagSet.local()
    assert local.is_local
    assert (local.token, local.key, str(local)) == ("local", "local", "local")
    assert TagSet.from_token("local") == local


@PROPERTY
@given(tag_sets, st.lists(tags, max_size=4))
def test_a_set_matches_whoever_bears_all_its_tags(tag_set: TagSet, more: list[str]) -> None:
    assert tag_set.matches(frozenset([*tag_set, *more]))
    assert tag_set.matches(frozenset(more)) == set(tag_set).issubset(more)


@PROPERTY
@given(any_text)
def test_any_text_is_an_identifier_or_an_invalid_name(text: str) -> None:
    if refused := refusal(lambda: identifier("thing", text)):
        assert refused.code is ErrorCode.INVALID_NAME
        assert refused.details["kind"] == "thing"
        assert encode(ErrorReply(error=refused.info()))
    else:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text)


@pytest.mark.parametrize("value", ["", "a.b", "a b", "a*", ">", "é", "a\n", "a" * 65, "a+b"])
def test_what_cannot_be_a_token_is_no_identifier(value: str) -> None:
    with pytest.raises(RunbusError):
        identifier("runner", value)


@pytest.mark.parametrize(
    ("check", "reserved"),
    [(project_name, sorted(RESERVED_PROJECTS)), (runner_id, sorted(RESERVED_RUNNERS))],
)
def test_reserved_names_are_refused(check: Callable[[str], str], reserved: list[str]) -> None:
    for name in reserved:
        with pytest.raises(RunbusError, match="is reserved") as refused:
            check(name)
        assert refused.value.code is ErrorCode.INVALID_NAME
    assert check("web-1") == "web-1"


# The tag that a runner bears by its id


def test_an_own_tag_keeps_its_case_and_two_ids_that_differ_in_it_are_two() -> None:
    assert tag("@Web-1") == tag(" @Web-1 ") == own_tag("Web-1") == "@Web-1"
    one, other = TagSet(["@Web-1"]), TagSet(["@web-1"])
    assert one != other
    assert (one.token, other.token) == ("=40Web-1", "=40web-1")
    assert TagSet.from_token(one.token) == one
    assert not one.matches(frozenset({own_tag("web-1")}))


@pytest.mark.parametrize("runner", ["a" * 64, "A" * 64, "_-0"])
def test_every_runner_id_has_an_own_tag_that_fits_a_set(runner: str) -> None:
    tag_set = TagSet([own_tag(runner), "linux"])
    assert TagSet.from_token(tag_set.token) == tag_set


@pytest.mark.parametrize("text", ["@", "@a.b", "@a b", "@" + "a" * 65, "@exec"])
def test_an_own_tag_of_what_is_no_runner_id_is_refused(text: str) -> None:
    with pytest.raises(RunbusError, match="behind '@' stands the id of a runner") as refused:
        tag(text)
    assert refused.value.code is ErrorCode.INVALID_TAG


@pytest.mark.parametrize("text", ["@web-1", " @web-1", "@"])
def test_no_runner_is_given_an_own_tag(text: str) -> None:
    with pytest.raises(RunbusError, match="'@' begins the tag that a runner bears by its id") as refused:
        given_tag(text)
    assert refused.value.code is ErrorCode.INVALID_TAG
    assert given_tag(" LINUX") == "linux"
