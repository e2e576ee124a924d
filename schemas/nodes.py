"""Nodes: what jobs are dispatched to, lists of them, and the requests of the service that knows them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from schemas.states import Instant


class Node(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One node. Its name and tags stand in their own fields only, never among the attributes."""

    name: str
    attributes: dict[str, str] = {}
    """Such as ``hostname``, ``username``, ``osFamily``, and any other."""
    tags: list[str] = []
    """Each once, sorted."""


class NodeList(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.node_list.v1"):
    """Nodes, each name once. A long list is several of these, one a line, in order: so it is stored and parked."""

    nodes: list[Node] = []


class NodeFormat(StrEnum):
    """The original's formats of documents that hold nodes."""

    RESOURCEYAML = "resourceyaml"
    RESOURCEJSON = "resourcejson"
    RESOURCEXML = "resourcexml"


class RankOrder(StrEnum):
    """The order in which nodes are dispatched to (``rankOrder``)."""

    ASCENDING = "ascending"
    DESCENDING = "descending"


class NodeLoadRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.node_load.v1",
):
    """Replace the nodes of a project by those of a document: all of them, or none where it has a fault."""

    format: NodeFormat
    project: str = "default"
    text: str = ""
    """The document; or, where a message does not hold it, ``parcel``."""
    parcel: str = ""
    """The name of a parcel that holds the document in UTF-8; whoever parked it removes it."""
    file: str = ""
    """The file's name, for texts."""


class NodeLoadReply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.node_load_reply.v1"):
    """What is stored now."""

    project: str
    count: int
    previous_count: int
    revision: int
    loaded_at: Instant
    warnings: list[str] = []
    """Names that stand in the document more than once."""


class NodeListRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.node_list_request.v1",
):
    """The nodes of a project that a node filter selects, in order.

    Neither ``filter`` nor ``filter_exclude``: all of them. An empty ``filter`` selects none, as in the original.
    """

    project: str = "default"
    filter: str | None = None
    filter_exclude: str = ""
    """What it includes is excluded, and the other way round."""
    exclude_precedence: bool = True
    """False: a node that both sides match is selected."""
    rank_attribute: str = ""
    """The attribute that orders them; none: their names."""
    rank_order: RankOrder = RankOrder.ASCENDING
    limit: int = 0
    """So many at most; 0: all."""
    offset: int = 0
    """Without so many from the beginning."""
    names_only: bool = False
    """Nodes without attributes and tags."""


class NodeListReply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.node_list_reply.v1"):
    """Nodes in order. Where a message does not hold them, ``parcel`` names what does, and ``nodes`` is empty.

    The parcel holds lists of nodes, one a line. It is kept for ten minutes, or until it is removed.
    """

    nodes: list[Node] = []
    parcel: str = ""
    matched: int = 0
    """How many the filter selects, whatever ``limit`` and ``offset`` say."""
    total: int = 0
    """How many the project has."""
    revision: int = 0
    """Of the inventory: higher with every load; 0 while nothing was loaded."""
    loaded_at: Instant | None = None
    age_s: float | None = None


class StoredNodes(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of one source as they are stored."""

    source: str
    """A node source's name; ``loaded``: what was loaded from a file."""
    parcel: str
    """In the store of inventories: lists of nodes, one a line, sorted by name."""
    count: int
    loaded_at: Instant
    format: str = ""
    file: str = ""
    digest: str = ""
    """``sha256:`` and 64 hexadecimal digits: of the document that was loaded, or of what a source answered."""


class Inventory(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.inventory.v1"):
    """The node inventory of a project, one value a project; its nodes are stored apart. The key's revision is its."""

    project: str
    sources: list[StoredNodes] = []
    """In order: of a node that several have, the later one counts."""
    merge_attributes: bool = True
    """Such a node has the attributes and tags of all of them; False: those of the last only."""
