"""Keys that a run is to read: whether they could be had, looked at before it is queued."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from domain.fleet import TAKES_WORK
from domain.keys.needs import KeyNeed, faults_of, refuse_or_warn
from domain.keystorages import told_of_runners
from schemas.tokens import TagSet
from services.dispatcher.fleet import Fleet


async def check_keys(fleet: Fleet, project: str, needs: Sequence[KeyNeed], sets: Iterable[TagSet]) -> list[str]:
    """What to warn of. ``sets`` are those that the run's assignments are handed to.

    Raises ``key_unavailable`` where a required option has no value and its key cannot be read by anybody who may
    take the run. Where nobody is connected nothing is known: whoever comes may have it.
    """
    if not needs:
        return []
    findings = faults_of(needs, project)
    if any(need.is_of_runner for need in needs):
        for tags in sorted((each for each in sets if not each.is_local), key=lambda each: each.token):
            reply = await fleet.match(project, tags)
            connected = [runner for runner in reply.runners if runner.status in TAKES_WORK]
            findings += told_of_runners(needs, tags, connected)
    return refuse_or_warn(findings)
