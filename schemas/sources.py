"""Node sources: what a project's nodes are discovered by, how they stand, and the requests that concern them."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.errors import ErrorInfo
from schemas.jobs import RunnerSelector
from schemas.nodes import Node
from schemas.states import Instant, RunnerStatus

LOADED: Final = "loaded"
"""The name under which ``nodes load`` keeps its nodes: they come before those of every source."""


class SourceDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One node source of a project."""

    name: str
    """Up to 64 letters, digits, ``-`` and ``_``."""
    type: str
    """The plugin, ``docker`` or by the original's name, ``docker-container-model-source``."""
    config: dict[str, str] = {}
    """Its settings. A password or a token is the name of a key (``keys/...``), read where the plugin runs."""
    runner: RunnerSelector | None = None
    """Which runners are asked; none means the Local Runner."""
    interval_s: float = 300.0
    """How long after one refresh the next one begins by itself; 0: never."""
    timeout_s: float = 120.0
    """How long one refresh may take."""
    enabled: bool = True
    """Whether it is refreshed by itself, and its nodes count."""


class ProjectSources(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.sources.v1"):
    """The node sources of a project in order, one value a project. Of two that have a node, the later one counts."""

    project: str
    sources: list[SourceDefinition] = []


class SourceState(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.source_state.v1"):
    """How a source stands, one value a source (``<project>.<name>``)."""

    project: str
    source: str
    definition: str = ""
    """Digest of the definition that was asked by: another one means that its nodes are not known yet."""
    checked_at: Instant | None = None
    """When it was last asked, whatever came of it."""
    succeeded_at: Instant | None = None
    """When it last answered: so old its nodes are."""
    duration_s: float | None = None
    runner: str = ""
    """Which runner was asked last."""
    plugin_version: str = ""
    count: int = 0
    """Its nodes, as they are in the inventory."""
    added: int = 0
    changed: int = 0
    gone: int = 0
    """What its last refresh with an answer came to."""
    digest: str = ""
    """Of its nodes: the same digest is the same nodes."""
    warnings: list[str] = []
    error: ErrorInfo | None = None
    """Why the last time failed; None where it did not."""
    failures: int = 0
    """How often in a row."""
    refreshing_by: str = ""
    """The copy of the service that asks it now, until ``refreshing_until``."""
    refreshing_until: Instant | None = None


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """A runner that a source's selector reaches, and what it has of the plugin."""

    runner: str
    status: RunnerStatus
    version: str = ""
    """Of the plugin; empty where the runner does not bear it."""
    problem: str = ""
    """Why it is not there, where that is known."""


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """A source, how it stands, and who could be asked."""

    definition: SourceDefinition
    state: SourceState
    age_s: float | None = None
    """Of its nodes."""
    bearers: list[Bearer] = []


class SourcePutRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.source_put.v1",
):
    """Add a source behind the others, or change the one of its name; ``position`` (from 1) puts it elsewhere."""

    source: SourceDefinition
    project: str = "default"
    position: int = 0
    fresh: bool = False
    """Refuse a name that is taken (``already_exists``)."""


class SourceReply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.source_reply.v1"):
    """A source as it is stored now. ``warnings`` name runners that it reaches and that do not bear its plugin."""

    source: SourceView
    created: bool = False
    warnings: list[str] = []


class SourceListRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.source_list_request.v1",
):
    """The sources of a project, or the one of this name (``unknown_source``)."""

    project: str = "default"
    name: str = ""


class SourceList(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.source_list.v1"):
    """Sources in order."""

    sources: list[SourceView] = []


class SourceRemoveRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.source_remove.v1",
):
    """Remove a source and its nodes."""

    name: str
    project: str = "default"


class SourceTestRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.source_test.v1",
):
    """Ask a source, as it is given here, and store nothing."""

    source: SourceDefinition
    project: str = "default"


class SourceTested(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.source_tested.v1"):
    """What a test found."""

    count: int
    sample: list[Node]
    """The first ones, ten at most."""
    runner: str
    plugin_version: str
    duration_s: float
    warnings: list[str] = []
    bearers: list[Bearer] = []


class SourceRefreshRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.source_refresh.v1",
):
    """Ask a source now, and wait for what comes of it."""

    name: str
    project: str = "default"


class SourceRefreshed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.source_refreshed.v1"):
    """How the source stands after it; ``state.error`` says why it failed, and its nodes are then as they were."""

    state: SourceState


class DiscoverRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.discover.v1"):
    """Discover nodes: asked on the subject of a tag set, answered by one of its runners."""

    source: str
    plugin: str
    project: str = "default"
    config: dict[str, str] = {}
    timeout_s: float = 120.0
    known_digest: str = ""
    """Of the nodes that whoever asks has: the same ones are not sent again."""


class Discovery(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.discovery.v1"):
    """The nodes of a source, sorted by name. Where a message does not hold them, ``parcel`` names what does."""

    runner: str
    plugin_version: str
    digest: str
    count: int
    unchanged: bool = False
    """They are those of ``known_digest``: neither ``nodes`` nor ``parcel`` is there."""
    nodes: list[Node] = []
    parcel: str = ""
    duration_s: float = 0.0
    warnings: list[str] = []
