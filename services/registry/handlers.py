"""What the registry answers. Each handler is one verb; the table at the end is the whole of its interface."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import structlog

from bus.connection import Bus
from domain.fleet import TAKES_WORK, borne_by_none, in_order_of_preference, serves
from domain.nodes.filters import parse_filter
from schemas import catalog
from schemas.api import (
    ConfigureRequest,
    Done,
    MatchReply,
    MatchRequest,
    RunnerCreateRequest,
    RunnerList,
    RunnerListRequest,
    RunnerNodesRequest,
    RunnerRemoveRequest,
    RunnerReply,
    RunnerShowRequest,
    RunnerTagsRequest,
)
from schemas.errors import ErrorCode, RunbusError
from schemas.runners import FleetChanged, RunnerRecord, RunnerView
from schemas.states import RunnerStatus
from schemas.subjects import Subjects
from schemas.tokens import TagSet, given_tag, identifier, tag
from services.registry.holders import ANSWER_WITHIN_S
from services.registry.projects import Projects
from services.registry.roster import Roster

log = structlog.get_logger("registry")


class Handlers:
    """The registry's verbs about runners, on a roster and the projects."""

    def __init__(self, bus: Bus, subjects: Subjects, roster: Roster, projects: Projects) -> None:
        self._bus = bus
        self._subjects = subjects
        self._roster = roster
        self._projects = projects

    async def list_runners(self, request: RunnerListRequest) -> RunnerList:
        """Runners that meet every given filter."""
        wanted = {tag(each) for each in request.tags}
        return RunnerList(
            runners=[
                view
                for view in self._roster.views()
                if wanted <= set(view.tags)
                and (not request.project or request.project in view.projects)
                and (request.status is None or request.status is view.status)
            ]
        )

    async def show_runner(self, request: RunnerShowRequest) -> RunnerReply:
        """One runner."""
        return RunnerReply(runner=self._roster.view(request.runner))

    async def set_tags(self, request: RunnerTagsRequest) -> RunnerReply:
        """Change the tags of a runner; a connected one rebinds before the answer comes."""

        def change(before: RunnerRecord | None) -> RunnerRecord:
            if before is None:
                raise self._roster.unknown(request.runner)
            current = set(before.tags) if request.set is None else {given_tag(each) for each in request.set}
            current |= {given_tag(each) for each in request.add}
            current -= {tag(each) for each in request.remove}
            return msgspec.structs.replace(
                before, tags=sorted(current), operator_tags=True, tags_revision=before.tags_revision + 1
            )

        record = await self._roster.update(request.runner, change)
        rebound = await self.configure(record)
        await self.announce(self._roster.view(record.id))
        log.info("runner.tags", runner=record.id, tags=record.tags, rebound=rebound)
        return RunnerReply(runner=self._roster.view(record.id), rebound=rebound)

    async def set_nodes(self, request: RunnerNodesRequest) -> RunnerReply:
        """Give a runner the node filter of a project, or take it away (automatic dispatch)."""
        self._projects.require(request.project)
        if request.filter is not None:
            parsed = parse_filter(request.filter)
            if not (parsed.include or parsed.exclude):
                raise RunbusError(
                    ErrorCode.INVALID_SELECTOR,
                    f"the node filter {request.filter[:80]!r} says nothing and selects no node: write one such as "
                    "'tags: web', or take the runner's filter away.",
                )

        def change(before: RunnerRecord | None) -> RunnerRecord:
            if before is None:
                raise self._roster.unknown(request.runner)
            filters = {name: text for name, text in before.node_filters.items() if name != request.project}
            if request.filter is not None:
                filters[request.project] = request.filter
            return msgspec.structs.replace(before, node_filters=filters)

        await self._roster.update(request.runner, change)
        await self.announce(self._roster.view(request.runner))
        log.info("runner.nodes", runner=request.runner, project=request.project, filter=request.filter)
        return RunnerReply(runner=self._roster.view(request.runner))

    async def create_runner(self, request: RunnerCreateRequest) -> RunnerReply:
        """Make a runner known before it first checks in."""
        runner = identifier("runner id", request.runner)
        for project in request.projects:
            self._projects.require(project)

        def change(before: RunnerRecord | None) -> RunnerRecord:
            if before is not None:
                raise RunbusError(
                    ErrorCode.ALREADY_EXISTS,
                    f"a runner with the id {runner!r} is known already: see 'runbus runner show {runner}'.",
                )
            return RunnerRecord(
                id=runner,
                tags=list(TagSet(map(given_tag, request.tags))),
                operator_tags=bool(request.tags),
                projects=request.projects,
                description=request.description,
                created_at=datetime.now(UTC),
            )

        await self._roster.update(runner, change)
        return RunnerReply(runner=self._roster.view(runner))

    async def remove_runner(self, request: RunnerRemoveRequest) -> Done:
        """Forget a runner that is not connected."""
        view = self._roster.view(request.runner)
        if view.status in TAKES_WORK:
            raise RunbusError(
                ErrorCode.RUNNER_CONNECTED,
                f"runner {view.id} is connected ({view.status}). 'runbus runner drain {view.id}' lets it finish and "
                "leave; then remove it.",
                details={"runner": view.id, "status": view.status},
            )
        await self._roster.remove(view.id)
        await self.announce(msgspec.structs.replace(view, status=RunnerStatus.DOWN))
        return Done()

    async def match(self, request: MatchRequest) -> MatchReply:
        """The runner set of a selector, now."""
        self._projects.require(request.project)
        tags = TagSet(request.tags)
        views = self._roster.views()
        return MatchReply(
            runners=in_order_of_preference(view for view in views if serves(view, request.project, tags)),
            borne_by_none=borne_by_none(views, request.project, tags),
        )

    async def configure(self, record: RunnerRecord) -> bool:
        """Give a runner the tags in force; returns whether it has rebound."""
        request = ConfigureRequest(
            instance=record.instance,
            tags=record.tags,
            tags_revision=record.tags_revision,
            projects=record.projects,
        )
        try:
            done = await self._bus.call(
                self._subjects, catalog.CONFIGURE, request, runner=record.id, timeout_s=ANSWER_WITHIN_S
            )
        except RunbusError as error:
            log.info("runner.configure_later", runner=record.id, reason=error.message)
            return False
        return done.found

    async def announce(self, view: RunnerView) -> None:
        """Tell whoever caches matches that they may have changed."""
        await self._bus.publish(
            self._subjects.fleet_changed(),
            FleetChanged(runner=view.id, instance=view.instance, status=view.status),
        )
