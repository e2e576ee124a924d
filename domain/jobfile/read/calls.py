"""``jobref``: the call of another job."""

from __future__ import annotations

from typing import Final

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.fields import Table, Unknown, read_map
from domain.jobfile.read.nodes import dispatch, idle_settings, node_dispatch, nodefilters
from domain.jobfile.read.values import flag, some_text, trimmed_text
from schemas.jobs import JobCall


def _group(place: Place) -> str | None:
    return (trimmed_text(place) or "").strip("/") or None


CALL_FIELDS: Final[Table] = {
    "name": some_text,
    "group": _group,
    "uuid": trimmed_text,
    "project": trimmed_text,
    "args": some_text,
    "useName": flag,
    "nodeStep": flag,
    "nodefilters": nodefilters,
    "dispatch": dispatch,
    "importOptions": flag,
    "childNodes": flag,
    "failOnDisable": flag,
    "ignoreNotifications": flag,
}


def job_call(place: Place) -> tuple[JobCall, bool]:
    """The call, and whether it is made for each node. Unless told so, it is made once, as in the original."""
    before = place.notes.count
    fields = read_map(place, CALL_FIELDS, unknown=Unknown.KEPT, vital=("nodefilters",))
    if not ("name" in fields.values or "uuid" in fields.values) and place.notes.count == before:
        raise Refused("names no job; give 'name' (with its 'group') or 'uuid'")
    if place.notes.count > before:
        raise Refused
    filters, beside = fields.get("nodefilters"), fields.get("dispatch")
    nodes = node_dispatch(filters, beside)
    if nodes is None and (idle := idle_settings(filters, beside)):
        fields.extras["nodefilters"] = {"dispatch": idle}
        where = fields.places.get("nodefilters") or fields.places["dispatch"]
        where.warn("kept, and without effect: there is no 'filter'")
    return (
        JobCall(
            **fields.only("name", "group", "uuid", "project", "args"),
            use_name=fields.get("useName", False),
            nodes=nodes,
            import_options=fields.get("importOptions", False),
            child_nodes=fields.get("childNodes", False),
            fail_on_disable=fields.get("failOnDisable", False),
            ignore_notifications=fields.get("ignoreNotifications", False),
            extras=fields.extras,
        ),
        fields.get("nodeStep", False),
    )
