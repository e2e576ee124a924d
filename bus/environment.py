"""Taking secrets out of the environment of this process."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection


def taken(names: Collection[str]) -> dict[str, str]:
    """Take variables out of the environment, and return those that were set.

    Their values are overwritten where the process was given them, too. There ``/proc/PID/environ`` shows them to the
    end, whatever becomes of the variables; and jobs of a runner beside this process are processes of the same user,
    who may read that.
    """
    found = {name: os.environ[name] for name in names if name in os.environ}
    if found:
        _blank_out({os.fsencode(name) for name in found})
    for name in found:
        del os.environ[name]
    return found


def _blank_out(names: set[bytes]) -> None:
    import ctypes  # noqa: PLC0415  (half a megabyte, for whoever was given such a variable)

    entries = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    for index in itertools.count():
        address = entries[index]
        if address is None:
            return
        name, is_set, value = ctypes.string_at(address).partition(b"=")
        if name in names:
            ctypes.memset(address + len(name) + len(is_set), ord("x"), len(value))
