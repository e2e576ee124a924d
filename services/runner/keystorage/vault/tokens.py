"""A token, and how long Vault takes it."""

from __future__ import annotations

import asyncio

from services.runner.keystorage.vault.calls import Adapter


class Token:
    """What the runner was let in by. Times are the event loop's; a lease of 0 s never ends."""

    def __init__(self, text: str, adapter: Adapter, *, is_renewable: bool, lease_s: float) -> None:
        self.text = text
        self.adapter = adapter
        """For calls with it."""
        self.is_renewable = is_renewable
        self.lease_s = lease_s
        self._since_s = _now_s()
        self._until_s = self._since_s + lease_s
        self._is_over = False

    def __repr__(self) -> str:
        return f"Token(lease_s={self.lease_s:g})"

    @property
    def age_s(self) -> float:
        """Since the login."""
        return _now_s() - self._since_s

    @property
    def left_s(self) -> float:
        """Until its end; of one that never ends 0."""
        return max(self._until_s - _now_s(), 0.0)

    @property
    def has_ended(self) -> bool:
        """Whether Vault would not take it any more, or it is to be replaced."""
        return self._is_over or (self.lease_s > 0 and self.left_s == 0)

    def renew(self, lease_s: float) -> None:
        """Vault takes it for this long from now."""
        self._until_s = _now_s() + lease_s

    def end(self) -> None:
        """It is to be replaced before it is used again."""
        self._is_over = True


def _now_s() -> float:
    return asyncio.get_running_loop().time()
