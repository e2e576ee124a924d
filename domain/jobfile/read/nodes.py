"""``nodefilters``: which nodes a job, or a call of one, is dispatched to, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from domain.context.arguments import join_arguments
from domain.jobfile.notes import Place
from domain.jobfile.read.fields import Fields, Table, read_map
from domain.jobfile.read.values import flag, is_blank, one_word, optional_text, trimmed_text, whole_number
from schemas.jobs import NodeDispatch

DISPATCH_FIELDS: Final[Table] = {
    "threadcount": whole_number(least=1),
    "keepgoing": flag,
    "excludePrecedence": flag,
    "rankAttribute": trimmed_text,
    "rankOrder": one_word("ascending", "descending", folded=str.lower),
    "successOnEmptyNodeFilter": flag,
    "nodeIntersect": flag,
}
_LEGACY_FIELDS: Final[Table] = dict.fromkeys(
    ("hostname", "name", "tags", "os-name", "os-family", "os-arch", "os-version"), trimmed_text
)


def dispatch(place: Place) -> dict[str, Any] | None:
    """The settings of a ``dispatch`` map; None where nothing is given."""
    return None if is_blank(place.node) else read_map(place, DISPATCH_FIELDS).values


def _legacy(place: Place) -> dict[str, Any] | None:
    return None if is_blank(place.node) else read_map(place, _LEGACY_FIELDS).values


NODEFILTER_FIELDS: Final[Table] = {
    "filter": optional_text,
    "filterExclude": optional_text,
    "dispatch": dispatch,
    "include": _legacy,
    "exclude": _legacy,
    "excludeprecedence": flag,
}


def nodefilters(place: Place) -> Fields | None:
    """The fields of a ``nodefilters`` map; None where nothing is given."""
    return None if is_blank(place.node) and not _has_filter(place) else read_map(place, NODEFILTER_FIELDS)


def node_dispatch(filters: Fields | None, beside: Mapping[str, Any] | None) -> NodeDispatch | None:
    """The dispatch, or None where there is no filter: without one, the original runs on its own node only.

    ``beside`` is a ``dispatch`` map that stands beside the node filters, as in XML.
    """
    given = _settings(filters, beside)
    if filters is None or not (_has_filter(filters.place) or given.get("nodeIntersect")):
        return None
    return NodeDispatch(
        filter=filters.get("filter", "") if "filter" in filters.places else _as_filter(filters),
        filter_exclude=filters.get("filterExclude", ""),
        exclude_precedence=given.get("excludePrecedence", True),
        threadcount=given.get("threadcount", "1"),
        keepgoing=given.get("keepgoing", False),
        rank_attribute=given.get("rankAttribute", ""),
        rank_order=given.get("rankOrder", "ascending"),
        success_on_empty_node_filter=given.get("successOnEmptyNodeFilter", False),
        intersect=given.get("nodeIntersect", False),
    )


def idle_settings(filters: Fields | None, beside: Mapping[str, Any] | None) -> dict[str, Any]:
    """The dispatch settings of a job without a filter, where they differ from what holds anyway."""
    usual = {"threadcount": "1", "keepgoing": False, "excludePrecedence": True, "rankOrder": "ascending",
             "successOnEmptyNodeFilter": False, "nodeIntersect": False}  # fmt: skip
    return {name: value for name, value in _settings(filters, beside).items() if usual.get(name) != value}


def _settings(filters: Fields | None, beside: Mapping[str, Any] | None) -> dict[str, Any]:
    given = dict(beside or {})
    if filters is not None:
        given |= filters.get("dispatch", {})
        if "excludeprecedence" in filters.values:
            given.setdefault("excludePrecedence", filters.get("excludeprecedence"))
    return given


def _has_filter(place: Place) -> bool:
    """A filter that is given but empty counts: it matches no node."""
    return any(
        name == "filter" or (name in ("include", "exclude") and not is_blank(part.node))
        for name, part in place.fields()
    )


def _as_filter(filters: Fields) -> str:
    """The filter string for the original's older form of two maps."""
    words: list[str] = []
    for name, sign in (("include", ""), ("exclude", "!")):
        for key, value in filters.get(name, {}).items():
            words += [f"{sign}{key}:", value]
    return join_arguments(words)
