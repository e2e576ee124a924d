"""What a dispatcher answers. Each handler is one verb of the contract."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from bus.endpoint import Route, route
from bus.sets import SetsInUse
from domain.ids import new_execution_id
from domain.jobfile import read_job_file
from domain.keys.planned import needs_of_job
from domain.schedule import check_schedule
from domain.selection import tag_set_of
from domain.workflow.plugins import plugins_of
from schemas import catalog
from schemas.api import (
    AbortRequest,
    Done,
    ExecutionListRequest,
    ExecutionPage,
    ExecutionView,
    JobList,
    JobListRequest,
    JobPutReply,
    JobPutRequest,
    JobRemoveRequest,
    JobShowRequest,
    ResultRequest,
    RunRequest,
    WhenNoRunner,
)
from schemas.errors import RunbusError
from schemas.jobs import JobDefinition
from schemas.states import FINAL
from schemas.subjects import Subjects
from services.dispatcher.accept import Acceptance
from services.dispatcher.ending import Ending, unknown_execution
from services.dispatcher.fitting import fitting, in_a_list
from services.dispatcher.fleet import Fleet
from services.dispatcher.jobs import JobStore
from services.dispatcher.keychecks import check_keys
from services.dispatcher.ledger import Ledger
from services.dispatcher.live import LiveExecutions, is_whole
from services.dispatcher.notify.service import Notifications
from services.dispatcher.projects import Projects
from services.dispatcher.secrets import SecretKeeper

MAX_WAIT_S: Final = 300.0


class Handlers:
    """The dispatcher's verbs, over its parts."""

    def __init__(  # noqa: PLR0913 (the composition root hands every part over once)
        self,
        *,
        acceptance: Acceptance,
        keeper: SecretKeeper,
        ending: Ending,
        live: LiveExecutions,
        ledger: Ledger,
        jobs: JobStore,
        fleet: Fleet,
        sets: SetsInUse,
        projects: Projects,
        notifications: Notifications,
        zone: str,
        max_view_bytes: int,
    ) -> None:
        self._acceptance = acceptance
        self._keeper = keeper
        self._ending = ending
        self._live = live
        self._ledger = ledger
        self._jobs = jobs
        self._fleet = fleet
        self._sets = sets
        self._projects = projects
        self._notifications = notifications
        self._zone = zone
        self._max_view_bytes = max_view_bytes

    def routes(self, subjects: Subjects) -> list[Route]:
        """The whole of the dispatcher's interface."""
        return [
            route(subjects, catalog.RUN, self.run),
            route(subjects, catalog.RUN_SEALING, self._keeper.sealing_key),
            route(subjects, catalog.RESULT, self.result),
            route(subjects, catalog.EXECUTION_LIST, self.list_executions),
            route(subjects, catalog.EXECUTION_SHOW, self.show_execution),
            route(subjects, catalog.ABORT, self.abort),
            route(subjects, catalog.JOB_PUT, self.put_jobs),
            route(subjects, catalog.JOB_LIST, self.list_jobs),
            route(subjects, catalog.JOB_SHOW, self.show_job),
            route(subjects, catalog.JOB_REMOVE, self.remove_job),
        ]

    async def run(self, request: RunRequest) -> ExecutionView:
        """Accept a run; with ``wait_s``, answer with its end if that comes in time."""
        request = self._keeper.opened(request)
        if request.wait_s <= 0:
            return self._told(await self._acceptance.accept(request, new_execution_id()))
        fresh_id = new_execution_id()
        with self._live.awaiting(request.project, request.id or fresh_id) as end:
            view = await self._acceptance.accept(request, fresh_id)
            if request.id:
                view = await self._required(request.project, request.id)
            return self._told(await self._end_or(view, end, request.wait_s))

    async def result(self, request: ResultRequest) -> ExecutionView:
        """An execution, once it has ended or the time is over."""
        return await self._ended(request.project, request.execution, request.wait_s)

    async def show_execution(self, request: ResultRequest) -> ExecutionView:
        """An execution as it stands."""
        return self._told(await self._required(request.project, request.execution))

    async def list_executions(self, request: ExecutionListRequest) -> ExecutionPage:
        """A page of executions, newest first; steps and nodes are left out, so that a page fits a message."""
        behind = await self._live.ledger_synced()
        page = await self._ledger.list(request)
        short = [in_a_list(view) for view in page.executions]
        return ExecutionPage(executions=short, next_cursor=page.next_cursor, events_behind=behind)

    async def abort(self, request: AbortRequest) -> ExecutionView:
        """End an execution and answer with its end, if that comes in time."""
        await self._ending.abort(request)
        return await self._ended(request.project, request.execution, request.wait_s)

    async def put_jobs(self, request: JobPutRequest) -> JobPutReply:
        """Store the jobs of a file, all or none; warn of targets that nobody serves now."""
        await self._projects.require(request.project)
        read = await asyncio.to_thread(read_job_file, request.text, project=request.project, file=request.file)
        warnings = list(read.warnings)
        for job in read.jobs:
            warnings += await self._checked(job)
        created, updated = await self._jobs.put(read.jobs)
        for job in read.jobs:
            warnings += await self._warn(job)
        return JobPutReply(created=created, updated=updated, warnings=warnings)

    async def list_jobs(self, request: JobListRequest) -> JobList:
        """The jobs of a project."""
        await self._projects.require(request.project)
        return JobList(jobs=await self._jobs.all(request.project))

    async def show_job(self, request: JobShowRequest) -> JobDefinition:
        """One job."""
        await self._projects.require(request.project)
        return await self._jobs.find(request.project, request.job)

    async def remove_job(self, request: JobRemoveRequest) -> Done:
        """Remove one job."""
        await self._projects.require(request.project)
        await self._jobs.remove(request.project, request.job)
        return Done()

    async def _checked(self, job: JobDefinition) -> list[str]:
        """What a file's reader cannot judge. Raises ``invalid_job`` for a bad schedule or notification."""
        try:
            if job.schedule is not None:
                fires = job.schedule_enabled and job.execution_enabled
                check_schedule(job.schedule, after=datetime.now(UTC) if fires else None, default_zone=self._zone)
            return await self._notifications.check(job)
        except RunbusError as error:
            raise RunbusError(error.code, f"{job.ref.path}: {error.message}", details=error.details) from error

    async def _warn(self, job: JobDefinition) -> list[str]:
        """Add the job's set, so that runners bind to it before its first run, and say what it lacks today."""
        if job.runner is not None and "${" in job.runner.filter:
            return []
        tags = tag_set_of(job.runner)
        await self._sets.ensure(job.project, tags)
        try:
            await self._fleet.require(job.project, tags, plugins_of(job.steps), WhenNoRunner.FAIL)
            told = await check_keys(self._fleet, job.project, needs_of_job(job), [tags])
        except RunbusError as error:
            return [f"{job.ref.path}: it could not run now. {error.message}"]
        return [f"{job.ref.path}: {text}" for text in told]

    async def _ended(self, project: str, execution: str, wait_s: float) -> ExecutionView:
        """The final view, or after ``wait_s`` the one there is."""
        with self._live.awaiting(project, execution) as end:
            return self._told(await self._end_or(await self._required(project, execution), end, wait_s))

    def _told(self, view: ExecutionView) -> ExecutionView:
        return fitting(view, room_bytes=self._max_view_bytes)

    async def _end_or(self, view: ExecutionView, end: asyncio.Future[ExecutionView], wait_s: float) -> ExecutionView:
        if view.state in FINAL:
            return view
        try:
            async with asyncio.timeout(min(max(wait_s, 0.0), MAX_WAIT_S)):
                ended = await end
        except TimeoutError:
            return await self._required(view.project, view.id)
        return ended if is_whole(ended) else await self._required(view.project, view.id)

    async def _required(self, project: str, execution: str) -> ExecutionView:
        view = await self._live.get(project, execution)
        if view is None:
            raise unknown_execution(project, execution)
        return view
