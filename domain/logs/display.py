"""The log filters that change how output is shown: ``quiet-output``, ``highlight-output`` and ``render-datatype``.

Settings, defaults and behaviour are those of the original's plugins of these names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.logs.capture import OutputText
from domain.logs.chain import BuiltFilter, Effects, Said
from domain.logs.levels import Level
from domain.logs.lines import LogLine, Meta
from domain.logs.pattern import LinePattern, Match, Patience, replaced
from domain.logs.settings import COLOURS, ESCAPE, RESET, Settings

_LEVELS: Final = {each.lower(): each for each in ("ERROR", "WARN", "NORMAL", "VERBOSE", "DEBUG")}
_BACKGROUNDS: Final = {
    "black": "40", "red": "41", "green": "42", "yellow": "43", "blue": "44", "magenta": "45", "cyan": "46",
    "white": "47",
}  # fmt: skip
_MODES: Final = {"bold": "1", "underline": "4", "blink": "5", "reverse": "7"}
_BEGIN: Final = "#BEGIN:RUNDECK:DATATYPE:"
_END: Final = "#END:RUNDECK:DATATYPE"
_TYPES: Final = {
    "json": "application/json", "properties": "application/x-java-properties", "csv": "text/csv", "html": "text/html",
    "markdown": "text/x-markdown", "md": "text/x-markdown",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _QuietRules:
    pattern: LinePattern | None
    only: Level | None
    quiet_match: bool
    result: Level


def quiet_output(settings: Settings) -> BuiltFilter:
    """``quiet-output``: gives lines another level, those that match (``quietMatch``) or those that do not (default).

    Only lines of ``matchLoglevel`` are looked at (default ``normal``; ``all`` or blank is any). They become
    ``loglevel`` (default ``verbose``), which an execution of the level INFO does not log.
    """
    only = settings.text("matchLoglevel", "normal")
    if only and only != "all" and only not in _LEVELS:
        raise settings.error(f"its matchLoglevel is {only!r}; it may be {', '.join(_LEVELS)}, all")
    rules = _QuietRules(
        settings.pattern("regex") if settings.text("regex") else None,
        Level(_LEVELS[only]) if only in _LEVELS else None,
        settings.flag("quietMatch"),
        Level(settings.choice("loglevel", _LEVELS) or Level.VERBOSE),
    )
    return BuiltFilter(settings.filter_type, lambda _masker: _QuietOutput(rules))


class _QuietOutput:
    def __init__(self, rules: _QuietRules) -> None:
        self._rules = rules
        self._patience = Patience()

    def take(self, line: LogLine, _effects: Effects) -> None:
        rules = self._rules
        if rules.only is not None and line.level is not rules.only:
            return
        matches = rules.pattern is None or self._patience.spend(rules.pattern.search, line.text) is not None
        if matches == rules.quiet_match:
            line.level = rules.result

    def finish(self, _effects: Effects) -> None:
        """Nothing is left to do."""


def highlight_output(settings: Settings) -> BuiltFilter:
    """``highlight-output``: puts terminal colours around what matches, or around the groups where there are some.

    Only lines of the level NORMAL. Where a regex without groups matches a line twice, the original repeats the start
    of the line; here it does not.
    """
    if not settings.text("regex"):
        raise settings.error("it needs a regex")
    codes = [
        settings.choice("fgcolor", COLOURS),
        settings.choice("bgcolor", _BACKGROUNDS),
        settings.choice("mode", _MODES),
    ]
    given = ";".join(code for code in codes if code)
    mark = f"{ESCAPE}[{given}m" if given else ""
    pattern = settings.pattern("regex")
    return BuiltFilter(settings.filter_type, lambda _masker: _HighlightOutput(pattern, mark), rewrites=True)


class _HighlightOutput:
    def __init__(self, pattern: LinePattern, mark: str) -> None:
        self._pattern = pattern
        self._mark = mark
        self._patience = Patience()

    def take(self, line: LogLine, _effects: Effects) -> None:
        if line.level is Level.NORMAL and line.text:
            found = self._patience.spend(self._pattern.finditer, line.text)
            line.text = replaced(found, line.text, self._highlighted)

    def finish(self, _effects: Effects) -> None:
        """Nothing is left to do."""

    def _highlighted(self, found: Match) -> str:
        if not self._pattern.groups:
            return f"{self._mark}{found[0]}{RESET}"
        text, parts, end = found.string, [], found.start()
        for group in range(1, self._pattern.groups + 1):
            start = found.start(group)
            if start < end:  # it took no part in the match, or stands within another group
                continue
            parts.append(f"{text[end:start]}{self._mark}{found[group]}{RESET}")
            end = found.end(group)
        return "".join([*parts, text[end : found.end()]])


@dataclass(frozen=True, slots=True)
class _RenderRules:
    datatype: str
    striped: bool
    sanitize: bool


def render_datatype(settings: Settings) -> BuiltFilter:
    """``render-datatype``: output of a datatype becomes one entry that says which, in its meta data.

    All output where ``datatype`` is set, otherwise what stands between ``#BEGIN:RUNDECK:DATATYPE:<type>`` and
    ``#END:RUNDECK:DATATYPE``. The lines themselves become DEBUG.
    """
    rules = _RenderRules(
        settings.text("datatype"), settings.flag("striped"), settings.flag("sanitizeHtml", default=True)
    )
    return BuiltFilter(settings.filter_type, lambda _masker: _RenderDatatype(rules))


class _RenderDatatype:
    def __init__(self, rules: _RenderRules) -> None:
        self._rules = rules
        self._datatype = rules.datatype
        self._text = OutputText()

    def take(self, line: LogLine, effects: Effects) -> None:
        if line.level is not Level.NORMAL:
            return
        if not self._datatype:
            if line.text.startswith(_BEGIN):
                self._datatype = line.text.removeprefix(_BEGIN).strip()
                line.level = Level.DEBUG
            return
        if line.text.startswith(_END):
            self.finish(effects)
        elif line.text or self._text.parts:
            self._text.add(line.text, "\n", effects)
        line.level = Level.DEBUG

    def finish(self, effects: Effects) -> None:
        if self._text.parts:
            text = "".join(self._text.parts)
            effects.said.append(Said(LogLine(text, end="", meta=self._meta()), is_output=True))
        self._datatype = ""
        self._text = OutputText()

    def _meta(self) -> Meta:
        meta = [("content-data-type", _TYPES.get(self._datatype.lower(), self._datatype))]
        if self._rules.striped:
            meta.append(("content-meta:css-class", "table-striped"))
        if not self._rules.sanitize:
            meta.append(("content-meta:no-strip", "true"))
        return tuple(meta)
