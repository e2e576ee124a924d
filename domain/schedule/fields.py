"""The parts of a cron field that all fields share: values, ranges, steps, lists, names."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from schemas.errors import ErrorCode, RunbusError

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_ITEM: Final = re.compile(
    r"(?P<first>\*|[A-Z]+|[0-9]{1,4})?(?:-(?P<last>[A-Z]+|[0-9]{1,4}))?(?:/(?P<step>[0-9]{1,4}))?\Z"
)
_SHOWN_CHARS: Final = 60


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field: what it is called, and which values it takes."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """Names of its values, the first that of ``low``."""
    max_step: int = 0
    """The largest step that Quartz takes; 0: any."""
    wraps: bool = True
    """Whether ``22-2`` goes on behind the end: 22, 23, 0, 1, 2."""
    example: str = ""

    def wrong(self, text: str, reason: str) -> RunbusError:
        """The error for ``text`` in this field: what is wrong, and what can be written."""
        return cron_error(f"{self.name}: {text[:_SHOWN_CHARS]!r} {reason}; write {self.allowed}", field=self.name)

    @property
    def allowed(self) -> str:
        """What the field may hold, as a person reads it."""
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{names}, '*', or lists, ranges and steps of them, such as '{self.example}'"

    def number(self, text: str, whole: str) -> int:
        """One value, by number or name."""
        if text in self.names:
            return self.low + self.names.index(text)
        if not text.isdigit():
            raise self.wrong(whole, f"holds {text[:_SHOWN_CHARS]!r}, which is no value of this field")
        value = int(text)
        if not self.low <= value <= self.high:
            raise self.wrong(whole, f"holds {value}, which is out of range")
        return value

    def values(self, item: str) -> set[int]:
        """The values of one item of a list: ``5``, ``5-10``, ``*/15``, ``5/15``, ``22-2/2``, ``MON-FRI``."""
        found = _ITEM.match(item)
        if not found or not item or item.startswith("-"):
            raise self.wrong(item, "is not understood")
        first, last, step_text = found["first"], found["last"], found["step"]
        if first in (None, "*") and last is not None:
            raise self.wrong(item, "is a range without a beginning")
        step = self._step(step_text, item)
        start = self.low if first in (None, "*") else self.number(first, item)
        if last is not None:
            return self._range(start, self.number(last, item), step=step, item=item)
        if step_text is not None or first == "*":
            return set(range(start, self.high + 1, step))
        return {start}

    def _step(self, text: str | None, item: str) -> int:
        if text is None:
            return 1
        step = int(text)
        if step == 0 or (self.max_step and step > self.max_step):
            most = f" and at most {self.max_step}" if self.max_step else ""
            raise self.wrong(item, f"has a step of {step}, and a step is at least 1{most}")
        return step

    def _range(self, start: int, end: int, *, step: int, item: str) -> set[int]:
        if start <= end:
            return set(range(start, end + 1, step))
        if not self.wraps:
            raise self.wrong(item, "ends before it begins")
        size = self.high - self.low + 1
        return {self.low + (value - self.low) % size for value in range(start, end + size + 1, step)}


SECONDS: Final = Field(name="seconds", low=0, high=59, max_step=59, example="0/15")
MINUTES: Final = Field(name="minutes", low=0, high=59, max_step=59, example="0,30")
HOURS: Final = Field(name="hours", low=0, high=23, max_step=23, example="8-17")
DAY_OF_MONTH: Final = Field(name="day of month", low=1, high=31, max_step=31, example="1,15,L,LW,L-3,15W")
MONTH: Final = Field(name="month", low=1, high=12, names=_MONTHS, max_step=12, example="JAN,JUL")
DAY_OF_WEEK: Final = Field(name="day of week", low=1, high=7, names=_DAYS, max_step=7, example="MON-FRI,6L,6#3")
YEAR: Final = Field(name="year", low=1970, high=2199, wraps=False, example="2030-2035")


def items_of(field: Field, text: str) -> list[str]:
    """The items of a field's list."""
    items = text.split(",")
    if "" in items:
        raise field.wrong(text, "has an empty item (a doubled or trailing ',')")
    return items


def values_of(field: Field, text: str) -> tuple[int, ...]:
    """All values of a field that has none of the special forms, in order."""
    return tuple(sorted(set().union(*(field.values(item) for item in items_of(field, text)))))


def cron_error(text: str, **details: str) -> RunbusError:
    """What a crontab is refused with."""
    end = "" if text.endswith("?") else "."
    return RunbusError(ErrorCode.INVALID_JOB, f"schedule: {text}{end}", details=dict(details))
