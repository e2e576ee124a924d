"""What a runner may know and nobody may read: secure values of one assignment, in memory only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runbus.plugin import FailureReason, StepError


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secure option values of an execution. ``exposed`` ones are seen by scripts, ``private`` ones are not."""

    exposed: Mapping[str, str] = field(default_factory=dict, repr=False)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)

    def values(self) -> list[str]:
        """Everything that a log must not show."""
        return [value for value in (*self.exposed.values(), *self.private.values()) if value]

    async def read(self, path: str, *, runner: str) -> str:
        """The value of a key. Raises :class:`StepError`: this version's runners have no key storage."""
        raise StepError(
            f"the key {path!r} cannot be read: runner {runner} has no key storage configured. Give a key file by its "
            "path (ssh-keypath), or the value as a secure option of the run.",
            reason=FailureReason.AUTHENTICATION,
        )
