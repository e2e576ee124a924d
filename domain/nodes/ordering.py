"""The order in which nodes are dispatched to: ``rankAttribute`` and ``rankOrder`` ("Dispatch to nodes", order)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cmp_to_key, partial
from typing import Any, Final

from domain.nodes.javatext import sort_keys
from domain.nodes.selection import NODE_NAME, attribute, by_name
from domain.nodes.sorting import sorted_places
from schemas.nodes import Node

_INTEGER: Final = re.compile(r"[+-]?\d{1,400}\Z")
_LIMIT: Final = 1 << 63


def ordered_nodes(nodes: Iterable[Node], *, rank_attribute: str | None = None, ascending: bool = True) -> list[Node]:
    """The nodes by an attribute, or by name: integers of 64 bits as numbers, all else as texts, missing last.

    Equal numbers are compared as texts, equal texts by name. Descending reverses all of it, also what is missing.
    Where some values are integers and others are not, these comparisons may contradict each other (``9`` before
    ``10`` before ``1a`` before ``9``); the result then is the original's for up to 31 nodes, and always the same for
    the same nodes.
    """
    named = by_name(nodes)
    values = [attribute(node, rank_attribute or NODE_NAME) for node in named]
    numbers = [None if value is None else _integer(value) for value in values]
    texts = sort_keys([value or "" for value in values])
    mixed = len({number is None for number, value in zip(numbers, values, strict=True) if value is not None}) > 1
    # sorting is stable: equals stay in the order of their names
    if not mixed:
        order = sorted_places(len(named), lambda each: (values[each] is None, numbers[each] or 0, texts[each]))
        return [named[each] for each in (order if ascending else reversed(order))]

    def compared(left: int, right: int) -> int:
        if values[left] is None or values[right] is None:
            return _sign((values[left] is None, left), (values[right] is None, right))
        first, second = numbers[left], numbers[right]
        if first is not None and second is not None and first != second:
            return -1 if first < second else 1
        return _sign((texts[left], left), (texts[right], right))

    sign = 1 if ascending else -1
    order = sorted(range(len(named)), key=cmp_to_key(partial(_signed, compared, sign)))
    return [named[each] for each in order]


def _integer(text: str) -> int | None:
    """The number, where it is an integer of 64 bits; digits of any script count, as in the original."""
    if not _INTEGER.match(text):
        return None
    number = int(text)
    return number if -_LIMIT <= number < _LIMIT else None


def _signed(compared: Callable[[int, int], int], sign: int, left: int, right: int) -> int:
    return sign * compared(left, right)


def _sign(left: tuple[Any, int], right: tuple[Any, int]) -> int:
    return (left > right) - (left < right)
