"""What can go wrong, as a closed list of codes, one exception and one reply."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Any, Final

import msgspec


class ErrorCode(StrEnum):
    """Every code a reply or a failed execution can bear; the text says what to do, the code is for programs."""

    INVALID_MESSAGE = "invalid_message"
    """The bytes do not decode as the message that the subject takes."""
    UNSUPPORTED_VERSION = "unsupported_version"
    """The ``type`` is of a version, or a kind, that this part does not know."""
    TOO_LARGE = "too_large"
    """More than one message of the bus takes."""
    INVALID_NAME = "invalid_name"
    """A name that cannot be one token of a subject, or is reserved."""
    INVALID_TAG = "invalid_tag"
    """A tag that is empty, reserved or too long, or holds a separator or a control character."""
    INVALID_SELECTOR = "invalid_selector"
    """Mode and filter of a selector contradict each other."""
    INVALID_JOB = "invalid_job"
    """A job file with an unknown field, a wrong type or a missing part; ``details.problems`` lists them."""
    INVALID_OPTION = "invalid_option"
    """The value of an option is not one it may have."""
    UNKNOWN_JOB = "unknown_job"
    """The project has no such job."""
    UNKNOWN_OPTION = "unknown_option"
    """The job has no such option."""
    UNKNOWN_PROJECT = "unknown_project"
    """There is no such project."""
    UNKNOWN_EXECUTION = "unknown_execution"
    """The project has no such execution."""
    UNKNOWN_RUNNER = "unknown_runner"
    """There is no such runner."""
    UNKNOWN_NODE = "unknown_node"
    """The project has no such node."""
    PARCEL_LOST = "parcel_lost"
    """What was too large for a message is not where it was parked, not any more, or is damaged."""
    ALREADY_EXISTS = "already_exists"
    """The name is taken."""
    RUNNER_ID_TAKEN = "runner_id_taken"
    """A runner is connected under this id."""
    RUNNER_CONNECTED = "runner_connected"
    """The runner is connected, and what was asked needs that it is not."""
    RUNNER_NOT_CONNECTED = "runner_not_connected"
    """The runner is known and does not answer."""
    RUNNER_CHANGE_REFUSED = "runner_change_refused"
    """The run names another target and the job does not allow that at run time."""
    NO_RUNNER = "no_runner"
    """No connected runner of the project bears all the tags."""
    NO_MATCHED_NODES = "no_matched_nodes"
    """The node filter of the job matches no node of the project."""
    UNKNOWN_SOURCE = "unknown_source"
    """The project has no such node source."""
    INVALID_SOURCE = "invalid_source"
    """A node source with a setting that it cannot have."""
    DISCOVERY_FAILED = "discovery_failed"
    """A node source could not be asked, or answered with a fault; ``details.reason`` is one of ``SourceFailure``."""
    KEY_UNAVAILABLE = "key_unavailable"
    """A key that is not there, or is not to be read."""
    PLUGIN_NOT_FOUND = "plugin_not_found"
    """The runner does not bear the plugin."""
    MISSED = "missed"
    """A schedule should have started it, and it was too late when that was noticed; it never ran."""
    DEADLINE_EXCEEDED = "deadline_exceeded"
    """The execution had not ended at its deadline, queued or running."""
    TIMEOUT = "timeout"
    """The job ran longer than its own limit."""
    ABORTED = "aborted"
    """Someone ended it."""
    RUNNER_LOST = "runner_lost"
    """The runner went away and did not report an end."""
    SUPERSEDED = "superseded"
    """Another attempt has taken the assignment over: this one's end does not count."""
    STEP_FAILED = "step_failed"
    """A step ended badly; its outcome says how."""
    SPAWN_FAILED = "spawn_failed"
    """The process of a step could not be started."""
    NOT_ENDED = "not_ended"
    """It has not ended yet, and what was asked needs that."""
    ALREADY_ENDED = "already_ended"
    """It has ended, and what was asked needs that it had not."""
    ALREADY_RUNNING = "already_running"
    """The job runs, and allows no further run meanwhile."""
    JOB_DISABLED = "job_disabled"
    """The job's executions are switched off (``executionEnabled``)."""
    BUSY = "busy"
    """Too many requests at a time: try again."""
    UNAVAILABLE = "unavailable"
    """A part that is needed does not answer."""
    INTERNAL = "internal"
    """A fault of Runbus: the log has the cause under ``error_id``."""


MAX_MESSAGE_CHARS: Final = 4000
MAX_DETAILS_BYTES: Final = 64 * 1024


def new_error_id() -> str:
    """A short id that stands in the reply and in the log of whoever replied."""
    return secrets.token_hex(6)


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An error as it stands in replies and events.

    ``message`` says what happened, where, and what to do. ``error_id`` is also in the log of the part named in
    ``origin``. ``details`` holds the data that the text was built from.
    """

    code: ErrorCode
    message: str
    error_id: str = ""
    origin: str = ""
    details: dict[str, Any] = {}


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.error.v1"):
    """The reply to a request that was refused or failed."""

    error: ErrorInfo


class RunbusError(Exception):
    """An error with a code, a text for people and data for programs."""

    def __init__(self, code: ErrorCode, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}
        self.error_id = new_error_id()
        self.origin = ""

    @classmethod
    def from_info(cls, info: ErrorInfo) -> RunbusError:
        """The same error on the receiving side, with the id and origin of the sender."""
        error = cls(info.code, info.message, details=info.details)
        error.error_id, error.origin = info.error_id, info.origin
        return error

    def info(self, origin: str = "") -> ErrorInfo:
        """Put this error into a message: bounded, so that whatever an error repeats it can be told."""
        message = self.message
        if len(message) > MAX_MESSAGE_CHARS:
            message = f"{message[:MAX_MESSAGE_CHARS]}…"
        fits = len(msgspec.json.encode(self.details)) <= MAX_DETAILS_BYTES
        return ErrorInfo(
            code=self.code,
            message=message,
            error_id=self.error_id,
            origin=self.origin or origin,
            details=self.details if fits else {},
        )


def plugin_not_found(plugin: str, runner: str) -> RunbusError:
    """The original's text, word for word ("The page this project comes from", 7)."""
    return RunbusError(
        ErrorCode.PLUGIN_NOT_FOUND,
        f"Reason: The {plugin} plugin was not found on Runner ID = {runner}. "
        "You may need to upgrade your Runner or select a different Runner.",
        details={"plugin": plugin, "runner": runner},
    )
