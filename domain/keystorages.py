"""The key storages of runners, compared: a job must not depend on which runner of a tag set takes it ("Keys")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from schemas.keys import KeyStorageInfo
from schemas.runners import RunnerView

_SHOWN = 5


def disagreements(runners: Sequence[RunnerView]) -> list[str]:
    """What to tell of runners that one selector reaches: those without key storage, and those with another one."""
    having = [runner for runner in runners if runner.key_storage]
    if not having:
        return []
    said = []
    if without := [runner.id for runner in runners if not runner.key_storage]:
        said.append(f"{_names(without)} of the selected runners {_has(without)} no key storage; the others have")
    usual = usual_storage(having)
    if others := [runner.id for runner in having if fingerprint(runner.key_storage) != usual]:
        rest = next(runner.id for runner in having if fingerprint(runner.key_storage) == usual)
        said.append(
            f"the key storage of {_names(others)} is configured differently from that of {rest}: "
            "the same job may find another key there, or none"
        )
    return said


def usual_storage(runners: Sequence[RunnerView]) -> str:
    """The fingerprint that most of them have; of equally many that of the first runner by id."""
    in_order = sorted(runners, key=lambda runner: runner.id)
    counted = Counter(fingerprint(runner.key_storage) for runner in in_order)
    return counted.most_common(1)[0][0]


def fingerprint(storages: Sequence[KeyStorageInfo]) -> str:
    """The same text for the same configuration, whether it answers or not."""
    return "\n".join(sorted(f"{each.type} {each.path} {each.digest}" for each in storages))


def _names(runners: Sequence[str]) -> str:
    shown = sorted(runners)[:_SHOWN]
    more = len(runners) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _has(runners: Sequence[str]) -> str:
    return "has" if len(runners) == 1 else "have"
