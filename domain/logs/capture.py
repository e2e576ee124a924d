"""The log filters that capture data for later steps: ``key-value-data`` and ``key-value-data-multilines``.

Settings, defaults and behaviour are those of the original's plugins of these names. Both look at lines of the level
NORMAL only, hence not at stderr, and both capture into the group ``data``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Final

from domain.context.masking import Masker
from domain.logs.chain import BuiltFilter, Captured, Effects, Said
from domain.logs.levels import Level
from domain.logs.lines import LogLine
from domain.logs.pattern import LinePattern, Match, Patience, Replacement, replaced
from domain.logs.settings import Settings
from domain.nodes.javaregex.source import PatternError

GROUP: Final = "data"
MAX_CAPTURED_CHARS: Final = 1024 * 1024
"""Of all keys and values that one filter captures in one step, and of the output that one looks at as a whole."""
KEY_VALUE_REGEX: Final = r"^RUNDECK:DATA:\s*([^\s]+?)\s*=\s*(.+)$"
MULTILINES_REGEX: Final = r"^(.+?)\s*=\s*(.+)"
INVALID_KEY_REGEX: Final = r"\s|\$|\{|\}|\\"


class Capture:
    """What one filter captured in one step, in bounded memory."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self.values: dict[str, str] = {}
        self._chars = 0
        self._is_full = False

    def put(self, key: str, value: str, effects: Effects) -> bool:
        """Keep a value, replacing what the key had; false, and said once, where there is no room for it."""
        added = len(value) - len(self.values[key]) if key in self.values else len(key) + len(value)
        if self._chars + added > MAX_CAPTURED_CHARS:
            if not self._is_full:
                self._is_full = True
                effects.warn(f"More than {MAX_CAPTURED_CHARS:,} characters of data: the rest is not captured.")
            return False
        self._chars += added
        self.values[key] = value
        return True

    def log(self, effects: Effects) -> None:
        """Put everything that was captured into the log (``logData``), each value masked, so that it stays JSON."""
        if self.values:
            shown = {self._masker.mask(key): self._masker.mask(value) for key, value in self.values.items()}
            text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
            meta = (
                ("content-data-type", "application/json"),
                ("content-meta:table-title", "Key Value Data: Results"),
            )
            effects.said.append(Said(LogLine(text, meta=meta)))


@dataclass(frozen=True, slots=True)
class _KeyValueRules:
    pattern: LinePattern
    name: str
    log_data: bool
    substrings: bool
    several: bool
    invalid_key: LinePattern | None
    replacement: Replacement | None


def key_value_data(settings: Settings) -> BuiltFilter:
    """``key-value-data``: a key and a value, or a value alone for the key ``name``, from each line that matches."""
    pattern = settings.pattern("regex", KEY_VALUE_REGEX)
    name = settings.text("name")
    if pattern.groups == 0:
        raise settings.error("its regex needs a group for the value, or two for key and value")
    if pattern.groups == 1 and not name:
        raise settings.error("its regex has a single group; then name has to say under which key to keep the value")
    invalid_key = settings.pattern("invalidKeyPattern", INVALID_KEY_REGEX)
    replacement = settings.text("invalidCharactersReplacement") if settings.flag("replaceFilteredResult") else "_"
    try:
        put_in = Replacement(replacement, invalid_key.groups)
    except PatternError as error:
        raise settings.error(f"its invalidCharactersReplacement cannot be used: {error}") from error
    rules = _KeyValueRules(
        pattern, name, settings.flag("logData"), settings.flag("matchSubstrings"),
        settings.flag("allowMultipleMatches"), invalid_key if settings.text("invalidKeyPattern", "?") else None,
        put_in,
    )  # fmt: skip
    return BuiltFilter(settings.filter_type, lambda masker: _KeyValueData(rules, Capture(masker)))


class _KeyValueData:
    def __init__(self, rules: _KeyValueRules, capture: Capture) -> None:
        self._rules = rules
        self._patience = Patience()
        self._capture = capture

    def take(self, line: LogLine, effects: Effects) -> None:
        if line.level is not Level.NORMAL or not line.text:
            return
        pattern = self._rules.pattern
        if self._rules.substrings and self._rules.several:
            for found in self._patience.spend(pattern.finditer, line.text):
                self._keep(found, effects)
            return
        look = pattern.search if self._rules.substrings else pattern.fullmatch
        first = self._patience.spend(look, line.text)
        if first is not None:
            self._keep(first, effects)

    def finish(self, effects: Effects) -> None:
        if self._rules.log_data:
            self._capture.log(effects)

    def _keep(self, found: Match, effects: Effects) -> None:
        alone = self._rules.pattern.groups == 1
        key = self._rules.name if alone else found[1] or ""
        if not key:
            return
        value = found[1 if alone else 2] or ""
        valid = self._valid(key)
        if valid != key:
            effects.warn(f"The key {key!r} has characters that a key cannot have: it is kept as {valid!r}.")
        if self._capture.put(valid, value, effects):
            effects.captured.append(Captured(GROUP, valid, value))

    def _valid(self, key: str) -> str:
        pattern, replacement = self._rules.invalid_key, self._rules.replacement
        if pattern is None or replacement is None:
            return key
        return replaced(self._patience.spend(pattern.finditer, key), key, replacement.of)


@dataclass(frozen=True, slots=True)
class _MultilinesRules:
    pattern: LinePattern
    name: str
    hide: bool
    by_line: bool
    log_data: bool


def key_value_data_multilines(settings: Settings) -> BuiltFilter:
    """``key-value-data-multilines``: from the whole output, or (``captureMultipleKeysValues``) from each line."""
    rules = _MultilinesRules(
        settings.pattern("regex", MULTILINES_REGEX, dot_all=True), settings.text("name"), settings.flag("hideOutput"),
        settings.flag("captureMultipleKeysValues"), settings.flag("logData"),
    )  # fmt: skip
    if rules.pattern.groups == 0 or (rules.pattern.groups == 1 and not rules.name):
        raise settings.error("its regex needs two groups, or one and a name for the key")
    return BuiltFilter(settings.filter_type, lambda masker: _Multilines(rules, Capture(masker)))


class _Multilines:
    def __init__(self, rules: _MultilinesRules, capture: Capture) -> None:
        self._rules = rules
        self._patience = Patience()
        self._capture = capture
        self._text = OutputText()

    def take(self, line: LogLine, effects: Effects) -> None:
        if line.level is not Level.NORMAL or not line.text:
            return
        text = line.text
        if self._rules.hide:
            line.level = Level.DEBUG
        if self._rules.by_line:
            self._look(text, effects)
        else:
            self._text.add(text, "\n", effects)

    def finish(self, effects: Effects) -> None:
        if self._text.parts:
            self._look("".join(self._text.parts), effects)
        effects.captured += [Captured(GROUP, key, value) for key, value in self._capture.values.items()]
        if self._rules.log_data:
            self._capture.log(effects)

    def _look(self, text: str, effects: Effects) -> None:
        long = not self._rules.by_line
        look = partial(self._rules.pattern.fullmatch, timeout_s=1.0) if long else self._rules.pattern.fullmatch
        found = self._patience.spend(look, text)
        if found is None:
            return
        key, value = (self._rules.name, found[1]) if self._rules.pattern.groups == 1 else (found[1], found[2])
        if key and value:
            before = self._capture.values.get(key)
            self._capture.put(key, f"{before}\n{value}" if before else value, effects)


class OutputText:
    """The output of a step that a filter needs as a whole, up to a bound beyond which it is left out."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._chars = 0
        self._is_full = False

    def add(self, text: str, end: str, effects: Effects) -> None:
        """Keep a line; where there is no room for it, say so once."""
        if self._chars + len(text) + len(end) > MAX_CAPTURED_CHARS:
            if not self._is_full:
                self._is_full = True
                effects.warn(f"More than {MAX_CAPTURED_CHARS:,} characters of output: the filter sees no more of it.")
            return
        self._chars += len(text) + len(end)
        self.parts += [text, end]
