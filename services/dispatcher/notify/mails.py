"""Delivering by SMTP."""

from __future__ import annotations

import socket
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

import aiosmtplib

from bus.connection import Bus
from domain.notify.config import LogIn, is_address, mail_of
from domain.notify.mail import log_file_name, mail_text, read_smtp_url
from runbus.plugin import NotificationError
from schemas.errors import RunbusError
from schemas.notices import Notice, NotificationTask
from schemas.subjects import Subjects
from services.dispatcher.notify.logtext import read_log_end
from services.dispatcher.settings import DispatcherSettings

_TIMEOUT_S: Final = 30.0


class Mails:
    """One connection for each mail: they are few, and servers close idle ones."""

    def __init__(self, bus: Bus, subjects: Subjects, settings: DispatcherSettings) -> None:
        self._bus = bus
        self._subjects = subjects
        self._server = read_smtp_url(settings.smtp_url)
        self._sender = settings.mail_from

    async def send(self, task: NotificationTask, name: str) -> None:
        """Hand one mail in, for one address. Raises ``NotificationError``."""
        if not is_address(task.target):
            raise NotificationError(
                f"{task.target[:80]!r} is no mail address: correct it in the job.", permanent=True
            )
        message = await self._message(task, name)
        try:
            await self._hand_in(message)
        except aiosmtplib.SMTPRecipientsRefused as cause:
            codes = [each.code for each in cause.recipients]
            raise self._failure(str(cause), permanent=all(_is_final(code) for code in codes)) from cause
        except aiosmtplib.SMTPAuthenticationError as cause:
            raise self._failure(f"the user of RUNBUS_SMTP_URL is refused ({cause.code})") from cause
        except aiosmtplib.SMTPResponseException as cause:
            raise self._failure(f"{cause.code} {cause.message}", permanent=_is_final(cause.code)) from cause
        except (aiosmtplib.SMTPException, OSError) as cause:
            raise self._failure(f"{type(cause).__name__}: {cause}") from cause

    async def close(self) -> None:
        """Nothing is left open."""

    async def _hand_in(self, message: EmailMessage) -> None:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host, port=server.port, username=server.user or None, password=server.password or None,
            use_tls=server.tls, start_tls=server.starttls, timeout=_TIMEOUT_S,
            local_hostname=socket.gethostname() or "localhost",
        )  # fmt: skip
        async with client:
            await client.send_message(message)

    async def _message(self, task: NotificationTask, name: str) -> EmailMessage:
        try:
            settings = mail_of(task.notification)
            ending = await self._log_of(task.notice) if settings.logs else ""
        except RunbusError as error:
            raise NotificationError(error.message, permanent=error.code != "unavailable") from error
        subject, text = mail_text(
            task.notice, settings.subject, inline_log=ending if LogIn.INLINE in settings.logs else ""
        )
        message = EmailMessage()
        message["Subject"] = subject
        message["From"] = self._sender
        message["To"] = task.target
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{name}.{task.notice.project}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        if LogIn.FILE in settings.logs:
            message.add_attachment(ending, filename=log_file_name(task.notice))
        return message

    async def _log_of(self, notice: Notice) -> str:
        return await read_log_end(self._bus, self._subjects, notice.project, notice.execution)

    def _failure(self, text: str, *, permanent: bool = False) -> NotificationError:
        return NotificationError(f"the mail server {self._server.host}: {text}.", permanent=permanent)


def _is_final(code: int) -> bool:
    return 500 <= code < 600
