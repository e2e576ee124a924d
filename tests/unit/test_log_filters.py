"""The original's log filters: what they capture, change and say, by its settings, defaults and rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from domain.context.masking import Masker
from domain.logs import build_filters, capture
from domain.logs.chain import FilterChain
from domain.logs.jsonmapper import NotAPathError, parse_path
from domain.logs.levels import Level
from domain.logs.lines import LogLine
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import LogFilter

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "masking.json"


class Ran:
    """What came of some lines."""

    def __init__(self, *filters: LogFilter, secrets: tuple[str, ...] = ()) -> None:
        built, self.warnings = build_filters(filters)
        self.chain = FilterChain(built, Masker(secrets))
        self.shown: list[tuple[str, str]] = []

    def through(self, *texts: str, level: Level = Level.NORMAL) -> Ran:
        for text in texts:
            line = LogLine(text, level)
            self.chain.take(line)
            self.shown.append((line.level, line.text))
        return self

    def end(self) -> Ran:
        self.chain.finish()
        captured, said = self.chain.effects.take()
        self.data = {each.key: each.value for each in captured}
        assert {each.group for each in captured} <= {"data"}
        self.said = [(each.line.level, each.line.text, dict(each.line.meta)) for each in said]
        return self

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.shown]

    @property
    def levels(self) -> list[str]:
        return [level for level, _ in self.shown]


def of(type_: str, **config: Any) -> LogFilter:
    return LogFilter(type=type_, config=config)


@pytest.mark.parametrize(
    ("config", "lines", "expected"),
    [
        ({}, ["RUNDECK:DATA:a=b", "RUNDECK:DATA: c  =  d e "], {"a": "b", "c": "d e "}),
        ({}, ["x RUNDECK:DATA:a=b", "RUNDECK:DATA:a b = c", "RUNDECK:DATA:a=", "RUNDECK:DATA:=b", ""], {}),
        ({}, ["RUNDECK:DATA:a=1", "RUNDECK:DATA:a=2"], {"a": "2"}),
        ({}, ["RUNDECK:DATA:a${x}=1"], {"a__x_": "1"}),
        ({"regex": r"^(\w+)=(.*)$"}, ["k="], {"k": ""}),
        ({"regex": "^v(.+)$", "name": "n n"}, ["v1"], {"n_n": "1"}),
        ({"regex": "^v(.+)$", "name": "n n", "replaceFilteredResult": "true"}, ["v1"], {"nn": "1"}),
        (
            {"regex": "^v(.+)$", "name": "a b", "replaceFilteredResult": True, "invalidCharactersReplacement": "-"},
            ["v1"],
            {"a-b": "1"},
        ),
        ({"regex": "^v(.+)$", "name": "a b", "invalidKeyPattern": ""}, ["v1"], {"a b": "1"}),
        ({"regex": r"(\w+)=(\w+)"}, ["x k=v"], {}),
        ({"regex": r"(\w+)=(\w+)", "matchSubstrings": "true"}, ["x k=v l=w"], {"k": "v"}),
        (
            {"regex": r"(\w+)=(\w+)", "matchSubstrings": "true", "allowMultipleMatches": "true"},
            ["x k=v l=w"],
            {"k": "v", "l": "w"},
        ),
        ({"regex": r"(\w+)=(\w+)", "allowMultipleMatches": "true"}, ["k=v l=w"], {}),
        ({"regex": r"(?<key>\p{Alpha}+)=(?<value>.+)(x)?"}, ["k=v"], {"k": "v"}),
    ],
)
def test_keys_and_values(config: dict[str, Any], lines: list[str], expected: dict[str, str]) -> None:
    ran = Ran(of("key-value-data", **config)).through(*lines).end()

    assert ran.data == expected
    assert ran.texts == lines


def test_only_normal_lines_are_captured() -> None:
    ran = Ran(of("key-value-data"))
    for level in Level:
        ran.through(f"RUNDECK:DATA:{level}=1", level=level)
    assert ran.end().data == {"NORMAL": "1"}


def test_captured_data_is_logged_where_that_is_wanted() -> None:
    ran = Ran(of("key-value-data", logData="true")).through("RUNDECK:DATA:a=é", "RUNDECK:DATA:b=2").end()

    meta = {"content-data-type": "application/json", "content-meta:table-title": "Key Value Data: Results"}
    assert ran.said == [(Level.NORMAL, '{"a":"é","b":"2"}', meta)]
    assert Ran(of("key-value-data", logData=True)).through("nothing").end().said == []


def test_a_key_that_had_to_be_changed_is_said_to_be() -> None:
    ran = Ran(of("key-value-data", regex="^(.+)=(.+)$")).through("a b=1").end()

    assert [level for level, _, _ in ran.said] == [Level.WARN]
    assert "'a b'" in ran.said[0][1]
    assert "'a_b'" in ran.said[0][1]


def test_data_is_captured_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MAX_CAPTURED_CHARS", 20)
    ran = Ran(of("key-value-data")).through(*(f"RUNDECK:DATA:k{number}=1234567" for number in range(9))).end()

    assert ran.data == {"k0": "1234567", "k1": "1234567"}
    assert len(ran.said) == 1


@pytest.mark.parametrize(
    ("config", "lines", "expected"),
    [
        ({}, ["k = one", "two"], {"k": "one\ntwo\n"}),
        ({"regex": r"(?:.*)id: (\d+)\n.*", "name": "id"}, ["x", "id: 42", "y"], {"id": "42"}),
        ({"captureMultipleKeysValues": "true"}, ["a=1", "b = 2", "no"], {"a": "1", "b": "2"}),
        ({"captureMultipleKeysValues": True, "regex": r"v(\d)", "name": "v"}, ["v1", "v2", "x"], {"v": "1\n2"}),
        ({}, [], {}),
    ],
)
def test_keys_and_values_over_several_lines(
    config: dict[str, Any], lines: list[str], expected: dict[str, str]
) -> None:
    ran = Ran(of("key-value-data-multilines", **config)).through(*lines).end()

    assert ran.data == expected
    assert set(ran.levels) <= {Level.NORMAL}


def test_output_that_was_captured_can_be_hidden() -> None:
    ran = Ran(of("key-value-data-multilines", hideOutput="true", logData="true")).through("a=1").end()

    assert ran.levels == [Level.DEBUG]
    assert [text for _, text, _ in ran.said] == ['{"a":"1\\n"}']


@pytest.mark.parametrize(
    ("config", "level", "expected"),
    [
        ({"regex": "test", "quietMatch": "true"}, Level.NORMAL, Level.VERBOSE),
        ({"regex": "test"}, Level.NORMAL, Level.NORMAL),
        ({"regex": "testz", "quietMatch": "true"}, Level.NORMAL, Level.NORMAL),
        ({"regex": "testz"}, Level.NORMAL, Level.VERBOSE),
        ({"quietMatch": "true"}, Level.NORMAL, Level.VERBOSE),
        ({}, Level.NORMAL, Level.NORMAL),
        ({"quietMatch": True}, Level.ERROR, Level.ERROR),
        ({"quietMatch": True, "matchLoglevel": "error"}, Level.ERROR, Level.VERBOSE),
        ({"quietMatch": True, "matchLoglevel": "all"}, Level.WARN, Level.VERBOSE),
        ({"quietMatch": True, "matchLoglevel": ""}, Level.WARN, Level.VERBOSE),
        ({"quietMatch": True, "loglevel": "debug"}, Level.NORMAL, Level.DEBUG),
        ({"quietMatch": True, "loglevel": ""}, Level.NORMAL, Level.VERBOSE),
    ],
)
def test_quieted_lines(config: dict[str, Any], level: Level, expected: Level) -> None:
    assert Ran(of("quiet-output", **config)).through("this is a test", level=level).levels == [expected]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"regex": "test", "fgcolor": "red"}, "this is a \x1b[31mtest\x1b[0m"),
        ({"regex": "(is) a (test)", "fgcolor": "red", "bgcolor": "black"},
         "this \x1b[31;40mis\x1b[0m a \x1b[31;40mtest\x1b[0m"),
        ({"regex": "(is) a", "bgcolor": "black"}, "this \x1b[40mis\x1b[0m a test"),
        ({"regex": "a", "mode": "bold", "fgcolor": "cyan"}, "this is \x1b[36;1ma\x1b[0m test"),
        ({"regex": "a", "mode": "reverse"}, "this is \x1b[7ma\x1b[0m test"),
        ({"regex": "is", "fgcolor": "green"}, "th\x1b[32mis\x1b[0m \x1b[32mis\x1b[0m a test"),
        ({"regex": "((this) is)( never)?", "fgcolor": "green"}, "\x1b[32mthis is\x1b[0m a test"),
        ({"regex": "nothing", "fgcolor": "green"}, "this is a test"),
    ],
)  # fmt: skip
def test_highlighted_lines(config: dict[str, Any], expected: str) -> None:
    ran = Ran(of("highlight-output", **config)).through("this is a test")

    assert ran.texts == [expected]
    assert ran.through("this is a test", level=Level.ERROR).texts[1] == "this is a test"


def test_formatted_data_becomes_one_entry_of_its_type() -> None:
    ran = Ran(of("render-datatype")).through(
        "before", "#BEGIN:RUNDECK:DATATYPE: CSV ", "", "1,2", "", "3,4", "#END:RUNDECK:DATATYPE", "after"
    ).end()  # fmt: skip

    assert ran.said == [(Level.NORMAL, "1,2\n\n3,4\n", {"content-data-type": "text/csv"})]
    assert ran.levels == ["NORMAL", *["DEBUG"] * 6, "NORMAL"]


def test_all_output_is_formatted_data_where_the_filter_says_so() -> None:
    ran = Ran(of("render-datatype", datatype="x/y", striped="true", sanitizeHtml="false")).through("<b>").end()

    meta = {"content-data-type": "x/y", "content-meta:css-class": "table-striped", "content-meta:no-strip": "true"}
    assert ran.said == [(Level.NORMAL, "<b>\n", meta)]


@pytest.mark.parametrize(
    ("config", "text", "expected"),
    [
        ({"regex": r"-Dpw=\w+"}, "a -Dpw=x -Dpw=y b", "a [SECURE] [SECURE] b"),
        ({"regex": r"(-Dpw=)(\w+)", "maskOnlyValue": "true", "replacement": "[****]"}, "-Dpw=x b", "-Dpw=[****] b"),
        ({"regex": "(a)(b)", "replacement": r"$2$1\$1"}, "ab", "ba$1"),
        ({"regex": "(a)", "replacement": "$12"}, "a", "a2"),
    ],
)
def test_what_a_regex_matches_is_masked_at_any_level(config: dict[str, Any], text: str, expected: str) -> None:
    for level in Level:
        assert Ran(of("mask-log-output-regex", **config)).through(text, level=level).texts == [expected]


def test_secrets_have_the_replacement_that_the_filter_gives_them() -> None:
    def masked(**config: str) -> list[str]:
        return Ran(of("mask-passwords", **config), secrets=("hunter2",)).through("pw 'hunter2'").texts

    assert masked() == ["pw [SECURE]"]
    assert masked(replacement="#") == ["pw #"]
    assert masked(replacement="") == ["pw *****"]
    assert masked(color="red") == ["pw \x1b[31m[SECURE]\x1b[0m"]


def test_a_filter_sees_what_those_before_it_made_of_a_line() -> None:
    line = "RUNDECK:DATA:pw=hunter2"
    first, then = of("mask-passwords"), of("key-value-data")

    assert Ran(first, then, secrets=("hunter2",)).through(line).end().data == {"pw": "[SECURE]"}
    assert Ran(then, first, secrets=("hunter2",)).through(line).end().data == {"pw": "hunter2"}


@pytest.mark.parametrize("of_filter", [of("highlight-output", regex="nte", fgcolor="red"),
                                       of("mask-log-output-regex", regex="e", replacement="3")])  # fmt: skip
def test_a_filter_that_rewrites_lines_is_shown_no_secrets(of_filter: LogFilter) -> None:
    """It would break them in two, and nobody would find them any more."""
    texts = (
        Ran(of_filter, secrets=("hunter2", "line one\nline two\n")).through("hunter2", "line one", "line two").texts
    )

    assert texts in (["[S3CURE]"] * 3, ["[SECURE]"] * 3)


@pytest.mark.parametrize(
    ("config", "output", "expected"),
    [
        ({}, ['{"a": 1,', '"b": {"c": "x", "d": [1, "2"]}, "e": null}'],
         {"a": "1", "b.c": "x", "b.d": '[1,"2"]', "e": "null"}),
        ({"filter": ".items[1].name"}, ['{"items": [{}, {"name": "é"}]}'], {"result": '"é"'}),
        ({"filter": '.["a b"]', "prefix": "p"}, ['{"a b": ["x", 2, {"y": 1}]}'],
         {"p.0": "x", "p.1": "2", "p.2": '{"y":1}'}),
        ({"filter": ".[].n"}, ['[{"n": {"a": 1}}, {"n": {"b": true}}]'], {"a": "1", "b": "true"}),
        ({"filter": ".none.there"}, ["{}"], {"result": "null"}),
        ({}, [], {}),
    ],
)  # fmt: skip
def test_json_is_mapped(config: dict[str, Any], output: list[str], expected: dict[str, str]) -> None:
    ran = Ran(of("json-mapper", **config)).through(*output).end()

    assert ran.data == expected
    assert ran.said == []


@pytest.mark.parametrize(("filter_", "output"), [(".", "{"), (".a", "[1]"), (".[]", "7")])
def test_output_that_cannot_be_mapped_is_an_error_in_the_log(filter_: str, output: str) -> None:
    ran = Ran(of("json-mapper", filter=filter_)).through(output).end()

    assert ran.data == {}
    assert [level for level, _, _ in ran.said] == [Level.ERROR]


@pytest.mark.parametrize("text", [".a | .b", "keys", ".a + 1", "..", ".[0:2]", "a", ".a b", ""])
def test_jq_beyond_paths_is_not_a_path(text: str) -> None:
    with pytest.raises(NotAPathError):
        parse_path(text)


def test_what_is_not_supported_is_a_warning_and_the_rest_works() -> None:
    ran = Ran(of("kill-handler"), of("json-mapper", filter="map(.a)"), of("key-value-data"))

    assert len(ran.warnings) == 2
    assert "kill-handler" in ran.warnings[0]
    assert "map(.a)" in ran.warnings[1]
    assert ran.through("RUNDECK:DATA:a=b").end().data == {"a": "b"}


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (of("key-value-data", regex="(a"), "(a"),
        (of("key-value-data", regex="a"), "group"),
        (of("key-value-data", regex="(a)"), "name"),
        (of("key-value-data", invalidKeyPattern="["), "invalidKeyPattern"),
        (of("key-value-data", replaceFilteredResult="true", invalidCharactersReplacement="$1"), "group 1"),
        (of("key-value-data", regex=["x"]), "regex"),
        (of("key-value-data-multilines", regex="(a)"), "name"),
        (of("quiet-output", regex="*"), "*"),
        (of("quiet-output", matchLoglevel="loud"), "loud"),
        (of("quiet-output", loglevel="all"), "all"),
        (of("highlight-output"), "regex"),
        (of("highlight-output", regex="a", fgcolor="pink"), "pink"),
        (of("mask-passwords", color="black"), "black"),
        (of("mask-log-output-regex", regex="a", maskOnlyValue="true"), "group 1"),
        (of("mask-log-output-regex", regex="a", replacement="$"), "$"),
    ],
)
def test_settings_that_are_wrong_are_an_error_that_names_the_filter(bad: LogFilter, named: str) -> None:
    with pytest.raises(RunbusError) as raised:
        build_filters([bad])

    assert raised.value.code is ErrorCode.INVALID_JOB
    assert bad.type in raised.value.message
    assert named in raised.value.message


def test_a_regex_that_takes_too_long_is_switched_off_and_hides_what_it_was_to_hide() -> None:
    evil, line = "(x|xx)+$", "x" * 60 + "!"
    quiet = Ran(of("quiet-output", regex=evil)).through(line, line).end()
    masked = Ran(of("mask-log-output-regex", regex=evil)).through(line, "short").end()

    assert quiet.texts == [line, line]
    assert [level for level, _, _ in quiet.said] == [Level.WARN]
    assert masked.texts == ["[SECURE]", "[SECURE]"]
    assert [level for level, _, _ in masked.said] == [Level.WARN]


def masking_cases() -> list[Any]:
    if not VECTORS.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no cases of the original here: {VECTORS}"))]
    return [pytest.param(case, id=case["id"]) for case in json.loads(VECTORS.read_text("utf-8"))]


@pytest.mark.parametrize("case", masking_cases())
def test_mask_passwords_masks_as_the_original_does(case: dict[str, Any]) -> None:
    secrets = (*case["private_values"], *case["exposed_secure_values"])
    ran = Ran(of("mask-passwords", replacement=case["replacement"]), secrets=secrets)

    assert ran.through(case["input"]).texts == [case["expect"]]
