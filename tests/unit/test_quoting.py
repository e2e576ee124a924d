from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.context.arguments import join_arguments, split_arguments
from domain.context.commands import Interpreter, StepPlace, command_step, local_process, script_invocation
from domain.context.quoting import Target, escape_cmd, quote_unix, quote_windows
from domain.context.scopes import DataContext

PROPERTY = settings(deadline=None, max_examples=200)
NASTY = [
    "'",
    '"',
    "\\",
    "$",
    "`",
    ";",
    "&",
    "|",
    ">",
    "<",
    "\n",
    "\t",
    " ",
    "(",
    ")",
    "*",
    "{",
    "}",
    "$(id)",
    "a",
    "é",
]
nasty = st.lists(st.sampled_from(NASTY), min_size=1, max_size=12).map("".join)
BARE = "#~[=!"
"""Special to a shell, and not quoted for their own sake by the original."""
any_text = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("", []),
        (" ", []),
        ("  ", [""]),
        (" a  b ", ["a", "b"]),
        ("'a'b'c d'e f", ["abc de", "f"]),
        ("a'b c'd", ["a'b", "c'd"]),
        ("--a='b c'", ["--a='b", "c'"]),
        ("'it''s' \"a\"\"b\"", ["it's", 'a"b']),
        ("'open end ", ["open end "]),
        ("'", [""]),
        ("'''", ["'"]),
        ("'' \"\"", ["", ""]),
        ("a\\ b", ["a\\", "b"]),
        ("a\x00b\x1fc\xa0d", ["a", "b", "c\xa0d"]),
    ],
)
def test_a_line_is_split_by_the_originals_rules(line: str, arguments: list[str]) -> None:
    assert split_arguments(line) == arguments


@PROPERTY
@given(st.lists(st.text(st.characters(), max_size=20) | nasty, max_size=6))
def test_what_is_joined_splits_into_the_same_arguments(arguments: list[str]) -> None:
    assert split_arguments(join_arguments(arguments)) == arguments


def test_a_megabyte_is_split_at_once() -> None:
    assert len(split_arguments("'a''b' c" * 100_000)) == 100_001
    assert split_arguments("'" * 1_000_001) == ["'" * 500_000]


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("", ""),
        ("plain-1.2/x:y,z@h", "plain-1.2/x:y,z@h"),
        ("#no", "#no"),
        ("it's", "'it'\"'\"'s'"),
        ("a\nb", "'a\nb'"),
        ("{a,b}", "'{a,b}'"),
    ],
)
def test_unix_quotes_are_single_and_only_where_needed(argument: str, quoted: str) -> None:
    assert quote_unix(argument) == quoted


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("", ""),
        ("plain", "plain"),
        ("%A%", '"%%A%%"'),
        ('a\\"b\\', '"a\\\\\\"b\\\\"'),
        ("a\\\\b c", '"a\\\\b c"'),
        ("x\x00y", '"x\x00y"'),
    ],
)
def test_windows_quotes_are_double_with_backslashes_doubled_before_them(argument: str, quoted: str) -> None:
    assert quote_windows(argument) == quoted


def test_the_interpreter_cmd_is_escaped_with_carets() -> None:
    assert escape_cmd('a b&"c"') == 'a b^&^"c^"'


@pytest.mark.parametrize("family", ["", "unix", "UNIX", "solaris", "linux"])
def test_every_family_but_windows_is_quoted_as_unix(family: str) -> None:
    assert Target(family).quote("a b") == "'a b'"
    assert Target("WINDOWS").quote("a b") == '"a b"'


def joined_words(value: str) -> list[str]:
    """The words of a command that has a value alone, within a word, and as an argument of a script."""
    place = StepPlace(DataContext.of({"option": {"x": value}}))
    return [
        *command_step("printf [%s] ${option.x} --a=${option.x}", place)[2:],
        *script_invocation("/f", "${option.x}", place)[1:],
    ]


@PROPERTY
@given(any_text | nasty)
def test_a_value_is_one_word_of_the_shell_wherever_the_original_quotes(value: str) -> None:
    assume(not set(value) & set(BARE))

    assert shlex.split(" ".join(joined_words(value))) == [value, f"--a={value}", value]


@settings(deadline=None, max_examples=60)
@given(nasty)
def test_an_option_never_becomes_shell(value: str) -> None:
    """Run by a real shell: what is printed is the value, whatever is in it."""
    place = StepPlace(DataContext.of({"option": {"x": value}}))
    words = command_step("printf '[%s]' ${option.x} --a=${option.x}", place)
    inner = script_invocation(
        "printf", ["'[%s]'", "${option.x}"], place, interpreter=Interpreter("sh -c", args_quoted=True)
    )

    assert output_of(words) == f"[{value}][--a={value}]"
    assert output_of(inner) == f"'[{value}]'"


def output_of(words: list[str]) -> str:
    done = subprocess.run(local_process(words, Target()), capture_output=True, timeout=20, check=True)
    return done.stdout.decode()


def test_what_the_local_executor_starts() -> None:
    assert local_process(["a", "'b c'"], Target()) == ["/bin/sh", "-c", "a 'b c'"]
    assert local_process(["a", "b c"], Target("windows")) == ["cmd.exe", "/c", "a", "b c"]
