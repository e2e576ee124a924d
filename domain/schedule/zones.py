"""Time zones by name: IANA's, and the short names of Java that the original takes."""

from __future__ import annotations

import difflib
from datetime import UTC, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from domain.schedule.fields import cron_error

DEFAULT_ZONE: Final = "UTC"
_OF_JAVA: Final[dict[str, str]] = {
    "ACT": "Australia/Darwin", "AET": "Australia/Sydney", "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo", "AST": "America/Anchorage", "BET": "America/Sao_Paulo", "BST": "Asia/Dhaka",
    "CAT": "Africa/Harare", "CNT": "America/St_Johns", "CST": "America/Chicago", "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa", "ECT": "Europe/Paris", "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "MIT": "Pacific/Apia", "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland", "PLT": "Asia/Karachi", "PNT": "America/Phoenix", "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles", "SST": "Pacific/Guadalcanal", "VST": "Asia/Ho_Chi_Minh",
}  # fmt: skip
"""``java.time.ZoneId.SHORT_IDS``; EST, HST and MST are IANA names as well."""
_NEAR: Final = 3


def zone_of(name: str) -> tzinfo:
    """The zone of a name. Raises ``invalid_job`` with the nearest names there are."""
    if name == DEFAULT_ZONE:  # known without a database, too
        return UTC
    wanted = _OF_JAVA.get(name, name)
    try:
        return ZoneInfo(wanted)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = _near(name)
        hint = f"did you mean {' or '.join(near)}?" if near else "write an IANA name, such as Europe/Berlin or UTC"
        raise cron_error(f"time zone {name[:60]!r} is not known here; {hint}", field="time zone") from None


def _near(name: str) -> list[str]:
    known = {zone.lower(): zone for zone in _known()}
    cities: dict[str, str] = {}
    for zone in sorted(_known(), key=len, reverse=True):
        cities[zone.rpartition("/")[2].lower()] = zone
    wanted = name.lower().replace(" ", "_")[:60]
    found = [known[each] for each in difflib.get_close_matches(wanted, known, n=_NEAR, cutoff=0.75)]
    found += [
        cities[each] for each in difflib.get_close_matches(wanted.rpartition("/")[2], cities, n=_NEAR, cutoff=0.75)
    ]
    return list(dict.fromkeys(found))[:_NEAR]


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones()) | frozenset(_OF_JAVA)
