"""Addresses of NATS, as texts show them."""

from __future__ import annotations

import re
from typing import Final

_SCHEME: Final = r"\s*[a-z][a-z0-9+.-]*://"
_BETWEEN: Final = re.compile(f",(?={_SCHEME})", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(f"({_SCHEME})?.*@", re.IGNORECASE | re.DOTALL)
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)


def without_credentials(urls: str) -> str:
    """One address, or several with commas between them, without user, password, token and query.

    Where in doubt, more is left out: a password may hold ``@``, ``/`` and commas that should have been encoded. So of
    addresses without schemes all goes that stands before the last ``@``.
    """
    return ",".join(_QUERY.sub("", _CREDENTIALS.sub(r"\1", each, count=1)) for each in _BETWEEN.split(urls))
