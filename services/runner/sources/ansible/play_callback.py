"""A callback plugin for ``ansible-playbook``: what each host answered, or why it did not, a line of JSON each.

It is copied beside the play and runs in Ansible's own Python, whichever that is; nothing of Runbus is there.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase  # type: ignore[import-untyped]

DOCUMENTATION = """
name: runbus_facts
type: notification
short_description: Facts and failures of hosts as lines of JSON
description: Appends an object to RUNBUS_FACTS_FILE for each answer of a host, with the facts that are asked for.
requirements: [Both variables have to be in the environment.]
options: {}
"""
_FILE = "RUNBUS_FACTS_FILE"
_NAMES = "RUNBUS_FACTS_NAMES"
_MAX_FAILURE_CHARS = 500


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """What Ansible looks for; the methods' names and arguments are Ansible's."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "runbus_facts"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._names = set(os.environ.get(_NAMES, "").split(","))

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task was done on a host: the one that gathers facts, or the one that prints names."""
        found = result._result  # noqa: SLF001  (the name that every version has)
        if "ansible_facts" in found:
            facts = found["ansible_facts"].items()
            # of some 500 facts of Ansible's own few are wanted; what others add is not prefixed
            wanted = {name: value for name, value in facts if name in self._names or not name.startswith("ansible_")}
            self._write(result, facts=wanted)
        elif isinstance(found.get("msg"), dict):
            self._write(result, names=found["msg"])

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed on a host."""
        if not ignore_errors:
            self._write(result, failure=self._reason(result))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host did not let Ansible in, or was not there."""
        self._write(result, failure=self._reason(result), unreachable=True)

    def _reason(self, result: Any) -> str:
        whole = result._result  # noqa: SLF001
        # what gathers facts runs modules of its own, and their words are the ones that help
        said = next(iter(whole.get("failed_modules", {}).values()), whole)
        text = said.get("module_stderr") or said.get("msg") or whole.get("msg") or "no reason was given"
        return " ".join(str(text).split())[-_MAX_FAILURE_CHARS:]

    def _write(self, result: Any, **record: Any) -> None:
        record["host"] = result._host.get_name()  # noqa: SLF001
        with open(os.environ[_FILE], "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps(record, default=str) + "\n")
