"""Regexes as Java has them. What is expected here was taken from a JDK 17 (``String.matches``)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.nodes.javaregex import pattern as module
from domain.nodes.javaregex.pattern import MAX_PATTERN_CHARS, JavaPattern
from domain.nodes.javaregex.source import PatternError, TooCostlyError


@pytest.fixture(params=["untimed", "timed"], autouse=True)
def both_matchers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "timed":
        monkeypatch.setattr(module, "_ALL_UNTIMED_STEPS", 0)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a*+b", "aab"),
        ("(?>a+)b", "aab"),
        (r"\Qa.b*\E.", "a.b*x"),
        (r"\Qa.b", "a.b"),
        (r"[\Q^-]\E]", "-"),
        ("(?i)aB[c-d]", "AbD"),
        ("a(?i)b|c", "aB"),
        ("(a(?i)b)c", "aBc"),
        ("(?i:a)b", "Ab"),
        ("(?x) a b # c", "ab"),
        ("(?<one>a)\\k<one>", "aa"),
        (r"(a)\1", "aa"),
        (r"(a)\10", "aa0"),
        ("a$", "a"),
        ("(?s).", "\n"),
        ("[a-c&&[^b]]", "c"),
        ("[a-z&&b-d&&c]", "c"),
        ("[a[xyz]]", "y"),
        ("[^a[b]]", "c"),
        ("[]a]", "]"),
        ("[a-]", "-"),
        ("[&]", "&"),
        (r"\p{Alpha}\p{L}\p{IsLatin}\P{Lu}", "aéba"),
        (r"\x41\u0041\x{41}\0101", "AAAA"),
        (r"\h\R", " \r\n"),
        ("{2}", ""),
        ("a{2}{3}", "aa"),
        ("]}", "]}"),
        ("(?<=a)b|c(?<!b)", "c"),
    ],
)
def test_it_matches(pattern: str, text: str) -> None:
    assert JavaPattern(pattern).matches(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a", "ab"),
        ("a++a", "aa"),
        ("a$", "a\n"),
        (".", "\x85"),
        (".", "\r"),
        (r"\d", "٣"),
        (r"\w", "é"),
        ("(?i)é", "É"),
        ("(a(?i)b)c", "aBC"),
        (r"\1(a)", "aa"),
        (r"[^a[b]]", "b"),
        ("[a-z&&[^b]]", "b"),
    ],
)
def test_it_does_not_match(pattern: str, text: str) -> None:
    assert not JavaPattern(pattern).matches(text)


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "*",
            "a**",
            "a|*",
            "(",
            ")",
            "(a",
            "a)",
            "[",
            "[]",
            "[^]",
            "[b-a]",
            r"[a-\d]",
            "a{",
            "a{,2}",
            "a{2,1}",
            "a{x}",
        ),
        *("\\", r"\y", r"\k<x>", r"\x4", r"\u12", r"[\b]", r"\p{Foo}", r"\p{", "(?<1>a)", "(?<a>b)(?<a>c)"),
        *("(?P<a>b)", "(?#c)", "(?", "(?z)", "(?<=(ab)+)c", "[&&]", "{", "a{99999999999}"),
    ],
)
def test_it_does_not_compile(pattern: str) -> None:
    with pytest.raises(PatternError):
        JavaPattern(pattern)


@pytest.mark.parametrize("pattern", ["a" * (MAX_PATTERN_CHARS + 1), "((a{1000}){1000}){1000}", "a{2147483647}"])
def test_a_pattern_that_would_take_all_memory_is_refused(pattern: str) -> None:
    with pytest.raises(TooCostlyError):
        JavaPattern(pattern)


@pytest.mark.parametrize("depth", [60, 5_000])
def test_nesting_is_bounded(depth: int) -> None:
    for pattern in (
        "(" * depth + "a" + ")" * depth,
        "[a" * depth + "]" * depth,
        "a&&".join(["["] + [""] * depth) + "]",
    ):
        with pytest.raises((PatternError, TooCostlyError)):
            JavaPattern(pattern)


def test_many_costly_matches_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL_S", 0.0)
    with pytest.raises(TooCostlyError, match="for these nodes"):
        JavaPattern("(a+)+b").matches("aaa")


@given(
    pattern=st.text(alphabet=r"abA1.*+?()[]{}|^$\-&,:=!<>ixsmQEdwWbpPLuk# ", max_size=14), text=st.text(max_size=6)
)
def test_any_pattern_compiles_or_raises(pattern: str, text: str) -> None:
    try:
        JavaPattern(pattern).matches(text)
    except (PatternError, TooCostlyError) as error:
        assert str(error)


@given(st.text(max_size=20).filter(lambda text: "\\E" not in text))
def test_a_quoted_text_matches_itself(text: str) -> None:
    assert JavaPattern(rf"\Q{text}\E").matches(text)
