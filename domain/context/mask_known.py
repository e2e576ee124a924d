"""Sets of secrets, each with the index by which they are found: those known from the start, and those learned."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from domain.context.mask_index import FormIndex
from domain.context.secret_forms import Forms, forms_of

MAX_LEARNED: Final = 4096
"""Secrets that one execution may tell of while it runs: each costs memory, and time of everything it prints."""
_PART_SECRETS: Final = 64
"""As many are put together at once while streams wait: building them takes some 30 ms."""


class Known:
    """Some secrets that do not change, and their index, which is built when it is first needed."""

    def __init__(self, secrets: Iterable[str], forms: tuple[Forms, ...] | None = None) -> None:
        self.secrets = tuple(dict.fromkeys(secret for secret in secrets if secret))
        self._forms = forms
        self._index: FormIndex | None = None
        self._lines: Known | None = None
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.secrets)

    @property
    def index(self) -> FormIndex:
        """What finds them."""
        if self._index is None:
            with self._lock:
                self._index = self._index or FormIndex(self.forms)
        return self._index

    @property
    def forms(self) -> tuple[Forms, ...]:
        """The forms of each."""
        with self._lock:
            if self._forms is None:
                self._forms = tuple(forms_of(secret) for secret in self.secrets)
            return self._forms

    @property
    def lines(self) -> Known | None:
        """The short lines of secrets that have several, where there are any: what ``index`` does not find."""
        if not any("\n" in secret or "\r" in secret for secret in self.secrets):
            return None
        with self._lock:
            if self._lines is None:
                more = (Forms(form.with_lines().bare - form.bare) for form in self.forms)
                self._lines = Known(self.secrets, tuple(form for form in more if form.bare))
            return self._lines if self._lines.forms else None


class Learned:
    """What all maskers of an execution have learned while it ran.

    In parts, of which each has at least twice the secrets of the next, up to 64: so there are few of them to search,
    and one more secret is mostly a small part to build.
    """

    def __init__(self) -> None:
        self.parts: tuple[Known, ...] = ()
        self._secrets: set[str] = set()
        self._lock = threading.Lock()

    def add(self, secrets: Iterable[str]) -> bool:
        """Know these too; false where there is no room for some of them."""
        with self._lock:
            new = tuple(dict.fromkeys(secret for secret in secrets if secret and secret not in self._secrets))
            room = MAX_LEARNED - len(self._secrets)
            fitting, parts = new[:room], list(self.parts)
            if fitting:
                self._secrets.update(fitting)
                forms = tuple(forms_of(secret).with_lines() for secret in fitting)
                while parts and len(parts[-1]) < min(2 * len(fitting), _PART_SECRETS):
                    last = parts.pop()
                    fitting, forms = (*last.secrets, *fitting), (*last.forms, *forms)
                part = Known(fitting, forms)
                part.index  # noqa: B018  (built here, and not in the midst of a stream)
                self.parts = (*parts, part)
            return len(new) <= room
