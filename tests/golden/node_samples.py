"""One message of every type of nodes, projects' settings and runners' node filters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from schemas import api
from schemas.nodes import (
    Inventory,
    Node,
    NodeFormat,
    NodeList,
    NodeListReply,
    NodeListRequest,
    NodeLoadReply,
    NodeLoadRequest,
    RankOrder,
    StoredNodes,
)

_AT: Final = datetime(2025, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
_PARCEL: Final = "679cb9c0-00ff00ff00ff00ff-0123456789abcdef0123456789abcdef"
_node = Node(name="web-1", attributes={"hostname": "10.0.0.1:22", "osFamily": "unix"}, tags=["prod", "web 1"])
_stored = StoredNodes(
    source="file",
    parcel=_PARCEL,
    count=1,
    loaded_at=_AT,
    format="resourceyaml",
    file="nodes.yaml",
    digest="sha256:00",
)

NODE_SAMPLES: Final[tuple[msgspec.Struct, ...]] = (
    NodeList(nodes=[_node]),
    NodeLoadRequest(
        format=NodeFormat.RESOURCEYAML, project="web", text="web-1: {}", parcel=_PARCEL, file="nodes.yaml"
    ),
    NodeLoadReply(project="web", count=1, previous_count=2, revision=7, loaded_at=_AT),
    NodeListRequest(
        project="web",
        filter="tags: web+prod",
        filter_exclude="!os-family: unix",
        exclude_precedence=False,
        rank_attribute="rank",
        rank_order=RankOrder.DESCENDING,
        limit=10,
        offset=20,
        names_only=True,
    ),
    NodeListReply(nodes=[_node], parcel=_PARCEL, matched=1, total=2, revision=7, loaded_at=_AT, age_s=2.5),
    Inventory(project="web", sources=[_stored]),
    api.ProjectSetRequest(
        project="web",
        settings={"ssh-keypath": "keys/web"},
        globals={"base": "https://x"},
        unset_settings=["ssh-port"],
        unset_globals=["old"],
        dispatch=api.DispatchMode.AUTOMATIC,
        description="the shop",
    ),
    api.ProjectShowRequest(project="web"),
    api.RunnerNodesRequest(runner="web-1", project="web", filter="tags: web"),
)
