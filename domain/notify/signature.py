"""The signature of a webhook: who has the secret can tell that a request is ours, unchanged, and not an old one."""

from __future__ import annotations

import hmac
from typing import Final

HEADER: Final = "X-Runbus-Signature"


def signature(secret: str, body: bytes, *, unix_s: int) -> str:
    """``t=<unix>,v1=<hex>``, where hex is HMAC-SHA256 over ``<unix>.<body>`` with the secret as UTF-8."""
    digest = hmac.new(secret.encode(), b"%d." % unix_s + body, "sha256").hexdigest()
    return f"t={unix_s},v1={digest}"
