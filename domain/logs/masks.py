"""The log filters that hide text: ``mask-passwords`` and ``mask-log-output-regex``.

Secrets are masked in every log, with or without these filters. ``mask-passwords`` says what to put in their place,
and hides them from the filters behind it, as in the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.context.masking import REPLACEMENT, Masker
from domain.logs.chain import BuiltFilter, Effects
from domain.logs.lines import LogLine
from domain.logs.pattern import LinePattern, Patience, Replacement, replaced
from domain.logs.settings import COLOURS, ESCAPE, RESET, Settings
from domain.nodes.javaregex.source import PatternError, TooCostlyError

_BLANK_REPLACEMENT: Final = "*****"


def mask_passwords(settings: Settings) -> BuiltFilter:
    """``mask-passwords``: its ``replacement`` (``*****`` if that is blank), in a ``color``, in place of secrets."""
    replacement = settings.text("replacement", REPLACEMENT) or _BLANK_REPLACEMENT
    colour = settings.choice("color", COLOURS)
    if colour:
        replacement = f"{ESCAPE}[{colour}m{replacement}{RESET}"
    return BuiltFilter(settings.filter_type, lambda masker: _MaskPasswords(masker.by_line().replacing(replacement)))


class _MaskPasswords:
    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def take(self, line: LogLine, _effects: Effects) -> None:
        if not self._masker.is_idle:
            line.text = self._masker.mask(line.text)

    def finish(self, _effects: Effects) -> None:
        """Nothing is left to do."""


@dataclass(frozen=True, slots=True)
class _RegexRules:
    pattern: LinePattern
    replacement: Replacement
    instead: str


def mask_log_output_regex(settings: Settings) -> BuiltFilter:
    """``mask-log-output-regex``: replaces what matches, with ``maskOnlyValue`` all of it but the first group."""
    if not settings.text("regex"):
        raise settings.error("it needs a regex")
    pattern = settings.pattern("regex")
    text = settings.text("replacement", REPLACEMENT)
    try:
        template = Replacement(f"$1{text}" if settings.flag("maskOnlyValue") else text, pattern.groups)
    except PatternError as error:
        raise settings.error(f"its replacement {text!r} cannot be used: {error}") from error
    rules = _RegexRules(pattern, template, text)
    return BuiltFilter(settings.filter_type, lambda _masker: _MaskByRegex(rules), rewrites=True)


class _MaskByRegex:
    """A line that its regex takes too long for is replaced as a whole: it might be one to hide."""

    def __init__(self, rules: _RegexRules) -> None:
        self._rules = rules
        self._patience = Patience()
        self._gave_up = False

    def take(self, line: LogLine, effects: Effects) -> None:
        if not line.text:
            return
        if not self._gave_up:
            try:
                found = self._patience.spend(self._rules.pattern.finditer, line.text)
            except TooCostlyError as error:
                self._gave_up = True
                effects.warn(f"From here on the log filter mask-log-output-regex hides whole lines: {error}.")
            else:
                line.text = replaced(found, line.text, self._rules.replacement.of)
                return
        line.text = self._rules.instead

    def finish(self, _effects: Effects) -> None:
        """Nothing is left to do."""
