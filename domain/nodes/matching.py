"""Whether a value, or a set of tags, is what a clause of a filter asks for ("Node filters", matching)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from domain.nodes.errors import bad_filter
from domain.nodes.javaregex.pattern import JavaPattern
from domain.nodes.javaregex.source import PatternError, TooCostlyError
from domain.nodes.javatext import is_blank, split, trim

_META: Final = frozenset("\\^$|?*+()[]{}")
_LINE_ENDS: Final = frozenset("\n\r\x85\u2028\u2029")


class Term:
    """One selector: a regex for the whole value, or the value itself; ``/.../`` is a regex and nothing else."""

    def __init__(self, selector: str) -> None:
        self.forced = len(selector) >= 2 and selector.startswith("/") and selector.endswith("/")
        self.text = trim(selector[1:-1] if self.forced else selector)
        self._selector = selector
        self._plain = not _META & set(self.text)
        self._dotted = self._plain and "." in self.text
        self._pattern: JavaPattern | None = None
        self._invalid = False

    def matches(self, value: str) -> bool:
        """Whether the value matches. Raises ``invalid_selector`` for a forced regex with a fault, or one too costly.

        A bare text that is no valid regex is compared as it stands.
        """
        if self._plain:
            # host names are compared without a regex: there may be thousands of them in one filter
            return value == self.text or (self._dotted and self._fits_dots(value))
        if not self.forced and value == self.text:
            return True
        return self._matches_pattern(value)

    def _fits_dots(self, value: str) -> bool:
        if len(value) != len(self.text):
            return False
        pairs = zip(self.text, value, strict=True)
        return all(want == char or (want == "." and char not in _LINE_ENDS) for want, char in pairs)

    def _matches_pattern(self, value: str) -> bool:
        if self._invalid:
            return False
        try:
            if self._pattern is None:
                self._pattern = JavaPattern(self.text)
            return self._pattern.matches(value)
        except TooCostlyError as error:
            raise bad_filter(self._selector, f"{error}.") from error
        except PatternError as error:
            if self.forced:
                raise bad_filter(
                    self._selector, f"not a valid regex: {error}; correct what stands between /."
                ) from error
            self._invalid = True
            return False


class ValueClause:
    """A selector for an attribute: matched as a whole, or a list joined with ``,`` that has the value exactly.

    What was asked once is known: a clause is made for one selection, and not kept.
    """

    def __init__(self, selector: str) -> None:
        self.blank = is_blank(selector)
        self._term = Term(selector)
        self._listed = frozenset(split(selector, ","))
        self._known: dict[str | None, bool] = {None: False}

    def matches(self, value: str | None) -> bool:
        """Whether the value matches: never a missing or a blank one, and nothing matches a blank selector."""
        known = self._known.get(value)
        if known is None and value is not None:
            known = self._known[value] = self._judge(value)
        return bool(known)

    def _judge(self, value: str) -> bool:
        if self.blank or is_blank(value):
            return False
        if self._term.forced:
            return self._term.matches(value) or value in self._listed
        return value in self._listed or self._term.matches(value)


class TagClause:
    """A selector for tags: ``,`` is or, ``+`` is and; each item is a tag exactly, or a regex."""

    def __init__(self, selector: str) -> None:
        self.blank = is_blank(selector)
        if "+" in selector or "," in selector:
            items = [[(trim(item), Term(item)) for item in split(part, "+")] for part in split(selector, ",")]
        else:
            items = [[(selector, Term(selector))]]
        self._items = items
        self._known: dict[tuple[str, ...], bool] = {}
        self._known_terms: dict[tuple[Term, str], bool] = {}

    def matches(self, tags: list[str]) -> bool:
        """Whether the tags match: never where there are none."""
        if self.blank or not tags:
            return False
        key = tuple(tags)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = any(self._all_match(part, key) for part in self._items)
        return known

    def _all_match(self, items: Iterable[tuple[str, Term]], tags: tuple[str, ...]) -> bool:
        return all(exact in tags or any(self._one_matches(term, tag) for tag in tags) for exact, term in items)

    def _one_matches(self, term: Term, tag: str) -> bool:
        known = self._known_terms.get((term, tag))
        if known is None:
            known = self._known_terms[term, tag] = term.matches(tag)
        return known
