from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import api
from schemas.catalog import MESSAGES, Message, type_of
from schemas.codec import decode, encode, message_names
from schemas.errors import ErrorCode, ErrorReply, RunbusError
from schemas.events import AssignmentStarted, Event, ExecutionQueued
from schemas.jobs import JobCall, Step
from tests.golden.samples import SAMPLES
from tests.golden.write import FOLDER, path_of, write

PROPERTY = settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.too_slow])
BYTES_PROPERTY = settings(deadline=None, max_examples=150)

texts = st.text(max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**53), 2**53)
json_values = st.recursive(
    st.none() | st.booleans() | integers | numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: integers,
    float: numbers,
    bool: st.booleans(),
    NoneType: st.none(),
    Any: json_values,
    datetime: st.datetimes(timezones=st.just(UTC)),
    Step: st.deferred(lambda: _steps),
}
_steps: st.SearchStrategy[Step] = st.builds(
    Step,
    plugin=texts,
    config=st.dictionaries(texts, json_values, max_size=2),
    description=texts,
    node_step=st.booleans(),
    call=st.none() | st.deferred(lambda: values_of(JobCall)),
    error_handler=st.none() | st.builds(Step, plugin=texts),
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    return SIMPLE[kind] if kind in SIMPLE else _composed(kind, get_args(kind))


def _composed(kind: Any, arguments: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    match get_origin(kind):
        case None if issubclass(kind, Enum):
            values: st.SearchStrategy[Any] = st.sampled_from(kind)
        case None:
            fields = get_type_hints(kind, include_extras=True)
            values = st.builds(kind, **{name: values_of(hint) for name, hint in fields.items()})
        case origin if origin is Annotated:
            values = values_of(arguments[0])
        case origin if origin is tuple and arguments[-1] is not ...:
            values = st.tuples(*map(values_of, arguments))
        case origin if origin is tuple:
            values = st.lists(values_of(arguments[0]), max_size=2).map(tuple)
        case origin if origin is list:
            values = st.lists(values_of(arguments[0]), max_size=2)
        case origin if origin is dict:
            values = st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=2)
        case origin:
            assert origin in {Union, UnionType}, kind
            values = st.one_of(*map(values_of, arguments))
    return values


def refusal(attempt: Callable[[], object]) -> RunbusError | None:
    """The error of an attempt that may fail with a ``RunbusError`` only, and None where it succeeds."""
    try:
        attempt()
    except RunbusError as error:
        return error
    return None


each_message = pytest.mark.parametrize("message", MESSAGES, ids=type_of)
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type_of(type(sample)))


@each_message
def test_any_message_survives_the_bus(message: Message) -> None:
    @PROPERTY
    @given(values_of(message))
    def survives(value: msgspec.Struct) -> None:
        assert decode(encode(value), message) == value

    survives()


@BYTES_PROPERTY
@given(st.binary(max_size=60) | json_values.map(msgspec.json.encode), st.sampled_from(MESSAGES))
def test_any_bytes_are_a_message_or_refused(data: bytes, message: Message) -> None:
    if refused := refusal(lambda: decode(data, message)):
        assert refused.code in {ErrorCode.INVALID_MESSAGE, ErrorCode.UNSUPPORTED_VERSION}
        assert encode(ErrorReply(error=refused.info()))


@BYTES_PROPERTY
@given(st.sampled_from(SAMPLES), st.data())
@pytest.mark.slow
def test_damaged_messages_are_refused_or_read_as_another(sample: msgspec.Struct, data: st.DataObject) -> None:
    damaged = bytearray(encode(sample))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    if refused := refusal(lambda: decode(bytes(damaged), type(sample))):
        assert refused.code in {ErrorCode.INVALID_MESSAGE, ErrorCode.UNSUPPORTED_VERSION}
        assert encode(ErrorReply(error=refused.info()))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[1]",
        b'{"error":',
        b'{"error":{"code":"busy","message":"\\ud800"}}',
        b'{"more":' + b"[" * 200_000,
        b'{"error":{"code":"busy","message":"","details":{"x":' + b'{"x":' * 200_000,
        b'{"error":{"code":"of tomorrow","message":""}}',
        b"9" * 10_000,
    ],
    ids=lambda data: str(data[:20]),
)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RunbusError) as refused:
        decode(data, ErrorReply)
    assert refused.value.code is ErrorCode.INVALID_MESSAGE
    assert refused.value.__suppress_context__, "the decoder's own text may repeat what came"
    assert refused.value.details == {"expected": ["runbus.error.v1"]}, "what came may hold a secret"


@each_sample
def test_an_unknown_version_says_which_one_to_send(sample: msgspec.Struct) -> None:
    known = type_of(type(sample))
    data = msgspec.json.decode(encode(sample)) | {"type": known.replace(".v1", ".v9")}
    with pytest.raises(RunbusError, match=f"send {known}") as refused:
        decode(json.dumps(data).encode(), type(sample))
    assert refused.value.code is ErrorCode.UNSUPPORTED_VERSION
    assert refused.value.details == {"found": data["type"], "expected": [known]}


def test_a_union_takes_each_of_its_members_and_no_other() -> None:
    events = [sample for sample in SAMPLES if type_of(type(sample)) in message_names(Event)]
    assert len(events) == 6
    for event in events:
        assert decode(encode(event), Event) == event  # type: ignore[arg-type]
    with pytest.raises(RunbusError) as refused:
        decode(encode(api.RollCall()), Event)  # type: ignore[arg-type]
    assert refused.value.code is ErrorCode.UNSUPPORTED_VERSION


def test_a_request_refuses_misspelt_fields_and_may_leave_its_type_out() -> None:
    assert decode(b"{}", api.RunRequest) == api.RunRequest()
    with pytest.raises(RunbusError, match="unknown field `runer`"):
        decode(b'{"runer":null}', api.RunRequest)


def test_replies_and_events_are_open_for_more_fields() -> None:
    assert decode(b'{"type":"runbus.done.v1","of_tomorrow":[1]}', api.Done) == api.Done()


def test_a_time_without_an_offset_is_refused() -> None:
    event = next(sample for sample in SAMPLES if isinstance(sample, AssignmentStarted))
    data = msgspec.json.decode(encode(event)) | {"at": "2025-01-31T12:00:00"}
    with pytest.raises(RunbusError, match="timezone"):
        decode(json.dumps(data).encode(), AssignmentStarted)


def test_defaults_are_not_shared() -> None:
    data = b'{"execution":"e","project":"p","at":"2025-01-31T12:00:00Z","title":"","steps":[],"set":""}'
    decode(data, ExecutionQueued).assignments.append("2")
    assert decode(data, ExecutionQueued).assignments == ["1"]


def test_there_is_a_sample_of_each_message() -> None:
    assert sorted(map(type_of, MESSAGES)) == sorted(type_of(type(sample)) for sample in SAMPLES)
    assert {path.name for path in FOLDER.glob("*.json")} == {path_of(sample).name for sample in SAMPLES}


def _only(known: Any, now: Any) -> Any:
    """What is written now, without the fields that were added since."""
    if isinstance(known, dict) and isinstance(now, dict):
        return {name: _only(known[name], value) for name, value in now.items() if name in known}
    if isinstance(known, list) and isinstance(now, list):
        return [_only(*pair) for pair in zip(known, now, strict=True)]
    return now


@each_sample
def test_the_golden_bytes_mean_what_they_meant(sample: msgspec.Struct) -> None:
    golden = path_of(sample).read_bytes()
    assert decode(golden, type(sample)) == sample
    written = encode(sample)
    if written != golden:
        written = msgspec.json.encode(_only(msgspec.json.decode(golden), msgspec.json.decode(written)))
    assert written == golden


def test_golden_bytes_are_never_overwritten(tmp_path: Path) -> None:
    assert len(write(tmp_path)) == len(SAMPLES)
    path_of(SAMPLES[0], tmp_path).write_bytes(b"old")
    path_of(SAMPLES[1], tmp_path).unlink()
    assert write(tmp_path) == [path_of(SAMPLES[1], tmp_path)]
    assert path_of(SAMPLES[0], tmp_path).read_bytes() == b"old"
