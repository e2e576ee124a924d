"""The configuration of webhooks and mails, as job files have it, read and checked."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from domain.context.references import Missing, expand
from domain.context.scopes import DataContext, View
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import Notification, Trigger

WEBHOOKS: Final = frozenset({"urls", "url"})
EMAIL: Final = "email"
MAX_TARGETS: Final = 100
"""URLs of one notification, or addresses."""

_REFERENCE: Final = re.compile(r"\$\{[^\s}]+\}")
_OPTION: Final = re.compile(r"\$\{(?:unquoted)?(?:option|secureOption)\.")
_SHOWN_REFERENCES: Final = 5
_REFERENCE_CHARS: Final = 80
_BETWEEN_ADDRESSES: Final = re.compile(r"[,;\s]+")
_ADDRESS: Final = re.compile(
    r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?"
)
_TRUE: Final = frozenset({"true", "yes", "1", "on"})


class Format(StrEnum):
    """How the body of a webhook is written; the original's default is XML."""

    XML = "xml"
    JSON = "json"
    FORM = "form"


class Method(StrEnum):
    """How a webhook is called; a GET bears no body."""

    POST = "post"
    GET = "get"


class LogIn(StrEnum):
    """Where the log stands in a mail."""

    NOWHERE = ""
    FILE = "file"
    INLINE = "inline"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook: ``urls`` as given, references in them."""

    urls: list[str]
    method: Method = Method.POST
    format: Format = Format.XML


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A mail: ``recipients`` and ``subject`` as given, references in them."""

    recipients: str
    subject: str = ""
    logs: frozenset[LogIn] = frozenset()


def webhook_of(notification: Notification) -> Webhook:
    """Read the configuration of a webhook. Raises ``invalid_job``."""
    config = notification.config
    urls = [url.strip() for url in _text(config, "urls").split(",") if url.strip()]
    if not urls:
        raise _invalid(notification, "'urls' is empty", "give one URL, or several separated by commas")
    if len(urls) > MAX_TARGETS:
        raise _invalid(notification, f"'urls' has {len(urls)} URLs", f"give {MAX_TARGETS} at most")
    for url in urls:
        if fault := url_fault(_REFERENCE.sub("x", url)):
            raise _invalid(notification, f"the URL {shown(url)} {fault}", "write http(s)://host/path")
    method = _text(config, "httpMethod").lower() or Method.POST
    if method not in set(Method):
        raise _invalid(notification, f"httpMethod {method[:40]!r} is not known", "write 'post' or 'get'")
    form = _text(config, "format").lower() or Format.XML
    if form not in set(Format):
        raise _invalid(notification, f"format {form[:40]!r} is not known", "write 'xml', 'json' or 'form'")
    return Webhook(urls=urls, method=Method(method), format=Format(form))


def mail_of(notification: Notification) -> MailSettings:
    """Read the configuration of a mail. Raises ``invalid_job``."""
    config = notification.config
    recipients = _text(config, "recipients")
    if not addresses_of(recipients):
        raise _invalid(notification, "'recipients' is empty", "give one address, or several separated by commas")
    for address in addresses_of(recipients):
        if "${" not in address and not is_address(address):
            raise _invalid(notification, f"{address[:80]!r} is no mail address", "write name@host")
    return MailSettings(recipients=recipients, subject=_text(config, "subject"), logs=_logs(notification))


def targets_of(notification: Notification, data: DataContext) -> list[str]:
    """Where one notification goes: each URL or address, its references filled in; ``[""]`` for a plugin.

    In URLs values are percent-encoded, so that a value stays where the reference stood; what has no value stays as
    it was written. An address that has no value is left out. Raises ``invalid_job``, too.
    """
    if notification.type in WEBHOOKS:
        quoted = DataContext({view: _quoted(groups) for view, groups in data.scopes.items()})
        return [expand(url, quoted, View(), Missing.LITERAL) for url in webhook_of(notification).urls]
    if notification.type == EMAIL:
        filled = expand(mail_of(notification).recipients, data, View(), Missing.BLANK)
        return list(dict.fromkeys(addresses_of(filled)))[:MAX_TARGETS]
    return [""]


def addresses_of(recipients: str) -> list[str]:
    """The addresses of a list, separated by commas or blanks, or semicolons."""
    return [address for address in _BETWEEN_ADDRESSES.split(recipients) if address]


def is_address(text: str) -> bool:
    """Whether a text is one mail address, without a name beside it."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None and ".." not in text


def url_fault(url: str) -> str:
    """What is wrong with a URL, or nothing."""
    if re.search(r"[\x00-\x20\x7f]", url):
        return "holds a blank or a control character"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme.lower() not in {"http", "https"}:
        return "is neither http nor https"
    return "" if parts.hostname else "names no host"


def unfilled(url: str) -> str:
    """What a URL still asks for with its references filled in, as a fault; nothing where it asks for nothing.

    It names the references, which the job has and no value could be: in values ``$`` and ``{`` are percent-encoded.
    """
    if "${" not in url:
        return ""
    found = list(dict.fromkeys(_REFERENCE.findall(url)))
    if not found:
        return "holds '${' and no whole reference"
    names = ", ".join(each[:_REFERENCE_CHARS] for each in found[:_SHOWN_REFERENCES])
    secure = " (a notification is given no secure option)" if any(map(_OPTION.match, found)) else ""
    return f"holds {names}, for which there is no value{secure}"


def shown(url: str) -> str:
    """A URL as it may stand in a log: path, query and password of a webhook are its secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(no URL)"
    return f"{parts.scheme[:16]}://{host[:100]}{port}"


def _logs(notification: Notification) -> frozenset[LogIn]:
    """Where the log goes: into a file unless another place is named; nowhere at the start, there is none yet."""
    config = notification.config
    if notification.trigger is Trigger.START or not is_true(config.get("attachLog")):
        return frozenset()
    kind = _text(config, "attachType").lower()
    found = {LogIn.INLINE} if is_true(config.get("attachLogInline")) or kind == LogIn.INLINE else set()
    if is_true(config.get("attachLogInFile")) or kind == LogIn.FILE or not found:
        found.add(LogIn.FILE)
    return frozenset(found)


def is_true(value: Any) -> bool:
    """Whether a setting is on: true, or a text that says so."""
    return value is True or (isinstance(value, str) and value.strip().lower() in _TRUE)


def _text(config: dict[str, Any], name: str) -> str:
    value = config.get(name)
    if isinstance(value, list):
        return ",".join(str(each) for each in value)
    return "" if value is None else str(value).strip()


def _quoted(groups: Any) -> dict[str, dict[str, str | None]]:
    return {
        group: {key: None if value is None else quote(value, safe="") for key, value in values.items()}
        for group, values in groups.items()
    }


def _invalid(notification: Notification, what: str, advice: str) -> RunbusError:
    return RunbusError(
        ErrorCode.INVALID_JOB,
        f"notification {notification.trigger} ({notification.type[:40]}): {what}: {advice}.",
        details={"trigger": notification.trigger, "type": notification.type[:40]},
    )
