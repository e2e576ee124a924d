"""The text of a mail, and where mails are handed in."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from domain.context.references import Missing, expand
from domain.context.scopes import View
from domain.notify.notice import argstring_of, context_of, event_status_of, status_of, w3c
from schemas.errors import ErrorCode, RunbusError
from schemas.notices import Notice

DEFAULT_SUBJECT: Final = "${notification.eventStatus} [${exec.project}] ${job.group}/${job.name} ${exec.argstring}"
SUBJECT_CHARS: Final = 500
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_SHOWN_NODES: Final = 50
_NOT_IN_A_FILE_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]+")


class SmtpServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where mails are handed in."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    tls: bool = False
    """TLS from the first byte (``smtps``)."""
    starttls: bool | None = None
    """None: where the server offers it."""


class MailText(NamedTuple):
    """A mail without its addresses."""

    subject: str
    text: str


def read_smtp_url(url: str) -> SmtpServer:
    """``smtp://user:password@host:port?starttls=always|never|auto``, or ``smtps://…``. Raises ``invalid_message``.

    The text of the error repeats nothing of the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_smtp_url("it is no URL") from None
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise _bad_smtp_url("it does not begin with smtp://host or smtps://host")
    asked = parse_qs(parts.query)
    starttls = asked.pop("starttls", ["auto"])[0]
    if asked or starttls not in {"auto", "always", "never"}:
        raise _bad_smtp_url("after '?' only starttls=always, =never or =auto may stand")
    tls = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname, port=port or (465 if tls else 25), user=unquote(parts.username or ""),
        password=unquote(parts.password or ""), tls=tls,
        starttls=False if tls else {"auto": None, "always": True, "never": False}[starttls],
    )  # fmt: skip


def mail_text(notice: Notice, subject: str, *, inline_log: str = "") -> MailText:
    """Subject and text; ``subject`` is the job's own, or empty. What has no value in it stays as it was written."""
    filled = expand(subject or DEFAULT_SUBJECT, context_of(notice), View(), Missing.LITERAL)
    text = "\n".join([*_facts(notice), *(["", "Log:", "", inline_log] if inline_log else []), ""])
    return MailText(_one_line(filled)[:SUBJECT_CHARS], text)


def log_file_name(notice: Notice) -> str:
    """``<job>-<execution>.log``."""
    name = notice.job.name if notice.job else "adhoc"
    return f"{_NOT_IN_A_FILE_NAME.sub('_', name)[:100]}-{notice.execution}.log"


def _facts(notice: Notice) -> list[str]:
    name = notice.job.path if notice.job else notice.summary
    rows = [
        ("Job", _one_line(name)),
        ("Status", f"{event_status_of(notice)} ({notice.status or status_of(notice)})"),
        ("Project", notice.project),
        ("Execution", notice.execution),
        ("User", _one_line(notice.user)),
        ("Started", w3c(notice.started_at) if notice.started_at else ""),
        ("Ended", w3c(notice.ended_at) if notice.ended_at else ""),
        ("Duration", f"{notice.duration_s:.1f} s" if notice.ended_at and notice.duration_s is not None else ""),
        ("Average", f"{notice.average_duration_s:.1f} s" if notice.average_duration_s else ""),
        ("Options", _one_line(argstring_of(notice))),
        ("Aborted by", _one_line(notice.aborted_by)),
        ("Failed nodes", _some_of(notice.failed_nodes)),
        ("Succeeded nodes", _some_of(notice.succeeded_nodes)),
        ("Retry", str(notice.retry_attempt or "")),
        ("Error", notice.error),
        ("See", notice.href),
    ]
    return [f"{label + ':':<17}{value}" for label, value in rows if value]


def _some_of(nodes: list[str]) -> str:
    more = len(nodes) - _SHOWN_NODES
    return ", ".join(nodes[:_SHOWN_NODES]) + (f" and {more} more" if more > 0 else "")


def _one_line(text: str) -> str:
    """Without what would begin another line, or another header."""
    return _CONTROL.sub(" ", text).strip()


def _bad_smtp_url(why: str) -> RunbusError:
    return RunbusError(
        ErrorCode.INVALID_MESSAGE,
        f"RUNBUS_SMTP_URL cannot be used: {why}. Write smtp://user:password@host:port?starttls=always, "
        "special characters of the password percent-encoded.",
    )
