"""The groups of a context that every execution has, and the environment made from all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from domain.context.scopes import Groups

ENV_PREFIX: Final = "RD_"
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")
_OF_THE_NODE: Final = {
    "os-name": "osName",
    "os-version": "osVersion",
    "os-arch": "osArch",
    "os-family": "osFamily",
    "hostname": "hostname",
    "username": "username",
    "description": "description",
}
"""Context key → attribute. They exist even when the node has no such attribute."""
_NOT_REPEATED: Final = frozenset({"nodename", "osName", "osVersion", "osArch", "osFamily", "tags"})


def environment(groups: Groups) -> dict[str, str]:
    """``RD_`` + upper(``group.key``) for every group, each character outside ``[A-Za-z0-9_]`` a ``_``.

    A NUL cannot stand in an environment and is left out of the value, as a shell does. Where two keys become one
    name, the later one holds.
    """
    return {
        variable_name(f"{group}.{key}"): value.replace("\x00", "")
        for group, values in groups.items()
        for key, value in values.items()
        if value is not None
    }


@lru_cache(maxsize=4096)
def variable_name(reference: str) -> str:
    """``option.my-name`` → ``RD_OPTION_MY_NAME``."""
    return ENV_PREFIX + _NOT_IN_A_NAME.sub("_", reference.upper())


def node_context(name: str, attributes: Mapping[str, str | None], tags: Sequence[str] = ()) -> dict[str, str]:
    """The ``node`` group ("Node context"): the nine usual keys, then every other attribute that has a value."""
    group = {"name": name, "tags": ",".join(tags)}
    group |= {key: attributes.get(attribute) or "" for key, attribute in _OF_THE_NODE.items()}
    for key, value in attributes.items():
        if value is not None and key not in group and key not in _NOT_REPEATED:
            group[key] = value
    return group


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution knows of itself and of its job; without a job, the job's fields are ``None``."""

    execid: str
    project: str
    username: str
    name: str | None = None
    group: str | None = None
    id: str | None = None
    success_on_empty_node_filter: bool | None = None
    user_email: str | None = None
    execution_type: str | None = None
    server_url: str | None = None
    url: str | None = None
    server_uuid: str | None = None
    loglevel: str | None = None
    filter: str | None = None
    threadcount: int = 1
    retry_attempt: int = 0
    retry_initial_exec_id: str = "0"
    retry_prev_exec_id: str = "0"


def job_context(facts: JobFacts) -> dict[str, str]:
    """The ``job`` group ("Job context"); a fact that is not known has no key."""
    empty_ok = facts.success_on_empty_node_filter
    known: dict[str, str | None] = {
        "name": facts.name,
        "group": facts.group,
        "id": facts.id,
        "successOnEmptyNodeFilter": None if empty_ok is None else str(empty_ok).lower(),
        "filter": facts.filter or None,
        "execid": facts.execid,
        "executionType": facts.execution_type,
        "serverUrl": facts.server_url,
        "url": facts.url,
        "serverUUID": facts.server_uuid,
        "username": facts.username,
        "user.name": facts.username,
        "user.email": facts.user_email or None,
        "project": facts.project,
        "loglevel": facts.loglevel,
        "threadcount": str(facts.threadcount),
        **_retry_keys(facts),
    }
    return {key: value for key, value in known.items() if value is not None}


def _retry_keys(facts: JobFacts) -> dict[str, str | None]:
    """A first attempt has no earlier executions, whatever is known of them."""
    again = facts.retry_attempt > 0
    return {
        "retryAttempt": str(facts.retry_attempt),
        "retryInitialExecId": facts.retry_initial_exec_id if again else "0",
        "retryPrevExecId": facts.retry_prev_exec_id if again else "0",
        "wasRetry": str(again).lower(),
    }
