"""Keys that a run is to read, and which of them it will not be given: known before anything is queued ("Keys")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from domain.keys.paths import SHOWN_CHARS, KeyPath, KeyPlace
from schemas.errors import ErrorCode, RunbusError

FORBIDDEN = "forbidden"
MAX_WARNINGS = 20
"""Of one run: with thousands of runners that differ, the event that tells of them still has to fit a message."""
_SHOWN = 5


class KeyNeed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An option that takes its value from a key."""

    option: str
    path: str
    """``keys/…`` or ``runner/…``; references that only a run can fill in stay in it."""
    required: bool = False
    place: str = ""
    """The step that calls the job whose option it is; empty: it is the job's own."""
    job: str = ""
    """That job."""

    @property
    def decides(self) -> bool:
        """Whether nothing runs without it. Without a key of a called job one step fails, and may be handled."""
        return self.required and not self.place

    @property
    def is_of_runner(self) -> bool:
        """Whether whoever carries the job out has to have it in its own key storage."""
        return self.path.startswith("runner/")

    @property
    def is_whole(self) -> bool:
        """Whether the path is known to its end."""
        return "${" not in self.path

    @property
    def label(self) -> str:
        """How texts call the option."""
        of_job = f" of job {self.job} (step {self.place})" if self.place else ""
        return f"option {self.option!r}{of_job}"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that cannot be read, or not everywhere, and what is to be said of that."""

    needs: list[KeyNeed]
    text: str
    certain: bool = True
    """Nobody who could carry it out will have them."""
    details: dict[str, Any] = {}


def faults_of(needs: Iterable[KeyNeed], project: str) -> list[Finding]:
    """What is wrong whoever carries it out: a name that is no key's, a key of another project."""
    found = []
    for need in needs:
        if not need.is_whole:
            continue
        try:
            key = KeyPath.parse(need.path)
        except RunbusError as error:
            text = f"{need.label} takes its value from a key: {error.message}"
            found.append(Finding(needs=[need], text=text, details=error.details))
            continue
        if key.place is KeyPlace.CENTRE and key.project not in ("", project):
            why = of_other_project(key, project)
            text = f"{need.label} takes its value from key {str(key)[:SHOWN_CHARS]!r}: {why}, or give it a value."
            found.append(Finding(needs=[need], text=text, details={"reason": FORBIDDEN}))
    return found


def of_other_project(key: KeyPath, project: str) -> str:
    """Why a key of a project is not given to another one, and what to do; without a period."""
    return (
        f"it belongs to project {key.project}, and this is project {project}. Run it in project {key.project}, or "
        f"name a key that is for all (keys/folder/name) or for this project (keys/project/{project}/...)"
    )


def refuse_or_warn(findings: Iterable[Finding]) -> list[str]:
    """What to warn of, shortened where it is much. Raises ``key_unavailable`` where a run could not begin."""
    warnings = []
    for finding in findings:
        deciding = next((need for need in finding.needs if need.decides), None)
        if finding.certain and deciding is not None:
            own = {"option": deciding.option, "key": deciding.path[:SHOWN_CHARS]}
            raise RunbusError(ErrorCode.KEY_UNAVAILABLE, finding.text, details={**own, **finding.details})
        warnings.append(finding.text)
    more = len(warnings) - MAX_WARNINGS
    return warnings if more <= 0 else [*warnings[:MAX_WARNINGS], f"... and {more:,} more warnings of keys"]


def listed(names: Sequence[str]) -> str:
    """The first few of them."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
