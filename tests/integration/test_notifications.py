"""Notifications: delivered once, tried again, taken over, looked up after an outage."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from schemas.codec import encode
from schemas.events import (
    AssignmentFinished,
    AssignmentStarted,
    Event,
    ExecutionQueued,
    LogChunk,
    LogEntry,
)
from schemas.jobs import JobRef, Notification, Step, Trigger
from schemas.states import ExecutionState
from services.dispatcher.notify.publishing import open_notifications
from tests.support.parts import Part
from tests.support.receivers import MailReceiver, WebReceiver, mail_receiver, web_receiver
from tests.support.system import System
from tests.support.waiting import eventually, never

pytestmark = pytest.mark.slow

SECRET = "s3cret"
JOB = JobRef(uuid="7c1f", name="deploy", group="web")


@pytest.fixture
async def web() -> AsyncIterator[WebReceiver]:
    async with web_receiver() as receiver:
        yield receiver


@pytest.fixture
async def mail() -> AsyncIterator[MailReceiver]:
    async with mail_receiver() as receiver:
        yield receiver


class Story:
    """One execution, told to the bus as its dispatcher and its runner would."""

    def __init__(self, system: System, name: str, *notifications: Notification, **fields: Any) -> None:
        self.system = system
        self.name = name
        self.at = datetime.now(UTC)
        self.queued = ExecutionQueued(
            execution=name, project="default", at=self.at, title="web/deploy", set="linux", user="eva", job=JOB,
            steps=[Step(plugin="command", config={"command": "deploy now"})], notifications=list(notifications),
            **fields,
        )  # fmt: skip

    async def is_queued(self) -> Story:
        await open_notifications(self.system.bus, self.system.subjects, self.queued)
        await self._tell("0", "dispatcher", self.queued)
        return self

    async def starts(self) -> Story:
        started = AssignmentStarted(
            execution=self.name, assignment="1", project="default", attempt=1, at=self.at, runner="a1", instance="i"
        )
        await self._tell("1", "a1", started)
        return self

    async def ends(self, state: ExecutionState = ExecutionState.SUCCEEDED, **fields: Any) -> Story:
        finished = AssignmentFinished(
            execution=self.name, assignment="1", project="default", attempt=1, at=datetime.now(UTC), runner="a1",
            state=state, **{"duration_s": 1.5, **fields},
        )  # fmt: skip
        await self._tell("1", "a1", finished)
        return self

    async def logs(self, *texts: str) -> None:
        entries = [LogEntry(at=0.0, stream="stdout", step=1, text=text) for text in texts]
        subject = self.system.subjects.log("default", self.name, "1", "a1")
        await self.system.bus.append(subject, encode(LogChunk(chunk=1, attempt=1, entries=entries)))

    async def _tell(self, assignment: str, author: str, event: Event) -> None:
        subject = self.system.subjects.event("default", self.name, assignment, author)
        await self.system.bus.append(subject, encode(event))


def webhook(web: WebReceiver, trigger: Trigger, path: str = "/hook", **config: Any) -> Notification:
    return Notification(trigger=trigger, type="urls", config={"urls": web.url + path, "format": "json", **config})


async def up(system: System, **settings: Any) -> Part:
    """Registry and one dispatcher with quick retries."""
    system.start_registry()
    part = system.start_dispatcher(**{"notify_retry_s": "0.05,0.05", "notify_secret": SECRET, **settings})
    await system.ready()
    return part


async def settled(system: System) -> None:
    """Wait until nothing is waiting to be delivered or acknowledged."""

    async def nothing_left() -> bool:
        info = await system.bus.js.consumer_info(system.subjects.notify_stream, system.subjects.notify_consumer)
        return not (info.num_pending or info.num_ack_pending)

    await eventually(nothing_left, what="every notification is settled")


async def test_two_dispatchers_deliver_each_notification_once(system: System, web: WebReceiver) -> None:
    await up(system)
    system.start_dispatcher(notify_secret=SECRET)
    await system.ready()
    hooks = [webhook(web, trigger) for trigger in (Trigger.START, Trigger.SUCCESS, Trigger.FAILURE)]
    for number in range(20):
        await (await (await Story(system, f"e{number}", *hooks).is_queued()).starts()).ends()
    await eventually(lambda: len(web.calls) >= 40, what="all are delivered")
    await settled(system)
    assert sorted(web.triggers()) == ["start"] * 20 + ["success"] * 20
    names = [call.headers["x-runbus-delivery"] for call in web.calls]
    assert sorted(names) == sorted(f"e{n}.{w}-1" for n in range(20) for w in ("onstart.1", "onsuccess.2"))


async def test_the_request_tells_of_the_execution_and_is_signed(system: System, web: WebReceiver) -> None:
    await up(system, server_url="https://runbus.example/")
    hook = webhook(web, Trigger.SUCCESS, "/hook?job=${job.name}&to=${option.to}&t=${notification.trigger}")
    story = Story(system, "e1", hook, context={"option": {"to": "a b&c/d"}})
    await (await (await story.is_queued()).starts()).ends()
    await eventually(lambda: web.calls, what="it is delivered")
    call = web.calls[0]
    assert call.method == "POST"
    assert call.target == "/hook?job=deploy&to=a%20b%26c%2Fd&t=success"
    assert call.headers["content-type"] == "application/json"
    assert call.headers["x-rundeck-notification-execution-id"] == "e1"
    assert call.headers["x-rundeck-notification-execution-status"] == "succeeded"
    said = json.loads(call.body)
    assert (said["trigger"], said["status"], said["executionId"]) == ("success", "succeeded", "e1")
    assert said["execution"]["href"] == "https://runbus.example/project/default/execution/show/e1"
    assert said["execution"]["job"]["group"] == "web"
    stamp, _, digest = call.headers["x-runbus-signature"].removeprefix("t=").partition(",v1=")
    expected = hmac.new(SECRET.encode(), f"{stamp}.".encode() + call.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(digest, expected)
    assert abs(int(stamp) - time.time()) < 60


async def test_a_failing_receiver_is_tried_again_and_a_refusing_one_is_not(system: System, web: WebReceiver) -> None:
    await up(system)
    web.answers += [(500, ""), (503, "Retry-After: 0\r\n")]
    await (await Story(system, "e1", webhook(web, Trigger.FAILURE)).is_queued()).ends(ExecutionState.FAILED)
    await eventually(lambda: len(web.calls) == 3, what="the third try")
    await settled(system)
    assert [call.headers["x-runbus-delivery"] for call in web.calls] == ["e1.onfailure.1-1"] * 3
    web.answers += [(404, "")]
    await (await Story(system, "e2", webhook(web, Trigger.FAILURE)).is_queued()).ends(ExecutionState.ABORTED)
    await eventually(lambda: len(web.calls) == 4, what="the next is sent")
    await settled(system)
    assert len(web.calls) == 4
    assert "was given up after 1 try: " in await remark(system, "e2")
    assert "answered 404" in await remark(system, "e2")
    web.answers += [(500, "")] * 3
    await (await Story(system, "e3", webhook(web, Trigger.FAILURE)).is_queued()).ends(ExecutionState.LOST)
    await eventually(lambda: len(web.calls) == 7, what="it is given up")
    await settled(system)
    assert "was given up after 3 tries" in await remark(system, "e3")
    assert web.url in await remark(system, "e3")
    assert "/hook" not in await remark(system, "e3"), "the path of a webhook may be its secret"


async def test_a_reference_that_is_never_filled_in_is_named(system: System, web: WebReceiver) -> None:
    await up(system)
    hook = webhook(web, Trigger.SUCCESS, "/hidden/${option.tok}?of=${job.name}&user=${job.nobody}")
    await (await Story(system, "e1", hook).is_queued()).ends()

    async def is_told() -> bool:
        return bool(await remark(system, "e1"))

    await eventually(is_told, what="it is given up")
    told = await remark(system, "e1")
    assert "was given up after 1 try: " in told
    assert "holds ${option.tok}, ${job.nobody}, for which there is no value (a notification is given no" in told
    assert "hidden" not in told
    assert not web.calls


async def remark(system: System, execution: str) -> str:
    """What the execution's log says of its notifications."""
    return (await system.output(execution, "runner")).decode()


async def test_a_slow_receiver_is_given_up_in_time_and_tried_again(system: System, web: WebReceiver) -> None:
    await up(system, notify_timeout_s=0.2)
    web.gate.clear()
    await (await Story(system, "e1", webhook(web, Trigger.START)).is_queued()).starts()
    await eventually(lambda: len(web.calls) == 2, what="a second try")
    web.gate.set()
    await settled(system)
    assert set(web.triggers()) == {"start"}


async def test_redirects_are_followed_on_the_same_host_only(system: System, web: WebReceiver) -> None:
    await up(system)
    web.answers += [(307, "Location: /new\r\n")]
    await (await Story(system, "e1", webhook(web, Trigger.START)).is_queued()).starts()
    await eventually(lambda: len(web.calls) == 2, what="the redirected request")
    assert web.calls[1].target == "/new"
    assert web.calls[1].body == web.calls[0].body
    await settled(system)
    for status, place in ((307, f"http://localhost:{web.port}/"), (302, "/new")):
        web.calls.clear()
        web.answers += [(status, f"Location: {place}\r\n")]
        await (await Story(system, f"e{status}", webhook(web, Trigger.START)).is_queued()).starts()
        await eventually(lambda: len(web.calls) == 1, what="the first request")
        await settled(system)
        assert len(web.calls) == 1


async def test_a_get_bears_no_body(system: System, web: WebReceiver) -> None:
    await up(system)
    await (await Story(system, "e1", webhook(web, Trigger.START, httpMethod="get")).is_queued()).starts()
    await eventually(lambda: web.calls, what="it is delivered")
    assert (web.calls[0].method, web.calls[0].body) == ("GET", b"")
    assert "content-type" not in web.calls[0].headers


async def test_another_dispatcher_delivers_what_a_killed_one_was_sending(system: System, web: WebReceiver) -> None:
    system.start_registry()
    first = system.start_dispatcher(program=True, ack_wait_s=1.0)
    await system.ready()
    web.gate.clear()
    await (await Story(system, "e1", webhook(web, Trigger.START)).is_queued()).starts()
    await eventually(lambda: len(web.calls) == 1, what="the first is sending")
    system.start_dispatcher(ack_wait_s=1.0)
    await system.kill(first)
    web.gate.set()
    await eventually(lambda: len(web.calls) == 2, what="the other one delivers")
    await settled(system)
    assert set(web.triggers()) == {"start"}
    assert len(web.calls) == 2


async def test_what_happened_while_no_dispatcher_ran_is_told_once_one_does(system: System, web: WebReceiver) -> None:
    part = await up(system)
    hooks = [webhook(web, Trigger.START), webhook(web, Trigger.FAILURE)]
    running = await (await Story(system, "e1", *hooks).is_queued()).starts()
    await eventually(lambda: web.triggers() == ["start"], what="the start is told")
    assert await system.stop(part) == 0
    await running.ends(ExecutionState.FAILED)
    await (await (await Story(system, "e2", *hooks).is_queued()).starts()).ends(ExecutionState.TIMEDOUT)
    second = system.start_dispatcher()
    await system.ready()
    await eventually(lambda: len(web.calls) == 4, what="the rest is told")
    await settled(system)
    told = sorted((call.headers["x-rundeck-notification-execution-id"], name) for call, name in zip(
        web.calls, web.triggers(), strict=True))  # fmt: skip
    assert told == [("e1", "failure"), ("e1", "start"), ("e2", "failure"), ("e2", "start")]
    await eventually(lambda: none_open(system), what="nothing is left open")
    assert await system.stop(second) == 0
    system.start_dispatcher()
    await system.ready()
    await settled(system)
    assert len(web.calls) == 4, "a restart tells nothing again"


async def none_open(system: System) -> bool:
    return not await system.count(system.subjects.notify_stream, system.subjects.notifications_open("*", "*"))


async def test_an_execution_that_runs_longer_than_its_average_is_told_while_it_runs(
    system: System, web: WebReceiver
) -> None:
    await up(system)
    for number, duration_s in enumerate((0.2, 0.4)):
        story = await (await Story(system, f"past{number}").is_queued()).starts()
        await story.ends(duration_s=duration_s)
    await eventually(lambda: system_knows(system, "past1"), what="the past is known")
    await (await Story(system, "e1", webhook(web, Trigger.AVERAGE_DURATION)).is_queued()).starts()
    await eventually(lambda: web.calls, what="it is told")
    said = json.loads(web.calls[0].body)
    assert (said["trigger"], said["status"]) == ("avgduration", "running")
    assert said["execution"]["job"]["averageDuration"] == 300
    assert (
        said["execution"]["date-started"]["unixtime"]
        <= (datetime.now(UTC) - timedelta(seconds=0.3)).timestamp() * 1e3
    )
    assert "date-ended" not in said["execution"]


async def system_knows(system: System, execution: str) -> bool:
    return (await system.show(execution)).state is ExecutionState.SUCCEEDED


async def test_a_mail_goes_to_each_address_with_the_log(system: System, mail: MailReceiver) -> None:
    await up(system, smtp_url=f"smtp://127.0.0.1:{mail.port}", mail_from="runbus@example.org")
    letter = Notification(
        trigger=Trigger.FAILURE, type="email",
        config={
            "recipients": "ops@example.org, ${option.to}", "subject": "${job.name}: ${option.why}", "attachLog": True,
            "attachLogInFile": True, "attachLogInline": True,
        },
    )  # fmt: skip
    story = await Story(
        system, "e1", letter, context={"option": {"to": "eva@example.org", "why": "bad\r\nBcc: x@example.org"}}
    ).is_queued()
    await story.starts()
    await story.logs("one\n", "\x1b[31mtwö\x1b[0m\n")
    mail.refusals.append("451 later")
    await story.ends(ExecutionState.FAILED)
    await eventually(lambda: len(mail.letters) == 2, what="both are handed in")
    await settled(system)
    assert sorted(each.recipient for each in mail.letters) == ["eva@example.org", "ops@example.org"]
    for each in mail.letters:
        assert each.sender == "runbus@example.org"
        assert each.message["Subject"] == "deploy: bad Bcc: x@example.org"
        assert each.message["Bcc"] is None
        assert "FAILURE (failed)" in each.text()
        assert "one\ntwö\n" in each.text()
        (attached,) = each.message.iter_attachments()
        assert attached.get_filename() == "deploy-e1.log"
        assert attached.get_content() == "one\ntwö\n"


async def test_what_cannot_be_sent_here_is_said_in_the_log(system: System) -> None:
    await up(system)
    wanted = [
        Notification(trigger=Trigger.START, type="email", config={"recipients": "a@example.org"}),
        Notification(trigger=Trigger.START, type="pager"),
    ]
    await (await Story(system, "e1", *wanted).is_queued()).starts()
    await eventually(lambda: remarks(system, "e1"), what="both are given up")
    said = await remark(system, "e1")
    assert "set RUNBUS_SMTP_URL" in said
    assert "no notification plugin 'pager'" in said


async def remarks(system: System, execution: str) -> bool:
    return (await remark(system, execution)).count("given up") == 2


async def test_executions_without_notifications_leave_nothing_in_the_stream(system: System, web: WebReceiver) -> None:
    await up(system)
    await (await (await Story(system, "e1").is_queued()).starts()).ends()
    await eventually(lambda: system_knows(system, "e1"), what="it has ended")
    assert await system.count(system.subjects.notify_stream) == 0
    await never(lambda: web.calls, for_s=0.1)


async def test_what_is_no_task_is_dropped(system: System, web: WebReceiver) -> None:
    await up(system)
    subject = system.subjects.notification("default", "e1", "onstart", "1-1")
    await system.bus.append(subject, msgspec.json.encode({"type": "runbus.other.v1"}))
    await settled(system)
    await (await Story(system, "e2", webhook(web, Trigger.START)).is_queued()).starts()
    await eventually(lambda: len(web.calls) == 1, what="the next is delivered")
