"""``notification``: what is sent where, by trigger."""

from __future__ import annotations

from typing import Any, Final

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.fields import Reader, Table, one_or_more, read_map
from domain.jobfile.read.values import filled_text, is_blank, kind, optional_text, plain, plain_map, some_text
from domain.notify.config import EMAIL, WEBHOOKS, mail_of, webhook_of
from schemas.errors import RunbusError
from schemas.jobs import Notification, Trigger

URLS: Final = "urls"

_FLAGS: Final = frozenset({"attachLog", "attachLogInFile", "attachLogInline"})
_MAIL_SETTINGS: Final = frozenset({"recipients", "subject", "attachType", *_FLAGS})


def _mail(place: Place) -> list[dict[str, Any]]:
    for part in _each(place):
        for name, setting in part.fields():
            if name not in _MAIL_SETTINGS:
                setting.warn("kept, and without effect: mails have no such setting")
    return [plain_map(part) for part in _each(place)]


def _webhook(place: Place) -> list[dict[str, Any]]:
    if kind(place.node) == "map" or kind(place.node) == "seq":
        return [plain_map(part) for part in _each(place)]
    value = some_text(place)
    return [] if value is None else [{URLS: value}]


PLUGIN_FIELDS: Final[Table] = {"type": filled_text, "configuration": plain, "config": plain}


def _plugins(place: Place) -> list[dict[str, Any]]:
    return one_or_more(place, _plugin, "begin each plugin with '- type: '")


def _plugin(place: Place) -> dict[str, Any]:
    fields = read_map(place, PLUGIN_FIELDS)
    fields.require("type", "name the plugin")
    if "type" not in fields.values:
        raise Refused
    config = fields.get("configuration") or fields.get("config") or {}
    return {"type": fields.get("type"), "config": config if isinstance(config, dict) else {"_content": config}}


TRIGGER_FIELDS: Final[Table] = {
    "email": _mail,
    "recipients": some_text,
    "subject": some_text,
    "urls": _webhook,
    "webhook": _webhook,
    "httpMethod": optional_text,
    "format": optional_text,
    "plugin": _plugins,
    "type": filled_text,
    "configuration": plain_map,
    "config": plain_map,
}
"""Of one trigger, or of one item of its list: several things may be sent together."""


def _trigger(trigger: Trigger) -> Reader:
    def read(place: Place) -> list[Notification]:
        found: list[list[Notification]] = one_or_more(
            place,
            lambda part: _sent(part, trigger),
            "begin each notification with '- email:', '- urls:' or '- plugin:'",
        )
        return [each for some in found for each in some]

    return read


def _sent(place: Place, trigger: Trigger) -> list[Notification]:
    before = place.notes.count
    fields = read_map(place, TRIGGER_FIELDS)
    found = [(EMAIL, config) for config in fields.get("email", [])]
    if "recipients" in fields.values:
        found.append((EMAIL, fields.only("recipients", "subject")))
    beside = fields.only("httpMethod", "format")
    found += [(URLS, beside | config) for name in ("urls", "webhook") for config in fields.get(name, [])]
    found += [(_of(each["type"]), each["config"]) for each in fields.get("plugin", [])]
    if "type" in fields.values:
        place.warn("the original reads no notification in this form, and sends none; here it is sent")
        found.append((_of(fields.get("type")), fields.get("configuration") or fields.get("config") or {}))
    if not found and not is_blank(place.node) and place.notes.count == before:
        place.problem("sends nothing; give 'email', 'urls' or 'plugin'")
    return [each for name, config in found if (each := _checked(place, trigger, name, config))]


def _of(name: str) -> str:
    return URLS if name in WEBHOOKS else name


def _checked(place: Place, trigger: Trigger, name: str, config: dict[str, Any]) -> Notification | None:
    built_in = name in (EMAIL, URLS)
    notification = Notification(trigger=trigger, type=name, config=_normal(config) if built_in else config)
    try:
        if name == EMAIL:
            mail_of(notification)
        elif name == URLS:
            webhook_of(notification)
    except RunbusError as error:
        place.problem(_with_advice(error.message))
        return None
    return notification


def _with_advice(message: str) -> str:
    """Texts of the rules end in ``: what to do.``, those of a job file in ``; what to do``."""
    said, _, advice = message.removesuffix(".").rpartition(": ")
    return f"{said}; {advice}" if said else advice


def _each(place: Place) -> list[Place]:
    return list(place.items()) if kind(place.node) == "seq" else [] if is_blank(place.node) else [place]


def _normal(config: dict[str, Any]) -> dict[str, Any]:
    """What XML can say, too: texts, the places of the log as true and false, and nothing that is empty."""
    normal: dict[str, Any] = {}
    for name, value in config.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        if name in _FLAGS and text.strip().lower() in ("true", "false"):
            normal[name] = text.strip().lower() == "true"
        elif value not in (None, "", []):
            normal[name] = value if isinstance(value, dict) else text
    return normal


NOTIFICATION_FIELDS: Final[Table] = {trigger.value: _trigger(trigger) for trigger in Trigger}


def notifications(place: Place) -> list[Notification]:
    """All notifications of a job, by trigger; those of one trigger in the order of the file."""
    if is_blank(place.node):
        return []
    fields = read_map(place, NOTIFICATION_FIELDS)
    return [each for trigger in Trigger for each in fields.get(trigger.value, [])]
