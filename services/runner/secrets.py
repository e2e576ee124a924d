"""What a runner may know and nobody may read: secure values of one assignment, in memory only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from runbus.plugin import FailureReason, StepError

_OPTION: Final = "option."


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secure option values of an execution. ``exposed`` ones are seen by scripts, ``private`` ones are not."""

    exposed: Mapping[str, str] = field(default_factory=dict, repr=False)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)

    def values(self) -> list[str]:
        """Everything that a log must not show."""
        return [value for value in (*self.exposed.values(), *self.private.values()) if value]

    async def read(self, path: str, *, runner: str) -> str:
        """The value of a secure option (``option.NAME``). Raises :class:`StepError` for any other, and for a key.

        This version's runners have no key storage.
        """
        if path.startswith(_OPTION):
            return self._of_option(path.removeprefix(_OPTION))
        raise StepError(
            f"the key {path!r} cannot be read: runner {runner} has no key storage configured. Give a key file by its "
            "path (ssh-keypath), or the value as a secure option of the run.",
            reason=FailureReason.AUTHENTICATION,
        )

    def _of_option(self, name: str) -> str:
        value = self.private.get(name) or self.exposed.get(name)
        if value:
            return value
        raise StepError(
            f"the job has no secure option {name!r} with a value: give it one, or name another.",
            reason=FailureReason.AUTHENTICATION,
        )
