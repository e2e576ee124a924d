"""Asking a runner for the nodes of a source: who could, who does, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import structlog

from bus.connection import Bus
from bus.nodes import nodes_of, taken
from bus.parcels import Parcels
from bus.sets import SetsInUse, ask_set
from domain.calm import uncollected
from domain.fleet import TAKES_WORK, least_busy, no_runner
from domain.selection import tag_set_of
from schemas import catalog
from schemas.api import MatchReply, MatchRequest
from schemas.errors import RunbusError, plugin_not_found
from schemas.runners import PluginInfo, RunnerView
from schemas.sources import Bearer, DiscoverRequest, Discovery, SourceDefinition
from schemas.subjects import Subjects
from schemas.tokens import TagSet, own_tag

KIND: Final = "node-source"
_ANSWER_WITHIN_S: Final = 10.0
"""On top of the source's own time: for the way there and back."""

log = structlog.get_logger("nodesource")


class Reach(msgspec.Struct, frozen=True):
    """The runners that a source's selector reaches, connected ones first."""

    project: str
    source: SourceDefinition
    tags: TagSet
    reply: MatchReply

    @property
    def connected(self) -> list[RunnerView]:
        """Those that could be asked."""
        return [runner for runner in self.reply.runners if runner.status in TAKES_WORK]

    @property
    def bearers(self) -> list[Bearer]:
        """All of them, by name, connected ones first, and what they have of the plugin."""
        runners = sorted(self.reply.runners, key=lambda runner: (runner.status not in TAKES_WORK, runner.id))
        return [_bearer(runner, self.source) for runner in runners]

    @property
    def warnings(self) -> list[str]:
        """Connected runners without the plugin, where others have it."""
        without = sorted((one for one in self.connected if not self._bears(one)), key=lambda one: one.id)
        if not without or len(without) == len(self.connected):
            return []
        bearers = [_bearer(runner, self.source) for runner in without]
        names = ", ".join(f"{each.runner}{f' ({each.problem})' if each.problem else ''}" for each in bearers)
        return [f"the {self.source.type} plugin is not on {names}: the others of {self.tags} are asked"]

    def chosen(self) -> TagSet:
        """Whom to ask: any of the set where all bear the plugin, else the least busy one that does.

        Raises ``no_runner`` and ``plugin_not_found``, each saying what is missing where.
        """
        connected = self.connected
        if not connected:
            raise no_runner(self.project, self.tags, self.reply)
        bearing = [runner for runner in connected if self._bears(runner)]
        if not bearing:
            raise _nowhere(self.source, connected)
        if len(bearing) == len(connected):
            return self.tags
        return TagSet((own_tag(least_busy(bearing).id),))

    def _bears(self, runner: RunnerView) -> bool:
        return bool(_bearer(runner, self.source).version)


class Answer(NamedTuple):
    """What a runner answered, and the lines in which its nodes came where they were many."""

    found: Discovery
    lines: bytes | None


class Asker:
    """Asks for the nodes of sources. Any number at a time: one that does not answer holds up no other."""

    def __init__(self, bus: Bus, subjects: Subjects, sets: SetsInUse, parcels: Parcels) -> None:
        self._bus = bus
        self._subjects = subjects
        self._sets = sets
        self._parcels = parcels

    async def reach(self, project: str, source: SourceDefinition) -> Reach:
        """Who could be asked now."""
        tags = tag_set_of(source.runner)
        reply = await self._bus.call(self._subjects, catalog.MATCH, MatchRequest(project=project, tags=list(tags)))
        return Reach(project, source, tags, reply)

    async def ask(self, reach: Reach, source: SourceDefinition, *, known_digest: str = "") -> Answer:
        """What a runner answers, its nodes filled in. Raises what it, or :meth:`Reach.chosen`, raises."""
        project, chosen = reach.project, reach.chosen()
        await self._sets.ensure(project, chosen)
        request = DiscoverRequest(
            source=source.name, plugin=source.type, project=project, config=source.config,
            timeout_s=source.timeout_s, known_digest=known_digest,
        )  # fmt: skip
        answer = await ask_set(
            self._bus, self._subjects.nodes_of_set(project, chosen, catalog.DISCOVER.verb), request, Discovery,
            timeout_s=request.timeout_s + _ANSWER_WITHIN_S,
        )  # fmt: skip
        if not answer.parcel:
            return Answer(answer, None)
        lines = await taken(self._parcels, answer.parcel)
        with uncollected():
            nodes = await nodes_of(lines)
        return Answer(msgspec.structs.replace(answer, nodes=nodes, parcel=""), lines)


def _bearer(runner: RunnerView, source: SourceDefinition) -> Bearer:
    info = _info(runner.plugins, source.type)
    if info is None:
        return Bearer(runner=runner.id, status=runner.status)
    if not info.problem or source.config.get(info.unless, "").strip():
        return Bearer(runner=runner.id, status=runner.status, version=info.version)
    return Bearer(runner=runner.id, status=runner.status, problem=info.problem)


def _info(plugins: Sequence[PluginInfo], name: str) -> PluginInfo | None:
    return next((each for each in plugins if each.kind == KIND and each.name == name), None)


def _nowhere(source: SourceDefinition, connected: Sequence[RunnerView]) -> RunbusError:
    """The original's text for the runner that would have been asked, and why, where a runner says it."""
    first = _bearer(connected[0], source)
    error = plugin_not_found(source.type, first.runner)
    if first.problem:
        error.message = f"{error.message} There, {first.problem}."
    error.details["runners"] = [runner.id for runner in connected]
    return error
