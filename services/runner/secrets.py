"""What a runner may know and nobody may read: secure values of one assignment, in memory only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.keys.paths import is_key_name
from domain.options.fits import unfit_text, unfit_variable
from runbus.plugin import FailureReason, KeyFailure, StepError
from schemas.errors import ErrorCode, RunbusError
from schemas.events import StoredKey
from services.runner.keyuse import ReadsKeys, Use

_OPTION: Final = "option."

Learn = Callable[[str], None]


def _keep_nothing(_value: str) -> None:
    """Nobody masks."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secure option values of an execution, and the way to its keys.

    ``exposed`` values are seen by scripts, ``private`` ones are not. ``learn`` is told each value of a key before
    whoever asked for it has it: from there on it is masked.
    """

    exposed: Mapping[str, str] = field(default_factory=dict, repr=False)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)
    keys: ReadsKeys | None = field(default=None, repr=False)
    use: Use = field(default_factory=lambda: Use(project=""))
    learn: Learn = field(default=_keep_nothing, repr=False)

    def values(self) -> list[str]:
        """Everything that a log must not show."""
        return [value for value in (*self.exposed.values(), *self.private.values()) if value]

    async def read(self, path: str, *, runner: str) -> str:
        """The value of a secure option (``option.NAME``), or of a key, read now and kept nowhere.

        Raises :class:`StepError` where it cannot be had.
        """
        if path.startswith(_OPTION):
            return self._of_option(path.removeprefix(_OPTION))
        if self.keys is None:
            shown = f"the key {path[:200]!r}" if is_key_name(path) else "a key"  # it may be the secret itself
            raise StepError(
                f"{shown} cannot be read: runner {runner} has no key storage.",
                reason=FailureReason.AUTHENTICATION,
            )
        try:
            value = await self.keys.read(path, self.use)
        except RunbusError as error:
            raise StepError(error.message, reason=FailureReason.AUTHENTICATION) from None
        self.learn(value)
        return value

    def _of_option(self, name: str) -> str:
        value = self.private.get(name) or self.exposed.get(name)
        if value:
            return value
        raise StepError(
            f"the job has no secure option {name!r} with a value: give it one, or name another.",
            reason=FailureReason.AUTHENTICATION,
        )


@dataclass(frozen=True, slots=True)
class OptionKeys:
    """The values of options that name keys, and remarks about those that could not be read."""

    exposed: dict[str, str] = field(repr=False)
    private: dict[str, str] = field(repr=False)
    unread: list[str]


async def read_options(stored: Mapping[str, StoredKey], keys: ReadsKeys, use: Use) -> OptionKeys:
    """Read the keys of options, all at once.

    Raises ``invalid_option`` for a required one that cannot be read, is empty, or that no process can be given; any
    other is left without a value, and told.
    """
    found = OptionKeys({}, {}, [])
    answers = await asyncio.gather(
        *(keys.read(key.path.removeprefix("/"), use) for key in stored.values()), return_exceptions=True
    )
    for (name, key), answer in zip(stored.items(), answers, strict=True):
        if isinstance(answer, BaseException) and not isinstance(answer, RunbusError):
            raise answer
        fault = answer if isinstance(answer, RunbusError) else _unusable(name, key, answer)
        if fault is None:
            (found.exposed if key.exposed else found.private)[name] = str(answer)
        elif key.required:
            raise RunbusError(
                ErrorCode.INVALID_OPTION,
                f"option {name!r} takes its value from a key: {fault.message} Mend that, or give it a value.",
                details={**fault.details, "option": name, "path": key.path},
            )
        else:
            found.unread.append(f"option {name!r} has no value: {fault.message}")
    return found


def _unusable(name: str, key: StoredKey, value: str) -> RunbusError | None:
    """What is wrong with a value that could be read: scripts could not be given it, and no step would start."""
    if not value:
        return _fault(key, "is empty", KeyFailure.NO_KEY)
    if not key.exposed:
        return None
    if why := unfit_text(value):
        return _fault(key, why, KeyFailure.MALFORMED)
    if why := unfit_variable(name, value, secure=True):
        return _fault(key, why, KeyFailure.TOO_LARGE)
    return None


def _fault(key: StoredKey, why: str, reason: KeyFailure) -> RunbusError:
    path = key.path.removeprefix("/")
    return RunbusError(
        ErrorCode.KEY_UNAVAILABLE, f"the value of key {path!r} {why}.", details={"key": path, "reason": reason}
    )
