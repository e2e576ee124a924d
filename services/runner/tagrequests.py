"""Requests to a tag set that are no jobs: one runner of the set answers, at once or never."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bus.connection import Bus
from bus.endpoint import Answerer, Route, answer_on
from schemas import catalog
from schemas.subjects import Subjects
from schemas.tokens import TagSet
from services.runner.keyanswers import KeyAnswers
from services.runner.nodeanswers import NodeAnswers

SetKey = tuple[str, TagSet]
"""Project and tag set."""


class TagRequests:
    """Answers on the subjects of the sets that the runner is bound to."""

    def __init__(
        self, bus: Bus, subjects: Subjects, answerer: Answerer, nodes: NodeAnswers, keys: KeyAnswers
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._answerer = answerer
        self._nodes = nodes
        self._keys = keys
        self._bound: dict[SetKey, list[Callable[[], Awaitable[None]]]] = {}

    async def bind(self, project: str, tags: TagSet) -> None:
        """Answer for a set, too."""
        self._bound[project, tags] = [
            await answer_on(self._bus, route, self._answerer, queue=catalog.RUNNERS_QUEUE_GROUP)
            for route in self._routes(project, tags)
        ]

    async def unbind(self, project: str, tags: TagSet) -> None:
        """Answer for a set no longer; what is being answered is."""
        for end in self._bound.pop((project, tags), []):
            await end()

    def _routes(self, project: str, tags: TagSet) -> list[Route]:
        discover, browse, look = catalog.DISCOVER, catalog.KEY_BROWSE, catalog.KEY_LOOK
        nodes, keys = self._subjects.nodes_of_set, self._subjects.keys_of_set
        return [
            Route(discover.verb, nodes(project, tags, discover.verb), discover.request, self._nodes.discover),
            Route(browse.verb, keys(project, tags, browse.verb), browse.request, self._keys.browse),
            Route(look.verb, keys(project, tags, look.verb), look.request, self._keys.look),
        ]
