"""Plugins that send notifications: found by type, loaded when needed, told what to send."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest

from runbus.plugin import ENTRY_POINT_GROUP, Notice, NotificationError
from schemas.jobs import JobRef, Notification, Trigger
from schemas.notices import NotificationTask
from schemas.states import ExecutionState
from services.dispatcher.notify.plugins import NotificationPlugins


class Chat:
    """Keeps what it was told."""

    version: ClassVar[str] = "1"
    told: ClassVar[list[tuple[Mapping[str, Any], str]]] = []

    async def send(self, config: Mapping[str, Any], notice: Notice) -> None:
        if config.get("fail"):
            raise NotificationError("the room is closed.", permanent=True)
        self.told.append((config, notice.execution))


def plugins(**values: str) -> NotificationPlugins:
    entries = [EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in values.items()]
    return NotificationPlugins(
        [EntryPoint(f"notification/{each.name}", each.value, each.group) for each in entries]
        + [EntryPoint("command", "services.runner.plugins.command:CommandStep", ENTRY_POINT_GROUP)]
    )


def task(kind: str, **config: Any) -> NotificationTask:
    notice = Notice(
        trigger=Trigger.SUCCESS, execution="e1", project="p", state=ExecutionState.SUCCEEDED, at=datetime.now(UTC),
        job=JobRef(uuid="u", name="deploy"), options={"room": "ops"},
    )  # fmt: skip
    return NotificationTask(
        notification=Notification(trigger=Trigger.SUCCESS, type=kind, config=config), notice=notice
    )


async def test_a_plugin_is_told_with_its_references_filled_in() -> None:
    Chat.told.clear()
    found = plugins(chat=f"{__name__}:Chat")
    assert found.names == ["chat"]
    config = {"room": "${option.room}", "lines": ["${job.name} ${option.none}", 1], "deep": {"on": True}}
    await found.send(task("chat", **config), "e1.onsuccess.1-1")
    assert Chat.told == [({"room": "ops", "lines": ["deploy ${option.none}", 1], "deep": {"on": True}}, "e1")]


async def test_a_plugin_that_refuses_is_heard() -> None:
    with pytest.raises(NotificationError, match="the room is closed"):
        await plugins(chat=f"{__name__}:Chat").send(task("chat", fail=True), "n")


async def test_a_plugin_that_is_not_there_or_cannot_be_loaded_fails_for_good() -> None:
    found = plugins(chat=f"{__name__}:Chat", broken="no_such_module:Plugin")
    for kind, said in (("pager", "there are: broken, chat"), ("broken", "ModuleNotFoundError")):
        with pytest.raises(NotificationError, match=said) as caught:
            await found.send(task(kind), "n")
        assert caught.value.permanent
