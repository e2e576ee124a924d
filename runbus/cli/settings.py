"""Settings of a command."""

from __future__ import annotations

import os

import msgspec

from bus.settings import load
from runbus.cli.context import Options
from schemas.api import DEFAULT_PROJECT


class CliSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``RUNBUS_<FIELD>`` each, or an option."""

    nats_url: str = "nats://127.0.0.1:4222"
    prefix: str = "rb"
    project: str = DEFAULT_PROJECT
    user: str = ""


def settings_of(options: Options) -> CliSettings:
    """Options first, then the environment. Raises for ``RUNBUS_`` names that nobody knows."""
    return load(
        CliSettings, os.environ, nats_url=options.nats_url, prefix=options.prefix, project=options.project
    )  # fmt: skip
