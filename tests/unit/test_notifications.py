"""Notifications: what is due, what it says, where it goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import execution as fold
from domain.notify.checks import check_notifications
from domain.notify.config import Format, LogIn, addresses_of, is_address, mail_of, shown, targets_of, webhook_of
from domain.notify.due import due
from domain.notify.mail import SmtpServer, log_file_name, mail_text, read_smtp_url
from domain.notify.notice import context_of, notice_of
from domain.notify.payload import body_of, headers_of, payload_of
from domain.notify.retries import Verdict, next_try_s, read_delays, retry_after_s, verdict_of
from domain.notify.signature import signature
from domain.notify.threshold import threshold_s
from schemas.api import ExecutionView
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AssignmentFinished, AssignmentStarted, ExecutionQueued, RetryOf
from schemas.jobs import JobDefinition, JobRef, Notification, Step, Trigger
from schemas.notices import Notice
from schemas.states import FINAL, ExecutionState

AT = datetime(2025, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)
NAMES: dict[str, Any] = {"execution": "e1", "project": "p"}
ALL = [Notification(trigger=trigger, type="pager") for trigger in Trigger]


def queued(*notifications: Notification, **fields: Any) -> ExecutionQueued:
    whole: dict[str, Any] = {
        "at": AT, "title": "web/deploy", "set": "linux", "user": "eva",
        "job": JobRef(uuid="7c1f", name="deploy", group="web"),
        "steps": [Step(plugin="command", config={"command": "echo 1"}), Step(plugin="script")],
    }  # fmt: skip
    return ExecutionQueued(**NAMES, **(whole | fields), notifications=list(notifications))


def started() -> AssignmentStarted:
    return AssignmentStarted(**NAMES, assignment="1", attempt=1, at=AT, runner="a1", instance="i")


def finished(state: ExecutionState, **fields: Any) -> AssignmentFinished:
    at = AT + timedelta(seconds=2)
    return AssignmentFinished(**NAMES, assignment="1", attempt=1, at=at, state=state, duration_s=2.0, **fields)


def fired(*events: Any) -> list[str]:
    """The triggers that events set off, in order."""
    first = queued(*ALL)
    view: ExecutionView = fold.apply(fold.begin(first), first)
    found = []
    for event in events:
        before, view = view, fold.apply(view, event)
        found += [each.notification.trigger.value for each in due(first, before, view)]
    return found


def notice(
    trigger: Trigger = Trigger.SUCCESS, state: ExecutionState = ExecutionState.SUCCEEDED, **fields: Any
) -> Notice:
    context = {"option": fields.pop("options", {}), "globals": {"env": "live"}}
    first = queued(context=context, retry=fields.pop("retry", None))
    end = finished(state, **fields) if state in FINAL else None
    view = fold.apply(fold.apply(fold.begin(first), first), started())
    if end is not None:
        view = fold.apply(view, end)
    return notice_of(
        trigger, first, view, at=AT, average_s=1.25, job_description="ships it", server_url="https://rb/"
    )


# What is due


@pytest.mark.parametrize(
    ("state", "trigger"),
    [
        (ExecutionState.SUCCEEDED, "onsuccess"),
        (ExecutionState.FAILED, "onfailure"),
        (ExecutionState.ABORTED, "onfailure"),
        (ExecutionState.TIMEDOUT, "onfailure"),
        (ExecutionState.LOST, "onfailure"),
        (ExecutionState.OTHER, "onfailure"),
        (ExecutionState.FAILED_WITH_RETRY, "onretryablefailure"),
    ],
)
def test_a_start_and_an_end_fire_once_each(state: ExecutionState, trigger: str) -> None:
    events = started(), started(), finished(state), started(), finished(ExecutionState.FAILED)
    assert fired(*events) == ["onstart", trigger]


def test_what_never_started_has_an_end_only() -> None:
    assert fired(finished(ExecutionState.ABORTED)) == ["onfailure"]


def test_notifications_are_numbered_as_the_job_has_them() -> None:
    first = queued(*ALL, *ALL)
    before = fold.apply(fold.begin(first), first)
    assert [each.number for each in due(first, before, fold.apply(before, started()))] == [1, 6]
    assert due(first, None, before) == []


# Average duration


@pytest.mark.parametrize(
    ("text", "average_s", "expected"),
    [
        ("", 60.0, 60.0),
        ("0", 60.0, 60.0),
        ("20%", 60.0, 72.0),
        ("+20%", 60.0, 72.0),
        ("-50%", 60.0, 30.0),
        ("12.5 %", 80.0, 90.0),
        ("+30s", 60.0, 90.0),
        ("+30", 60.0, 90.0),
        ("+1m 30s", 60.0, 150.0),
        ("30", 60.0, 30.0),
        ("5m", 60.0, 300.0),
        ("1h", None, 3600.0),
        ("1d2h3m4s", None, 93_784.0),
        ("2w", None, 1_209_600.0),
        ("+30s", None, 30.0),
        ("20%", None, None),
        ("-100%", 60.0, None),
        ("soon", 60.0, 60.0),
        ("5x", 60.0, 60.0),
        ("", None, None),
    ],
)
def test_thresholds(text: str, average_s: float | None, expected: float | None) -> None:
    assert threshold_s(text, average_s) == (pytest.approx(expected) if expected is not None else None)


@given(st.text(alphabet="0123456789+-%.smhdwy x", max_size=80), st.none() | st.floats(0, 1e6))
def test_any_threshold_is_a_limited_time_or_none(text: str, average_s: float | None) -> None:
    found = threshold_s(text, average_s)
    assert found is None or 0 < found <= 1e9


# Payloads


def test_json_has_the_names_of_the_original() -> None:
    told = notice(
        Trigger.FAILURE, ExecutionState.FAILED, options={"to": "a b", "n": "1"},
        nodes={"succeeded": ["n1"], "failed": ["n2", "n3"]}, retry=RetryOf(attempt=2, most=2),
    )  # fmt: skip
    body = body_of(told, Format.JSON)
    assert body.content_type == "application/json"
    said = json.loads(body.data)
    assert list(said) == ["trigger", "status", "executionId", "execution"]
    assert (said["trigger"], said["status"], said["executionId"]) == ("failure", "failed", "e1")
    assert said["execution"] == {
        "id": "e1",
        "href": "https://rb/project/p/execution/show/e1",
        "permalink": "https://rb/project/p/execution/show/e1",
        "status": "failed",
        "project": "p",
        "executionType": "user",
        "user": "eva",
        "date-started": {"unixtime": 1738324800500, "date": "2025-01-31T12:00:00Z"},
        "date-ended": {"unixtime": 1738324802500, "date": "2025-01-31T12:00:02Z"},
        "job": {
            "id": "7c1f",
            "averageDuration": 1250,
            "name": "deploy",
            "group": "web",
            "project": "p",
            "description": "ships it",
            "href": "https://rb/project/p/job/show/7c1f",
            "permalink": "https://rb/project/p/job/show/7c1f",
            "options": {"to": "a b", "n": "1"},
        },
        "description": "echo 1 [... 2 steps]",
        "argstring": '-to "a b" -n 1',
        "successfulNodes": ["n1"],
        "failedNodes": ["n2", "n3"],
        "retryAttempt": 2,
        "state": "failed",
    }


def test_a_lost_execution_failed_in_the_words_of_the_original() -> None:
    error = RunbusError(ErrorCode.RUNNER_LOST, "runner a1 went down.").info("dispatcher")
    said = payload_of(notice(Trigger.FAILURE, ExecutionState.LOST, error=error))
    assert said["status"] == said["execution"]["status"] == "failed"
    assert said["execution"]["state"] == "lost"
    assert said["execution"]["error"] == {"code": "runner_lost", "message": "runner a1 went down."}


def test_a_start_has_no_end() -> None:
    said = payload_of(notice(Trigger.START, ExecutionState.RUNNING))
    assert (said["trigger"], said["status"]) == ("start", "running")
    assert "date-ended" not in said["execution"]


def test_xml_is_escaped_and_holds_what_xml_can() -> None:
    nasty = '<a href="x">&]]>\x00\x0b\ud800\U0001f600 é\n'
    told = notice(options={"o&<>\"'": nasty}, nodes={"failed": ['n"<1>']})
    told = msgspec.structs.replace(told, user="<b>&", job_description=nasty)
    body = body_of(told, Format.XML)
    assert body.content_type == "text/xml; charset=UTF-8"
    root = ET.fromstring(body.data.decode())
    assert root.tag == "notification"
    assert root.attrib == {"trigger": "success", "status": "succeeded", "executionId": "e1"}
    (execution,) = root.findall("executions[@count='1']/execution")
    assert execution.get("project") == "p"
    assert execution.findtext("user") == "<b>&"
    started_at = execution.find("date-started")
    assert started_at is not None
    assert (started_at.get("unixtime"), started_at.text) == ("1738324800500", "2025-01-31T12:00:00Z")
    clean = nasty.replace("\x00", "\ufffd").replace("\x0b", "\ufffd").replace("\ud800", "\ufffd")
    assert execution.findtext("job/description") == clean
    option = execution.find("job/options/option")
    assert option is not None
    assert (option.get("name"), option.get("value")) == ("o&<>\"'", clean)
    assert [node.get("name") for node in execution.findall("failedNodes/node")] == ['n"<1>']


@given(st.text(), st.text())
def test_any_text_makes_xml_that_can_be_read(name: str, value: str) -> None:
    told = notice(options={name: value})
    ET.fromstring(body_of(told, Format.XML).data)


def test_a_form_is_the_json_with_dots() -> None:
    told = notice(Trigger.FAILURE, ExecutionState.FAILED, options={"to": "é&="}, nodes={"failed": ["n1", "n2"]})
    body = body_of(told, Format.FORM)
    assert body.content_type == "application/x-www-form-urlencoded"
    pairs = parse_qsl(body.data.decode("ascii"), keep_blank_values=True)
    fields = dict(pairs)
    assert fields["trigger"] == "failure"
    assert fields["execution.job.options.to"] == "é&="
    assert fields["execution.date-started.unixtime"] == "1738324800500"
    assert [value for name, value in pairs if name == "execution.failedNodes"] == ["n1", "n2"]


def test_headers() -> None:
    assert headers_of(notice(Trigger.RETRYABLE_FAILURE, ExecutionState.FAILED_WITH_RETRY)) == {
        "X-RunDeck-Notification-Trigger": "retryablefailure",
        "X-RunDeck-Notification-Execution-ID": "e1",
        "X-RunDeck-Notification-Execution-Status": "failed-with-retry",
    }


def test_the_delimiter_of_several_values_is_no_option() -> None:
    told = notice(options={"a": "1,2", "a.delimiter": ",", "b.delimiter": "x"})
    assert told.options == {"a": "1,2", "b.delimiter": "x"}


def test_large_options_are_cut() -> None:
    options = notice(options={"a": "x" * 100_000, "b": "y"}).options
    assert len(options["a"]) == 32 * 1024
    assert options["b"] == "y"


def test_the_signature_is_what_the_page_says() -> None:
    # printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
    digest = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    assert signature("secret", b"{}", unix_s=1_700_000_000) == f"t=1700000000,v1={digest}"
    assert signature("secret", b"{}", unix_s=1) != signature("secret", b"{}", unix_s=2)
    assert signature("secret", b"{}", unix_s=1) != signature("other", b"{}", unix_s=1)


# Where they go


def hook(urls: str, **config: Any) -> Notification:
    return Notification(trigger=Trigger.SUCCESS, type="urls", config={"urls": urls, **config})


def letter(recipients: str, *, trigger: Trigger = Trigger.SUCCESS, **config: Any) -> Notification:
    return Notification(trigger=trigger, type="email", config={"recipients": recipients, **config})


def test_urls_are_split_and_their_references_encoded() -> None:
    told = notice(options={"q": "a/b c&d=é", "host": "evil.example/x@"})
    wanted = hook(
        "https://one/?q=${option.q}&s=${execution.status} , http://two/${job.group}/${job.name}/${option.none},"
    )
    assert targets_of(wanted, context_of(told)) == [
        "https://one/?q=a%2Fb%20c%26d%3D%C3%A9&s=succeeded",
        "http://two/web/deploy/${option.none}",
    ]
    (target,) = targets_of(hook("https://${option.host}.example/"), context_of(told))
    assert target == "https://evil.example%2Fx%40.example/"


def test_addresses_are_split_and_their_references_filled_in() -> None:
    told = notice(options={"to": "b@x.org, c@x.org;a@x.org", "none": ""})
    wanted = letter("a@x.org, ${option.to} ,${option.none}${option.missing}")
    assert targets_of(wanted, context_of(told)) == ["a@x.org", "b@x.org", "c@x.org"]
    assert targets_of(letter("${globals.env}@x.org"), context_of(told)) == ["live@x.org"]
    assert targets_of(Notification(trigger=Trigger.START, type="pager"), context_of(told)) == [""]


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ("", "empty"),
        ("ftp://x/", "neither http nor https"),
        ("https:///path", "no host"),
        ("http://x:99999/", "is no URL"),
        ("http://x/a b", "blank"),
        ("x.example/hook", "neither http nor https"),
    ],
)
def test_bad_urls_are_refused(urls: str, said: str) -> None:
    with pytest.raises(RunbusError, match=said) as caught:
        webhook_of(hook(urls))
    assert caught.value.code is ErrorCode.INVALID_JOB


@pytest.mark.parametrize("config", [{"httpMethod": "put"}, {"format": "yaml"}])
def test_unknown_methods_and_formats_are_refused(config: dict[str, str]) -> None:
    with pytest.raises(RunbusError, match="is not known"):
        webhook_of(hook("http://x/", **config))


def test_defaults_are_those_of_the_original() -> None:
    read = webhook_of(hook("http://${option.host}/"))
    assert (read.method, read.format) == ("post", "xml")
    assert mail_of(letter("a@x.org")).logs == frozenset()


@pytest.mark.parametrize(
    ("config", "logs"),
    [
        ({"attachLog": True}, {LogIn.FILE}),
        ({"attachLog": "true", "attachLogInFile": "true"}, {LogIn.FILE}),
        ({"attachLog": True, "attachLogInline": True}, {LogIn.INLINE}),
        ({"attachLog": True, "attachLogInline": True, "attachLogInFile": True}, {LogIn.INLINE, LogIn.FILE}),
        ({"attachLog": True, "attachType": "inline"}, {LogIn.INLINE}),
        ({"attachLog": False, "attachLogInFile": True}, set()),
    ],
)
def test_where_the_log_goes(config: dict[str, Any], logs: set[LogIn]) -> None:
    assert mail_of(letter("a@x.org", **config)).logs == logs
    assert mail_of(letter("a@x.org", trigger=Trigger.START, **config)).logs == frozenset()


@pytest.mark.parametrize("text", ["a@x.org", "a.b+c@x-y.org", "x@localhost", "é@x.org"])
def test_addresses(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@", "@x.org", "a@x..org", "a b@x.org", "a@x.org\nb", "<a@x.org>", "a@-x.org", "a@b@c", "a" * 300],
)
def test_what_is_no_address(text: str) -> None:
    assert not is_address(text)


@given(st.text())
def test_no_address_in_a_list_holds_a_line_end(text: str) -> None:
    assert not any("\n" in each or "\r" in each for each in addresses_of(text))


def test_a_url_is_shown_without_its_secrets() -> None:
    assert shown("https://user:pw@hooks.example:8443/T0/B1/xyz?token=1") == "https://hooks.example:8443"
    assert shown("http://[::1") == "(no URL)"


# Mails


@pytest.mark.parametrize(
    ("trigger", "state", "status"),
    [
        (Trigger.START, ExecutionState.RUNNING, "STARTING"),
        (Trigger.SUCCESS, ExecutionState.SUCCEEDED, "SUCCESS"),
        (Trigger.FAILURE, ExecutionState.ABORTED, "KILLED"),
        (Trigger.FAILURE, ExecutionState.LOST, "FAILURE"),
        (Trigger.RETRYABLE_FAILURE, ExecutionState.FAILED_WITH_RETRY, "FAILED WITH RETRY"),
        (Trigger.AVERAGE_DURATION, ExecutionState.RUNNING, "AVERAGE DURATION EXCEEDED"),
    ],
)
def test_the_usual_subject(trigger: Trigger, state: ExecutionState, status: str) -> None:
    told = notice(trigger, state, options={"to": "x"})
    assert mail_text(told, "").subject == f"{status} [p] web/deploy -to x"


def test_a_subject_stays_one_line_and_keeps_what_has_no_value() -> None:
    told = notice(options={"x": "a\r\nBcc: evil@x.org\u2028b"})
    assert mail_text(told, "${option.x} ${option.y} ${notification.trigger}").subject == (
        "a Bcc: evil@x.org b ${option.y} success"
    )
    assert len(mail_text(told, "x" * 5000).subject) == 500


def test_the_text_names_nodes_and_the_log() -> None:
    told = notice(Trigger.FAILURE, ExecutionState.FAILED, nodes={"failed": [f"n{number}" for number in range(60)]})
    text = mail_text(told, "", inline_log="the log\n").text
    assert "Failed nodes:    n0, n1" in text
    assert "and 10 more" in text
    assert "See:             https://rb/project/p/execution/show/e1" in text
    assert "the log" in text
    assert log_file_name(told) == "deploy-e1.log"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://h", SmtpServer(host="h", port=25)),
        (
            "smtps://u%40x:p%2Fw@h",
            SmtpServer(host="h", port=465, user="u@x", password="p/w", tls=True, starttls=False),
        ),
        ("smtp://h:587?starttls=always", SmtpServer(host="h", port=587, starttls=True)),
        ("smtp://h:2525?starttls=never", SmtpServer(host="h", port=2525, starttls=False)),
    ],
)
def test_mail_servers(url: str, server: SmtpServer) -> None:
    assert read_smtp_url(url) == server


@pytest.mark.parametrize(
    "url", ["", "h:25", "http://h", "smtp://", "smtp://h?starttls=maybe", "smtp://h?tls=1", "smtp://u:pw@h:x"]
)
def test_bad_mail_servers_are_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(RunbusError, match="RUNBUS_SMTP_URL") as caught:
        read_smtp_url(url)
    assert "pw" not in caught.value.message.replace("password", "")


# Tries


def test_verdicts() -> None:
    assert {verdict_of(status) for status in (200, 201, 204, 299)} == {Verdict.DELIVERED}
    assert {verdict_of(status) for status in (302, 400, 401, 404, 410, 422)} == {Verdict.REFUSED}
    assert {verdict_of(status) for status in (408, 425, 429, 500, 502, 503, 599, 100)} == {Verdict.LATER}


def test_tries_wait_longer_and_end() -> None:
    delays = read_delays("1, 5,30")
    assert [next_try_s(delays, tried) for tried in (1, 2, 3, 4)] == [1.0, 5.0, 30.0, None]
    assert next_try_s(delays, 1, asked_s=20.0) == 20.0
    assert next_try_s(delays, 3, asked_s=2.0) == 30.0
    assert next_try_s(delays, 1, asked_s=1e9) == 3600.0
    assert next_try_s((), 1) is None


@pytest.mark.parametrize("text", ["x", "1,-1", "1,,nan", "1e9", "inf"])
def test_bad_delays_are_refused(text: str) -> None:
    with pytest.raises(RunbusError, match="RUNBUS_NOTIFY_RETRY_S"):
        read_delays(text)


def test_retry_after() -> None:
    assert retry_after_s("120", AT) == 120.0
    assert retry_after_s("Fri, 31 Jan 2025 12:01:00 GMT", AT) == pytest.approx(59.5)
    assert retry_after_s("Fri, 31 Jan 2020 12:01:00 GMT", AT) == 0.0
    assert retry_after_s("999999999999", AT) == 3600.0
    for other in ("", "soon", "-1", "1.5", "²"):
        assert retry_after_s(other, AT) is None


# Checks of a job


def job(*notifications: Notification, **fields: Any) -> JobDefinition:
    return JobDefinition(uuid="u", name="n", project="p", steps=[], notifications=list(notifications), **fields)


def test_a_job_is_warned_of_what_cannot_be_delivered() -> None:
    wanted = [hook("http://x/"), letter("a@x.org"), Notification(trigger=Trigger.START, type="pager")]
    assert check_notifications(job(*wanted), plugins={"pager"}) == []
    mail_warning, plugin_warning = check_notifications(job(*wanted), sends_mail=False)
    assert "RUNBUS_SMTP_URL" in mail_warning
    assert "notification 3 (onstart, pager)" in plugin_warning
    (threshold_warning,) = check_notifications(job(average_duration_threshold="20%"))
    assert "onavgduration" in threshold_warning


def test_a_job_with_a_bad_notification_is_refused() -> None:
    for bad in (hook("gopher://x"), letter("nobody"), letter("")):
        with pytest.raises(RunbusError) as caught:
            check_notifications(job(bad))
        assert caught.value.code is ErrorCode.INVALID_JOB
        assert "onsuccess" in caught.value.message
