"""The data of one workflow on a runner, and the runner as a node of its own."""

from __future__ import annotations

import getpass
import platform
import socket

from domain.workflow.scope import Data, Scope, facts_of, scope_of, target_of
from schemas.nodes import Node

__all__ = ["Data", "Scope", "facts_of", "own_node", "scope_of", "target_of"]


def own_node(runner: str, tags: list[str]) -> Node:
    """The runner as a node: what a job without a node filter runs on ("Dispatch to nodes")."""
    system = platform.uname()
    return Node(
        name=runner,
        attributes={
            "hostname": socket.gethostname(),
            "osFamily": "unix",
            "osName": system.system,
            "osVersion": system.release,
            "osArch": system.machine,
            "username": _user(),
            "description": f"Runner {runner}",
        },
        tags=sorted(tags),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return ""
