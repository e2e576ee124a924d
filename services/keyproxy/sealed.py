"""Values on their way to be stored: sealed with a key of the master key in force, opened with any that is known."""

from __future__ import annotations

from typing import Final

from bus.sealing import SealFault, SealingError, SealingKey
from services.keyproxy.masterkey import MasterKey
from services.keyproxy.store import KeyStore

_PURPOSE: Final = "runbus keyproxy requests"


class Sealing:
    """All keyproxies of one file of keys have the same keys: what is sealed for one, any of them can open.

    Also while another master key is put in place: a value may be sealed before, and arrive after.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._derived: dict[MasterKey, SealingKey] = {}

    async def public(self) -> str:
        """What to seal with now. Raises ``key_unavailable`` where the master key in force is not known here."""
        return self._of((await self._store.masters())[0]).public

    async def open(self, sealed: str) -> bytes:
        """The value. Raises :class:`bus.sealing.SealingError`, and as :meth:`public` does."""
        try:
            return await self._opened(sealed)
        except SealingError as error:
            if error.reason is not SealFault.NOT_OPENED:
                raise
        await self._store.refresh_masters()  # another keyproxy may know of a new one already
        return await self._opened(sealed)

    async def _opened(self, sealed: str) -> bytes:
        first, *others = await self._store.masters()
        for master in others:
            try:
                return self._of(master).open(sealed)
            except SealingError as error:
                if error.reason is not SealFault.NOT_OPENED:
                    raise
        return self._of(first).open(sealed)

    def _of(self, master: MasterKey) -> SealingKey:
        if master not in self._derived:
            self._derived[master] = SealingKey.derived(master.secret, _PURPOSE)
        return self._derived[master]
