"""Small numbers for projects, jobs, runners and states, which is what the ledger's indexes hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.api import ExecutionView
from schemas.jobs import JobRef
from schemas.states import FINAL, ExecutionState

STATE_CODES: Final = {
    ExecutionState.QUEUED: 0,
    ExecutionState.RUNNING: 1,
    ExecutionState.SUCCEEDED: 2,
    ExecutionState.FAILED: 3,
    ExecutionState.ABORTED: 4,
    ExecutionState.TIMEDOUT: 5,
    ExecutionState.LOST: 6,
    ExecutionState.FAILED_WITH_RETRY: 7,
    ExecutionState.MISSED: 8,
    ExecutionState.OTHER: 9,
}
FINAL_CODES: Final = frozenset(STATE_CODES[state] for state in FINAL)

NameRow = tuple[str, int, int, str, str]
"""kind, id, project, value, path."""


class Names:
    """The numbers given so far. Giving one remembers its row until :meth:`take_new` fetches it for the file."""

    def __init__(self, rows: Iterable[NameRow] = ()) -> None:
        self._numbers: dict[tuple[str, int, str, str], int] = {}
        self._jobs: dict[str, list[tuple[int, int]]] = {}
        self._counts: dict[str, int] = {}
        self._new: list[NameRow] = []
        for row in rows:
            self._keep(row)

    def take_new(self) -> list[NameRow]:
        """The rows that the file does not hold yet."""
        new, self._new = self._new, []
        return new

    def project(self, name: str) -> int:
        """The number of a project, given on first use."""
        return self._give("project", 0, name, "")

    def runner(self, name: str) -> int | None:
        """The number of a runner, given on first use; None for none."""
        return self._give("runner", 0, name, "") if name else None

    def job(self, project: int, job: JobRef | None) -> int | None:
        """The number of a job under the name it had, given on first use; None for an ad hoc run."""
        return self._give("job", project, job.uuid, job.path) if job else None

    def find(self, kind: str, name: str) -> int | None:
        """The number of a ``project`` or ``runner`` that was seen before."""
        return self._numbers.get((kind, 0, name, ""))

    def find_jobs(self, job: str, project: int | None) -> list[int]:
        """The numbers of all jobs with this uuid or ``group/name``, in one project or in all."""
        return [number for owner, number in self._jobs.get(job, ()) if project in (None, owner)]

    def terms(self, project: int, job: int | None, runner: int | None, state: ExecutionState) -> list[str]:
        """What stands in the full-text index beside the words, so that a filter is one more term of a search."""
        found = [f"__p{project}", f"__s{STATE_CODES[state]}"]
        if job is not None:
            found.append(f"__j{job}")
        if runner is not None:
            found.append(f"__r{runner}")
        return found

    def columns(self, view: ExecutionView) -> tuple[int, int | None, int | None]:
        """The numbers of a view's project, job and runner."""
        project = self.project(view.project)
        return project, self.job(project, view.job), self.runner(view.runner)

    def _give(self, kind: str, project: int, value: str, path: str) -> int:
        number = self._numbers.get((kind, project, value, path))
        if number is None:
            number = self._counts.get(kind, 0) + 1
            row = (kind, number, project, value, path)
            self._keep(row)
            self._new.append(row)
        return number

    def _keep(self, row: NameRow) -> None:
        kind, number, project, value, path = row
        self._numbers[(kind, project, value, path)] = number
        self._counts[kind] = max(number, self._counts.get(kind, 0))
        if kind == "job":
            for term in {value, path}:
                self._jobs.setdefault(term, []).append((project, number))
