"""Settings of a runner."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

import msgspec

from bus.logs import LogFormat
from schemas.errors import RunbusError
from schemas.tokens import given_tag


class RunnerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``RUNBUS_<FIELD>`` each, or an option of ``runbus runner start``."""

    runner_id: str
    runner_tags: str = ""
    """Separated by commas; none if empty."""
    runner_projects: str = "default"
    """Separated by commas."""
    runner_local: bool = False
    runner_as_node: bool = False
    """The runner itself is a node of its projects, under its id."""
    nats_url: str = "nats://127.0.0.1:4222"
    prefix: str = "rb"
    connect_wait_s: float = 30.0
    max_running: int = 50
    work_dir: str = ""
    """Where executions get their private directories, and a file names the process groups that run; the system's
    temporary directory if empty."""
    key_storage: str = ""
    """A YAML file that says where the runner's keys are; see also ``RUNBUS_KEY_STORAGE_TYPE`` and what follows it."""
    keys_dir: str = ""
    """Short for a key storage of the type ``file``: a directory of files, each its owner's only."""
    key_check_s: float = 30.0
    """How often its key storages are asked whether they answer."""
    ack_wait_s: float = 30.0
    """The lease of an assignment, as the dispatcher set it; renewed three times within it."""
    grace_s: float = 5.0
    """Between SIGTERM and SIGKILL."""
    drain_s: float = 600.0
    """How long a draining runner waits for what runs before it ends it."""
    log_level: str = "info"
    log_format: LogFormat = "auto"

    def __post_init__(self) -> None:
        """Refuse a tag that cannot be one here, where it was written, and not at the registry."""
        for number, each in enumerate(self.tags, start=1):
            try:
                given_tag(each)
            except RunbusError as error:
                raise RunbusError(
                    error.code,
                    f"tag {number} of RUNBUS_RUNNER_TAGS={self.runner_tags[:200]!r}: {error.message}",
                    details=error.details | {"setting": "RUNBUS_RUNNER_TAGS", "position": number},
                ) from None

    @property
    def tags(self) -> list[str]:
        """The tags as given; what is empty between two commas stays, and is refused."""
        return self.runner_tags.split(",") if self.runner_tags.strip() else []

    @property
    def projects(self) -> list[str]:
        """The projects as given."""
        return [part.strip() for part in self.runner_projects.split(",") if part.strip()]

    @property
    def group_file(self) -> Path:
        """Where the process groups that run are noted: one file for each runner of each Runbus on this machine."""
        whole = "\0".join((self.nats_url, self.prefix, self.runner_id))
        shown = re.sub(r"[^A-Za-z0-9_-]", "_", self.runner_id)[:64]
        name = f"runbus-{shown}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}.groups"
        return Path(self.work_dir or tempfile.gettempdir()) / name
