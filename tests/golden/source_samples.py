"""One message of every type of node sources."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.nodes import Node
from schemas.sources import (
    Bearer,
    DiscoverRequest,
    Discovery,
    ProjectSources,
    SourceDefinition,
    SourceList,
    SourceListRequest,
    SourcePutRequest,
    SourceRefreshed,
    SourceRefreshRequest,
    SourceRemoveRequest,
    SourceReply,
    SourceState,
    SourceTested,
    SourceTestRequest,
    SourceView,
)
from schemas.states import RunnerStatus
from tests.golden.job_samples import AT, ERROR, SELECTOR

_source = SourceDefinition(
    name="web", type="docker", config={"docker-host": "tcp://10.0.0.9:2376"}, runner=SELECTOR, interval_s=60.0,
    timeout_s=30.0, enabled=False,
)  # fmt: skip
_node = Node(name="3f2a", attributes={"hostname": "web"}, tags=["docker"])
_state = SourceState(
    project="web", source="web", definition="00ff", checked_at=AT, succeeded_at=AT, duration_s=0.5, runner="a1",
    plugin_version="1.0", count=3, added=1, changed=2, gone=4, digest="sha256:00", warnings=["one is odd"],
    error=ERROR, failures=2, refreshing_by="c1", refreshing_until=AT,
)  # fmt: skip
_bearer = Bearer(runner="a1", status=RunnerStatus.HEALTHY, version="1.0", problem="")
_view = SourceView(definition=_source, state=_state, age_s=2.5, bearers=[_bearer])

SOURCE_SAMPLES: Final[tuple[msgspec.Struct, ...]] = (
    ProjectSources(project="web", sources=[_source]),
    _state,
    SourcePutRequest(source=_source, project="web", position=2, fresh=True),
    SourceReply(source=_view, created=True, warnings=["the docker plugin is not on b1"]),
    SourceListRequest(project="web", name="web"),
    SourceList(sources=[_view]),
    SourceRemoveRequest(name="web", project="web"),
    SourceTestRequest(source=_source, project="web"),
    SourceTested(
        count=1, sample=[_node], runner="a1", plugin_version="1.0", duration_s=0.5, warnings=["one is odd"],
        bearers=[_bearer],
    ),
    SourceRefreshRequest(name="web", project="web"),
    SourceRefreshed(state=_state),
    DiscoverRequest(
        source="web", plugin="docker", project="web", config={"tags": "x"}, timeout_s=30.0, known_digest="sha256:00"
    ),
    Discovery(
        runner="a1", plugin_version="1.0", digest="sha256:00", count=1, unchanged=True, nodes=[_node],
        parcel="679cb9c0-00ff00ff00ff00ff-0123456789abcdef0123456789abcdef", duration_s=0.5, warnings=["one is odd"],
    ),
)  # fmt: skip
