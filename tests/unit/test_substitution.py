from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.context.commands import Interpreter, StepPlace, command_step, script_invocation, script_text
from domain.context.groups import JobFacts, environment, job_context, node_context, variable_name
from domain.context.quoting import Target
from domain.context.references import Missing, expand, expand_script, has_reference
from domain.context.scopes import DataContext, View

PROPERTY = settings(deadline=None, max_examples=150)
any_text = st.text(st.characters(), max_size=80)
fragments = st.lists(
    st.sampled_from(
        ["${", "}", "@", "@@", ".", "*", ":", "/", "2", "option", "unquoted", "x", " ", "\n", "'", '"', "é"]
    ),
    max_size=25,
).map("".join)
groups = st.dictionaries(st.sampled_from(["option", "node", "x"]), st.dictionaries(any_text, any_text, max_size=3))

DATA = DataContext(
    {
        View(): {
            "option": {"x": "v w", "plain": "v", "empty": "", "again": "${option.x}"},
            "data": {"k": "everywhere"},
        },
        View(node="a"): {"data": {"k": "on a"}},
        View(node="b"): {"data": {"other": "on b"}},
        View(1): {"data": {"k": "step 1"}},
        View(2, "a"): {"data": {"k": "step 2 on a"}},
        View(2, "b"): {"data": {"k": "step 2 on b"}},
    }
)
ON_A = StepPlace(DATA, "a")


@pytest.mark.parametrize(
    ("reference", "node", "value"),
    [
        ("${data.k}", None, "everywhere"),
        ("${data.k}", "a", "on a"),
        ("${data.k}", "b", "everywhere"),
        ("${data.k@a}", "b", "on a"),
        ("${data.k@b}", "a", ""),
        ("${1:data.k}", "a", "step 1"),
        ("${1:data.k@a}", "a", ""),
        ("${2:data.k}", "b", "step 2 on b"),
        ("${2:data.k}", None, ""),
        ("${2:data.k*}", None, "step 2 on a,step 2 on b"),
        ("${2:data.k*;}", None, "step 2 on a;step 2 on b"),
        ("${2:data.k*json}", None, "step 2 on a,step 2 on b"),
        ("${data.k*}", None, "on a,everywhere"),
        ("${3:data.k*}", None, ""),
        ("${99999999999999999999:data.k}", None, ""),
        ("${0002:data.k@a}", None, "step 2 on a"),
        ("${unquotedoption.x}", None, "v w"),
        ("${option.again}", None, "${option.x}"),
        ("${bash}", None, ""),
        ("${ data.k}", None, "${ data.k}"),
        ("$HOME", None, "$HOME"),
    ],
)
def test_a_reference_finds_the_narrowest_value_that_it_may_see(reference: str, node: str | None, value: str) -> None:
    assert expand(reference, DATA, View(node=node), Missing.BLANK) == value


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        (Missing.BLANK, "a= b= c=v"),
        (Missing.LITERAL, "a=${option.no} b=${node.no} c=v"),
        (Missing.BLANK_OPTION, "a= b=${node.no} c=v"),
    ],
)
def test_each_place_has_its_rule_for_what_is_missing(missing: Missing, text: str) -> None:
    assert expand("a=${option.no} b=${node.no} c=${option.plain}", DATA, View(), missing) == text


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("", ""),
        ("\n", "\n"),
        ("echo", "echo\n"),
        ("a\r\nb\rc", "a\nb\nc\n"),
        ("mail user@host.com", "mail user@host.com\n"),
        ("echo hello@milk@option.plain@", "echo hellooption.plain@\n"),
        ("@@option.plain@", "@option.plain@\n"),
        ("@option.plain@@option.plain@", "vv\n"),
        ("@data.k/a@ @2:data.k/b@ @2:data.k*+@", "on a step 2 on b step 2 on a+step 2 on b\n"),
        ("@unquotedoption.x@", "v w\n"),
        ("@option\u00a0plain@ @option\u2003plain@", " @option\u2003plain@\n"),
    ],
)
def test_the_tokens_of_a_script_are_replaced_and_its_lines_closed(script: str, text: str) -> None:
    assert script_text(script, StepPlace(DATA)) == text


def test_a_script_for_windows_gets_its_line_ends_also_inside_values() -> None:
    data = DataContext.of({"option": {"lines": "one\ntwo"}})

    assert script_text("echo @option.lines@", StepPlace(data, None, Target("Windows"))) == "echo one\r\ntwo\r\n"


def test_tokens_stay_where_they_are_not_to_be_expanded_or_not_to_be_blanked() -> None:
    assert script_text("@option.x@ @@", StepPlace(DATA), expand_tokens=False) == "@option.x@ @@\n"
    assert expand_script("@option.x@ @no.such@", DATA, View(), blank=False) == "v w @no.such@\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo --a=${option.x}", ["echo", "'--a=v w'"]),
        ('echo "two words" && echo $HOME', ["echo", "two words", "&&", "echo", "$HOME"]),
        ("echo ${bash_var} ${option.no} end", ["echo", "", "", "end"]),
        ("echo ${option.plain} '${option.x} | cat'", ["echo", "v", "'v w | cat'"]),
        ("echo ${option.again}", ["echo", "'${option.x}'"]),
        ("echo ${data.k}", ["echo", "'on a'"]),
        ("", []),
    ],
)
def test_a_command_step_quotes_only_words_that_held_a_reference(command: str, words: list[str]) -> None:
    assert command_step(command, ON_A) == words


def test_a_command_step_is_quoted_for_its_target() -> None:
    windows = StepPlace(DATA, "a", Target("windows"))
    cmd = StepPlace(DataContext.of({"option": {"x": "a&b"}}), None, Target("windows", "cmd"))

    assert command_step("echo ${option.x}", windows) == ["echo", '"v w"']
    assert command_step("echo ${option.x}", cmd) == ["echo", "a^&b"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("${option.x}", ["'v w'"]),
        ("--a=${option.x}", ["--a=v w"]),
        ("'--a=${option.x} b'", ["'--a=v w b'"]),
        ("${option.no}", [""]),
        ("--a=${option.no}", ["--a="]),
        ("${node.no}", ["'${node.no}'"]),
        ("--a=${node.no}", ["--a=${node.no}"]),
        ("${unquotedoption.x}", ["v w"]),
        ("it's 'two words' $HOME", ["'it'\"'\"'s'", "'two words'", "$HOME"]),
    ],
)
def test_script_arguments_follow_the_originals_rule(arguments: str, words: list[str]) -> None:
    assert script_invocation("/tmp/s.sh", arguments, ON_A) == ["/tmp/s.sh", *words]
    assert script_invocation("/tmp/s.sh", arguments, ON_A, interpreter=Interpreter("bash -x"))[2:] == [
        "/tmp/s.sh",
        *words,
    ]


def test_the_interpreter_sets_the_place_of_the_file() -> None:
    middle = Interpreter("sudo -u ${option.plain} sh ${scriptfile} --")

    assert script_invocation("/tmp/s", ["a b"], ON_A, interpreter=middle) == [
        *["sudo", "-u", "v", "sh", "/tmp/s", "--"],
        "'a b'",
    ]


def test_file_and_arguments_can_be_one_quoted_argument() -> None:
    quoted = Interpreter("ssh host", args_quoted=True)

    assert script_invocation("/tmp/s", "a ${option.x}", ON_A, interpreter=quoted) == [
        *["ssh", "host"],
        "'/tmp/s a '\"'\"'v w'\"'\"''",
    ]


def test_the_environment_has_every_group() -> None:
    context: dict[str, dict[str, str | None]] = {
        "option": {"my-opt.x": "1", "no": None},
        "node": {"os-name": "L\x00inux"},
        "ärger": {"ß": "2"},
    }

    assert environment(context) == {"RD_OPTION_MY_OPT_X": "1", "RD_NODE_OS_NAME": "Linux", "RD__RGER_SS": "2"}
    assert environment(DATA.groups_at("a"))["RD_DATA_K"] == "on a"
    assert environment(DATA.groups_at("b"))["RD_DATA_K"] == "everywhere"


@PROPERTY
@given(groups)
def test_whatever_the_keys_the_environment_has_names_that_a_process_takes(context: dict[str, dict[str, str]]) -> None:
    for name, value in environment(context).items():
        assert re.fullmatch(r"RD_[A-Za-z0-9_]+", name)
        assert "\x00" not in value
    assert variable_name("option.x") == "RD_OPTION_X"


def test_the_node_group_has_nine_keys_and_further_attributes() -> None:
    group = node_context("n", {"osName": "Linux", "nodename": "other", "rack": "7", "gone": None}, ["a", "b"])

    empty = dict.fromkeys(("os-version", "os-arch", "os-family", "hostname", "username", "description"), "")
    assert group == {**empty, "name": "n", "tags": "a,b", "os-name": "Linux", "rack": "7"}


def test_the_job_group_says_what_is_known() -> None:
    facts = JobFacts(execid="7", project="p", username="u", retry_initial_exec_id="3")

    first_try = {"retryAttempt": "0", "retryInitialExecId": "0", "retryPrevExecId": "0", "wasRetry": "false"}
    assert job_context(facts) == {
        **first_try,
        "execid": "7",
        "project": "p",
        "username": "u",
        "user.name": "u",
        "threadcount": "1",
    }
    again = job_context(
        JobFacts(
            execid="8",
            project="p",
            username="u",
            user_email="u@x",
            name="j",
            id="i",
            success_on_empty_node_filter=True,
            retry_attempt=1,
            retry_initial_exec_id="3",
        )
    )
    assert (again["wasRetry"], again["retryInitialExecId"], again["retryPrevExecId"]) == ("true", "3", "0")
    assert (again["successOnEmptyNodeFilter"], again["user.email"], again["name"]) == ("true", "u@x", "j")


def test_merging_keeps_the_old_context_and_lets_the_new_value_hold() -> None:
    merged = DATA.merged({"data": {"k": "new", "l": "more"}}, View(node="a"))

    assert merged.value(View(node="a"), "data", "k") == "new"
    assert merged.value(View(node="a"), "data", "l") == "more"
    assert merged.value(View(node="a"), "option", "plain") == "v"
    assert DATA.value(View(node="a"), "data", "k") == "on a"


@PROPERTY
@given(fragments | any_text, groups, st.sampled_from(Missing))
def test_expanding_never_fails(text: str, context: dict[str, dict[str, str]], missing: Missing) -> None:
    place = StepPlace(DataContext({View(): context, View(2, "x"): context}), "x")

    expand(text, place.data, place.view, missing)
    command_step(text, place)
    script_invocation("/f", text, place, interpreter=Interpreter(text, args_quoted=True))
    assert script_text(text, place).endswith("\n") or not script_text(text, place)


@PROPERTY
@given(fragments)
def test_a_reference_is_found_wherever_one_stands(text: str) -> None:
    assert has_reference(text) == bool(re.search(r"\$\{[^\s.]+\.[^\s}]+\}", text, re.ASCII))
    assert expand(text, DataContext(), View(), Missing.BLANK) == re.sub(r"\$\{[^\s}]+\}", "", text, flags=re.ASCII)


@pytest.mark.parametrize("unit", ["${", "@", "@a", "${a.", "1:", "a*", "${a.b@", "@@ ", "${}", "${a.}"])
def test_expanding_takes_time_in_step_with_the_length(unit: str) -> None:
    text = unit * 100_000
    started = time.process_time()

    expand(text, DATA, View(), Missing.BLANK)
    expand_script(text, DATA, View())
    has_reference(text)

    assert time.process_time() - started < 2
