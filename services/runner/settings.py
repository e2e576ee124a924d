"""Settings of a runner."""

from __future__ import annotations

import msgspec

from bus.logs import LogFormat


class RunnerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``RUNBUS_<FIELD>`` each, or an option of ``runbus runner start``."""

    runner_id: str
    runner_tags: str = ""
    """Separated by commas."""
    runner_projects: str = "default"
    """Separated by commas."""
    runner_local: bool = False
    nats_url: str = "nats://127.0.0.1:4222"
    prefix: str = "rb"
    connect_wait_s: float = 30.0
    max_running: int = 50
    work_dir: str = ""
    """Where executions get their private directories; the system's temporary directory if empty."""
    ack_wait_s: float = 30.0
    """The lease of an assignment, as the dispatcher set it; renewed three times within it."""
    grace_s: float = 5.0
    """Between SIGTERM and SIGKILL."""
    drain_s: float = 600.0
    """How long a draining runner waits for what runs before it ends it."""
    log_level: str = "info"
    log_format: LogFormat = "auto"

    @property
    def tags(self) -> list[str]:
        """The tags as given."""
        return [part for part in self.runner_tags.split(",") if part.strip()]

    @property
    def projects(self) -> list[str]:
        """The projects as given."""
        return [part.strip() for part in self.runner_projects.split(",") if part.strip()]
