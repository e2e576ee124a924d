"""What is known of a runner: its record, its heartbeat, its plugins."""

from __future__ import annotations

import msgspec

from schemas.keys import KeyStorageInfo
from schemas.nodes import Node
from schemas.states import Instant, RunnerStatus


class PluginInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin that a runner bears. ``problem`` is set where it is installed but cannot be used."""

    name: str
    version: str
    kind: str = "step"
    problem: str = ""
    unless: str = ""
    """A setting of a node source with which it can be used all the same."""


class RunnerRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.runner_record.v1"):
    """A runner as the registry stores it, one value a runner. Written on change, never on a heartbeat."""

    id: str
    tags: list[str] = []
    """Normalised. The tags in force: those the operator set, else those the runner was started with."""
    operator_tags: bool = False
    """The tags were set at the centre and outlive a restart of the runner with others."""
    tags_revision: int = 0
    projects: list[str] = msgspec.field(default_factory=lambda: ["default"])
    local: bool = False
    description: str = ""
    version: str = ""
    instance: str = ""
    plugins: list[PluginInfo] = []
    node: Node | None = None
    """The runner itself as a node of its projects, where it was started so ("Runner as a node")."""
    max_running: int = 50
    created_at: Instant | None = None
    registered_at: Instant | None = None
    left_at: Instant | None = None
    """When it stopped gracefully; None while it has not."""
    node_filters: dict[str, str] = {}
    """By project: the nodes it serves where the project dispatches automatically."""
    key_storage: list[KeyStorageInfo] = []
    sealing_key: str = ""
    """The X25519 public key (base64) of this run of its process: what is secret is sealed with it."""


class RunnerBeat(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.runner_beat.v1"):
    """A heartbeat on ``rb.runner.<id>.beat``."""

    runner: str
    instance: str
    at: Instant
    running: int
    max_running: int
    uptime_s: float
    tags_revision: int = 0
    """The revision of its tags that the runner is bound to: the registry sends newer ones again."""
    leaving: bool = False
    """The last one of a runner that stops gracefully."""
    plugins: list[PluginInfo] = []
    key_storage: list[KeyStorageInfo] = []


class RunnerView(msgspec.Struct, frozen=True, kw_only=True):
    """A runner as commands show it: its record with what the heartbeats say."""

    id: str
    status: RunnerStatus
    tags: list[str]
    projects: list[str]
    local: bool
    description: str
    version: str
    instance: str
    plugins: list[PluginInfo]
    running: int
    max_running: int
    uptime_s: float | None
    created_at: Instant | None
    last_seen_at: Instant | None
    node_filters: dict[str, str] = {}
    """By project: the nodes it serves where the project dispatches automatically."""
    node: Node | None = None
    """The runner itself as a node."""
    key_storage: list[KeyStorageInfo] = []
    """Where its keys come from, and whether that answers, as its last heartbeat said."""


class FleetChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.fleet_changed.v1"):
    """The registry announces that the answer to "who matches" may have changed, and for whom.

    On ``rb.registry.changed``, core publish: a hint to ask again, never the truth itself.
    """

    runner: str
    instance: str
    status: RunnerStatus
