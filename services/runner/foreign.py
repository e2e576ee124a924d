"""Code of others that runs in the runner's own tasks: it may raise anything, and say anything with it."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Final, TypeVar

T = TypeVar("T")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w{0,63}(\.[A-Za-z_]\w{0,63}){0,9}", re.ASCII)


def is_cancelled() -> bool:
    """Whether the task that runs now was cancelled, so that a ``CancelledError`` is not one that a plugin made up."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def sheltered(begin: Callable[[], Awaitable[T]]) -> T:
    """What a plugin raises that is no ``Exception`` fails what it was asked for, and ends neither task nor runner.

    Raises ``RuntimeError`` for such, what is an ``Exception`` as it is, and ``CancelledError`` where the task is.
    """
    try:
        return await begin()
    except Exception:
        raise
    except BaseException as cause:
        if isinstance(cause, asyncio.CancelledError) and is_cancelled():
            raise
        raise RuntimeError(f"a plugin raised {type(cause).__name__}") from cause


def name_of(cause: BaseException) -> str:
    """The name of an exception's class; of one that was made at run time, that of its base: it may be anything."""
    for each in type(cause).__mro__:
        name = each.__name__
        if getattr(sys.modules.get(each.__module__), name, None) is each:
            return name
    return BaseException.__name__


def place_of(cause: BaseException) -> str:
    """The module and line that raised it: what the code says, never what a variable holds; empty: not known."""
    trace = cause.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else ""


def not_loaded(cause: BaseException) -> str:
    """Why a plugin cannot be loaded, without the exception's own text: it may hold what the environment does.

    What modules and attributes are called is told, as those are names that stand in code.
    """
    name, missing = name_of(cause), getattr(cause, "name", None)
    if isinstance(cause, SystemExit) and type(cause.code) is int:
        return f"{name}: {cause.code}"
    if isinstance(missing, str) and _DOTTED.fullmatch(missing):
        if isinstance(cause, ModuleNotFoundError):
            return f"{name}: No module named {missing!r}"
        if isinstance(cause, AttributeError):
            return f"{name}: {_owner(cause.obj)} has no attribute {missing!r}"
    return f"{name}, raised at {place_of(cause)} (its text is not shown, it may hold a secret)"


def _owner(thing: object) -> str:
    kind = "type object" if isinstance(thing, type) else "module" if isinstance(thing, ModuleType) else ""
    name = getattr(thing, "__name__", "") if kind else ""
    return f"{kind} {name!r}" if isinstance(name, str) and _DOTTED.fullmatch(name) else "an object"
