"""What the runner brings to every assignment."""

from __future__ import annotations

import msgspec

from bus.connection import Bus
from bus.sealing import SealingKey
from domain.context.masking import Masker
from schemas.nodes import Node
from schemas.subjects import Subjects
from services.runner.inventory import PluginInventory
from services.runner.keyuse import ReadsKeys
from services.runner.process import GroupFile
from services.runner.slots import Slots
from services.runner.workdir import WorkDirs


class Workplace(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a runner that an assignment uses."""

    bus: Bus
    subjects: Subjects
    runner: str
    instance: str
    sealing: SealingKey
    """Opens what is sealed to this run of the runner's process."""
    keys: ReadsKeys
    plugins: PluginInventory
    slots: Slots
    work_dirs: WorkDirs
    groups: GroupFile
    env: dict[str, str]
    env_secrets: list[str]
    """Values of the runner's environment that no log may show."""
    masker: Masker
    """For assignments without secrets of their own."""
    own_node: Node
    grace_s: float
