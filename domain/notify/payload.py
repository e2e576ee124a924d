"""What a webhook is sent: the execution in the original's names, as JSON, XML or a form."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec

from domain.notify.config import Format
from domain.notify.notice import argstring_of, status_of, trigger_name, unix_ms, w3c
from schemas.notices import Notice

_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Body(NamedTuple):
    """A request's body; an empty one has no content type."""

    content_type: str
    data: bytes


def body_of(notice: Notice, form: Format) -> Body:
    """The body in a format."""
    if form is Format.JSON:
        return Body("application/json", msgspec.json.encode(payload_of(notice)))
    if form is Format.FORM:
        flat = urlencode(list(_flattened(payload_of(notice))), encoding="utf-8", errors="replace")
        return Body("application/x-www-form-urlencoded", flat.encode("ascii"))
    return Body("text/xml; charset=UTF-8", tostring(_xml_of(notice), encoding="utf-8", xml_declaration=True))


def headers_of(notice: Notice) -> dict[str, str]:
    """The original's headers beside the body; values are printable ASCII."""
    return {
        "X-RunDeck-Notification-Trigger": trigger_name(notice.trigger),
        "X-RunDeck-Notification-Execution-ID": notice.execution,
        "X-RunDeck-Notification-Execution-Status": status_of(notice),
    }


def payload_of(notice: Notice) -> dict[str, Any]:
    """The JSON form: ``trigger``, ``status``, ``executionId``, ``execution``.

    ``unixtime`` and ``averageDuration`` are milliseconds, as in the original. ``state`` and ``error`` of the
    execution are ours.
    """
    execution: dict[str, Any] = {
        "id": notice.execution,
        "href": notice.href,
        "permalink": notice.href,
        "status": status_of(notice),
        "project": notice.project,
        "executionType": notice.execution_type,
        "user": notice.user,
        "date-started": _moment(notice.started_at),
        "date-ended": _moment(notice.ended_at),
        "customStatus": notice.status,
        "abortedby": notice.aborted_by,
        "job": _job(notice),
        "description": notice.summary,
        "argstring": argstring_of(notice) or None,
        "successfulNodes": notice.succeeded_nodes,
        "failedNodes": notice.failed_nodes,
        "retryAttempt": notice.retry_attempt,
        "state": notice.state.value,
        "error": {"code": notice.error_code, "message": notice.error} if notice.error else None,
    }
    always = {"href", "permalink", "user", "description", "argstring"}
    return {
        "trigger": trigger_name(notice.trigger),
        "status": status_of(notice),
        "executionId": notice.execution,
        "execution": {name: value for name, value in execution.items() if value or name in always},
    }


def _job(notice: Notice) -> dict[str, Any] | None:
    if notice.job is None:
        return None
    job: dict[str, Any] = {"id": notice.job.uuid}
    if notice.average_duration_s:
        job["averageDuration"] = int(notice.average_duration_s * 1000)
    job |= {
        "name": notice.job.name,
        "group": notice.job.group,
        "project": notice.project,
        "description": notice.job_description,
        "href": notice.job_href,
        "permalink": notice.job_href,
    }
    return job | ({"options": notice.options} if notice.options else {})


def _moment(at: Any) -> dict[str, Any] | None:
    return {"unixtime": unix_ms(at), "date": w3c(at)} if at is not None else None


def _flattened(value: Any, path: str = "") -> list[tuple[str, str]]:
    """``execution.job.name=…``; lists repeat their name, nothing stands for nothing."""
    if isinstance(value, dict):
        below = [(f"{path}.{name}" if path else name, each) for name, each in value.items()]
        return [pair for name, each in below for pair in _flattened(each, name)]
    if isinstance(value, list):
        return [pair for each in value for pair in _flattened(each, path)]
    return [(path, "" if value is None else str(value))]


def _xml_of(notice: Notice) -> Element:
    said = payload_of(notice)
    execution = said["execution"]
    attributes = {name: said[name] for name in ("trigger", "status", "executionId")}
    root = _element(None, "notification", **attributes)
    executions = _element(root, "executions", count="1")
    attributes = {name: execution[name] for name in ("id", "href", "permalink", "status", "project")}
    parent = _element(executions, "execution", **attributes)
    _element(parent, "user", notice.user)
    _add_present(parent, execution)
    _element(parent, "description", notice.summary)
    _element(parent, "argstring", execution["argstring"] or "")
    for name in ("successfulNodes", "failedNodes"):
        _add_nodes(parent, name, execution.get(name, []))
    if notice.retry_attempt:
        _element(parent, "retry", attempt=notice.retry_attempt)
    _element(parent, "state", notice.state.value)
    if notice.error:
        _element(parent, "error", notice.error, code=notice.error_code)
    return root


def _add_present(parent: Element, execution: dict[str, Any]) -> None:
    """What stands between user and description, as far as there is any."""
    for name in ("date-started", "date-ended"):
        if moment := execution.get(name):
            _element(parent, name, moment["date"], unixtime=moment["unixtime"])
    for name in ("customStatus", "abortedby"):
        if name in execution:
            _element(parent, name, execution[name])
    if "job" in execution:
        _add_job(parent, execution["job"])


def _add_nodes(parent: Element, tag: str, names: list[str]) -> None:
    if names:
        nodes = _element(parent, tag)
        for name in names:
            _element(nodes, "node", name=name)


def _add_job(parent: Element, job: dict[str, Any]) -> None:
    attributes = {name: job[name] for name in ("id", "averageDuration", "href", "permalink") if name in job}
    element = _element(parent, "job", **attributes)
    for name in ("name", "group", "project", "description"):
        _element(element, name, job[name])
    if "options" in job:
        options = _element(element, "options")
        for name, value in job["options"].items():
            _element(options, "option", name=name, value=value)


def _element(parent: Element | None, tag: str, text: str = "", /, **attributes: Any) -> Element:
    """An element below ``parent``; what XML cannot hold stands as U+FFFD."""
    clean = {name: _NOT_IN_XML.sub("\ufffd", str(value)) for name, value in attributes.items()}
    element = Element(tag, clean) if parent is None else SubElement(parent, tag, clean)
    if text:
        element.text = _NOT_IN_XML.sub("\ufffd", text)
    return element
