"""Looking at a job's notifications when it is stored, so that faults are told before and not when one is due."""

from __future__ import annotations

from collections.abc import Collection

from domain.context.references import has_reference
from domain.notify.config import EMAIL, WEBHOOKS, mail_of, webhook_of
from schemas.jobs import JobDefinition, Notification, Trigger


def check_notifications(job: JobDefinition, *, plugins: Collection[str] = (), sends_mail: bool = True) -> list[str]:
    """Warnings about what cannot be delivered; ``plugins`` are the notification plugins that dispatchers have.

    Raises ``invalid_job`` for a bad URL, address, method or format, with the trigger it is of.
    """
    warnings = []
    for number, each in enumerate(job.notifications, start=1):
        _require_readable(each)
        where = f"notification {number} ({each.trigger}, {each.type[:40]})"
        if each.type == EMAIL and not sends_mail:
            warnings.append(f"{where} cannot be sent: set RUNBUS_SMTP_URL and RUNBUS_MAIL_FROM of the dispatchers.")
        if each.type not in {EMAIL, *WEBHOOKS, *plugins}:
            warnings.append(
                f"{where} cannot be sent: no dispatcher has a notification plugin {each.type[:40]!r}; "
                f"install one under the entry point 'notification/{each.type[:40]}'."
            )
    if job.average_duration_threshold and not any(
        each.trigger is Trigger.AVERAGE_DURATION for each in job.notifications
    ):
        warnings.append("notifyAvgDurationThreshold means nothing: the job has no onavgduration notification.")
    threshold = job.average_duration_threshold
    if threshold and not has_reference(threshold) and not any(letter.isdigit() for letter in threshold):
        warnings.append(f"notifyAvgDurationThreshold {threshold[:40]!r} holds no number: the average is taken.")
    return warnings


def _require_readable(notification: Notification) -> None:
    if notification.type in WEBHOOKS:
        webhook_of(notification)
    elif notification.type == EMAIL:
        mail_of(notification)
