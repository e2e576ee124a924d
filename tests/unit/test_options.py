from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.context.groups import environment
from domain.options import Option, OptionValues, StoredValue, resolve_options
from domain.options.resolve import MAX_PROBLEMS
from schemas.errors import ErrorCode, RunbusError

PROPERTY = settings(deadline=None, max_examples=150)


def refused(attempt: Callable[[], OptionValues]) -> RunbusError:
    with pytest.raises(RunbusError) as caught:
        attempt()
    return caught.value


def plain(options: list[Option], **values: str | list[str]) -> dict[str, str]:
    return dict(resolve_options(options, values).plain)


def test_a_given_value_beats_the_default_and_an_empty_one_counts_as_given() -> None:
    option = Option(name="x", value="d")

    assert plain([option]) == {"x": "d"}
    assert plain([option], x="v") == {"x": "v"}
    assert plain([option], x="") == {"x": ""}
    assert plain([Option(name="x")]) == {}


def test_every_problem_is_told_at_once_and_an_unknown_name_gets_a_hint() -> None:
    options = [
        Option(name="branch", regex="[a-z]+"),
        Option(name="env", values=("dev", "prod"), enforced=True),
        Option(name="user", required=True),
        Option(name="one"),
    ]

    error = refused(lambda: resolve_options(options, {"branch": "A", "env": "test", "one": ["1", "2"], "usr": "x"}))

    assert error.code is ErrorCode.INVALID_OPTION
    assert [problem["option"] for problem in error.details["problems"]] == ["usr", "branch", "env", "one", "user"]
    assert "did you mean 'user'?" in error.message
    assert "'A', which does not match the regex '[a-z]+'" in error.message
    assert "'test', which is not one of 'dev', 'prod'" in error.message
    assert "'one' takes one value, not a list of 2" in error.message
    assert "'user' is required" in error.message


def test_only_unknown_names_are_an_error_of_their_own() -> None:
    far = refused(lambda: resolve_options([Option(name="a"), Option(name="b")], {"zzz": "1"}))
    none = refused(lambda: resolve_options([], {"zzz": "1"}))

    assert far.code is none.code is ErrorCode.UNKNOWN_OPTION
    assert "the job has a, b" in far.message
    assert "the job has no options" in none.message


def test_a_thousand_problems_fit_into_an_error() -> None:
    error = refused(lambda: resolve_options([], {f"x{number}": "" for number in range(1000)}))

    assert len(error.details["problems"]) == MAX_PROBLEMS
    assert "and 900 more problems" in error.message


@pytest.mark.parametrize(
    ("fields", "value", "fits"),
    [
        ({"regex": "[0-9]+"}, "12", True),
        ({"regex": "[0-9]+"}, "12a", False),
        ({"regex": "[0-9]+"}, "12\n", False),
        ({"regex": "[0-9]+"}, "", True),
        ({"regex": r"\p{Lower}++"}, "abc", True),
        ({"regex": "[0-9]+", "multivalued": True}, "1,2,,3", True),
        ({"regex": "[0-9]+", "multivalued": True}, "1,b", False),
        ({"regex": "[0-9]+", "multivalued": True}, ["1", "2"], True),
        ({"regex": "[0-9]+", "multivalued": True, "delimiter": "|"}, "1|2", True),
        ({"regex": "x", "enforced": True, "values": ["a"]}, "a", True),
        ({"enforced": True, "values": ["a", "b"]}, "c", False),
        ({"enforced": True, "values": ["a", "b"]}, "A", False),
        ({"enforced": True, "values": ["a", "b"], "multivalued": True}, "b,a", True),
        ({"enforced": True, "values": ["a", "b"], "multivalued": True}, ["a", "c"], False),
        ({"enforced": True}, "anything", True),
        ({"values": ["a"]}, "b", True),
        ({"required": True}, "", False),
        ({"required": True, "multivalued": True}, ["", ""], False),
        ({"required": True, "multivalued": True}, ",,", False),
        ({"regex": "("}, "a", False),
        ({"isDate": True, "dateFormat": "YYYY"}, "no date", True),
        ({}, "a\x00b", False),
    ],
)
def test_values_are_judged_as_in_the_original(fields: dict[str, Any], value: str | list[str], fits: bool) -> None:
    option = msgspec.convert({"name": "x", **fields}, Option)

    if fits:
        resolve_options([option], {"x": value})
    else:
        assert refused(lambda: resolve_options([option], {"x": value})).code is ErrorCode.INVALID_OPTION


def test_a_default_is_judged_like_a_given_value() -> None:
    assert "'b'" in refused(lambda: resolve_options([Option(name="x", value="b", regex="a")], {})).message


def test_values_of_a_url_are_allowed_values_once_they_are_known() -> None:
    option = Option(name="x", enforced=True, values_url="https://h/${option.y.value}")

    assert plain([option], x="c") == {"x": "c"}
    error = refused(lambda: resolve_options([option], {"x": "c"}, remote_values={"x": ["a", "b"]}))
    assert "is not one of 'a', 'b'" in error.message


@pytest.mark.slow
def test_a_regex_that_never_ends_is_an_error() -> None:
    option = Option(name="x", regex="(a|aa)+(a|aa)+(a|aa)+\\1b")

    assert "cannot be checked" in refused(lambda: resolve_options([option], {"x": "a" * 4000 + "c"})).message


def test_several_values_are_joined_and_the_delimiter_is_in_the_context() -> None:
    options = [
        Option(name="m", multivalued=True, delimiter=";"),
        Option(name="all", multivalued=True, multivalue_all_selected=True, values=("a", "b"), delimiter=""),
    ]

    values = resolve_options(options, {"m": ["1", "2"]})

    assert values.groups() == {"option": {"m": "1;2", "all": "a,b", "m.delimiter": ";", "all.delimiter": ","}}
    assert environment(values.groups())["RD_OPTION_M_DELIMITER"] == ";"


def test_secure_values_go_where_they_may_be_seen() -> None:
    options = [
        Option(name="plain"),
        Option(name="shown", secure=True, value_exposed=True),
        Option(name="hidden", secure=True, value="not a default"),
    ]

    values = resolve_options(options, {"plain": "p", "shown": "s3cret-1", "hidden": "s3cret-2"})

    assert values.groups() == {"option": {"plain": "p", "shown": "s3cret-1"}, "secureOption": {"shown": "s3cret-1"}}
    assert values.private == {"hidden": "s3cret-2"}
    assert values.secrets() == ["s3cret-1", "s3cret-2"]
    assert "s3cret" not in repr(values)
    assert resolve_options(options, {}).private == {}


@pytest.mark.parametrize("fields", [{"regex": "a"}, {"enforced": True, "values": ["a"]}, {}])
def test_a_secure_value_is_never_repeated(fields: dict[str, Any]) -> None:
    option = msgspec.convert({"name": "x", "secure": True, **fields}, Option)
    value: str | list[str] = "s3cret" if fields else ["s3cret", "s3cret"]

    error = refused(lambda: resolve_options([option], {"x": value}))

    assert "s3cret" not in f"{error.message}{error.details}"


def test_a_stored_key_stands_in_for_a_value_that_is_not_given() -> None:
    options = [
        Option(name="env"),
        Option(
            name="key",
            secure=True,
            required=True,
            storage_path="keys/${job.project}/${option.env}/${node.name}/${option.no} ",
        ),
        Option(name="pw", secure=True, value_exposed=True, storage_path="keys/${option.pw}/x"),
    ]

    values = resolve_options(options, {"env": "dev", "pw": ""}, job={"project": "p"})
    given = resolve_options(options, {"key": "typed", "pw": "typed too"})

    assert values.stored == {
        "key": StoredValue("keys/p/dev/${node.name}/${option.no}", exposed=False, required=True),
        "pw": StoredValue("keys/${option.pw}/x", exposed=True, required=False),
    }
    assert [stored.depends_on_node for stored in values.stored.values()] == [True, False]
    assert given.stored == {}
    assert given.private == {"key": "typed"}


def test_a_path_without_secure_is_no_value() -> None:
    option = Option(name="x", required=True, storage_path="keys/x")

    assert refused(lambda: resolve_options([option], {})).code is ErrorCode.INVALID_OPTION


def test_globals_fill_in_values_but_not_those_for_authentication() -> None:
    options = [Option(name="x", value="${globals.g}-${globals.no}"), Option(name="s", secure=True)]

    values = resolve_options(options, {"s": "${globals.g}"}, global_values={"g": "v"})

    assert values.plain == {"x": "v-${globals.no}"}
    assert values.private == {"s": "${globals.g}"}


def test_options_are_told_in_the_order_of_the_form() -> None:
    options = [Option(name="b"), Option(name="a"), Option(name="z", sort_index=1), Option(name="y", sort_index=2)]

    assert list(plain(options, a="1", b="1", y="1", z="1")) == ["z", "y", "a", "b"]


def test_an_option_is_written_with_the_originals_names() -> None:
    option = Option(name="x", value_exposed=True, storage_path="keys/x", is_date=True, sort_index=1)

    written = msgspec.to_builtins(option)

    assert written.keys() == {"name", "valueExposed", "storagePath", "isDate", "sortIndex"}
    assert msgspec.convert(written, Option) == option


names = st.sampled_from(["a", "b", "c", "", "\ud800"])
texts = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["(", "[a-z]+", "a", "a,b", "${globals.g}", "${job.x}"]
)
any_option = st.builds(
    Option,
    name=names,
    value=st.none() | texts,
    values=st.lists(texts, max_size=3).map(tuple),
    regex=st.none() | texts,
    delimiter=texts,
    storage_path=st.none() | texts,
    **{field: st.booleans() for field in ("required", "enforced", "multivalued", "secure", "value_exposed")},
)


@PROPERTY
@given(st.lists(any_option, max_size=4), st.dictionaries(names, texts | st.lists(texts, max_size=3), max_size=4))
@pytest.mark.slow
def test_nothing_but_a_typed_error_is_raised(options: list[Option], values: dict[str, str | list[str]]) -> None:
    try:
        resolved = resolve_options(options, values, job={"x": "y"}, global_values={"g": "h"})
    except RunbusError as error:
        assert error.code in {ErrorCode.INVALID_OPTION, ErrorCode.UNKNOWN_OPTION}
        error.info()
    else:
        assert not set(resolved.private) & set(resolved.groups()["option"]) or len({o.name for o in options}) < len(
            options
        )
