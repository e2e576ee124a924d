"""When a running execution is lost with its runner. Pure: what to find out is the dispatcher's matter."""

from __future__ import annotations

import msgspec

from schemas.runners import RunnerView
from schemas.states import RunnerStatus


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the runner process (the instance) that claimed an execution."""

    instance: str
    """The claimant."""
    seen: RunnerView | None
    """What some copy of the registry says of the runner; it may lag behind."""
    recorded: str | None
    """The instance in the runner's record, read where it is stored after the claim was heard; None: no record."""
    answering: str = ""
    """The instance that answers under the runner's id; empty where nobody does."""


def is_suspect(instance: str, seen: RunnerView | None) -> bool:
    """Whether what a copy of the registry says is a reason to find out more. It never is a verdict by itself."""
    return seen is None or seen.instance != instance or seen.status is RunnerStatus.DOWN


def why_lost(runner: str, evidence: Evidence) -> str:
    """Why the claimant will not finish an execution; empty where it may.

    The rule, which no lagging copy of the registry can fool and which compares no clocks:

    1. An instance that answers has lost nothing.
    2. A runner's record is stored before it learns that it is registered, hence before its first claim. So a
       record that is read after the claim was heard bears the claimant or one that registered later: another
       instance in it, or its removal, supersedes the claimant.
    3. Where the record bears the claimant, only Down ends it, and only as said of this very instance: a copy that
       still shows an earlier one has not listened to this one's heartbeats.
    """
    what = "what was done by then is not known, and it is not run again by itself."
    if evidence.answering == evidence.instance:
        return ""
    if evidence.recorded is None:
        return f"runner {runner} was removed while it ran this; {what}"
    if evidence.recorded != evidence.instance:
        return f"runner {runner} was restarted while it ran this; {what}"
    seen = evidence.seen
    if seen is not None and seen.instance == evidence.instance and seen.status is RunnerStatus.DOWN:
        return f"runner {runner} went down while it ran this; {what}"
    return ""
