"""A runner's session with Vault: let in once for all who ask, kept alive, and let in again where it ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from hvac.api import auth_methods as methods  # type: ignore[import-untyped]

from runbus.plugin import KeyStorageError
from services.runner.keystorage.threads import Threads
from services.runner.keystorage.vault.calls import AT_ONCE, Adapter, Answer, Http
from services.runner.keystorage.vault.config import AuthBackend, VaultConfig
from services.runner.keystorage.vault.faults import Fault, too_slow
from services.runner.keystorage.vault.logins import granted, log_in, refused_login
from services.runner.keystorage.vault.refusals import refused
from services.runner.keystorage.vault.tokens import Token

_YOUNG_S: Final = 10.0
"""A login as fresh as this one is not at fault for a refusal: a forbidden tree must not bring a login per key."""
_REFUSED_FOR_S: Final = 3.0
_SHORTEST_S: Final = 0.2
"""Between two attempts to renew, while nobody answers."""
_GONE: Final = "invalid token"
"""So Vault since 1.10 says in a 403 that the token is no more; before, it says nothing of the reason."""


class Session:
    """Calls to one Vault. Raises :class:`KeyStorageError`."""

    def __init__(self, config: VaultConfig) -> None:
        self._config = config
        self._http = Http(config)
        self._threads = Threads(AT_ONCE, "runbus-vault")
        self._token: Token | None = None
        self._login: asyncio.Task[Token] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._refused_until_s = 0.0

    async def ask(self, url: str, *, is_list: bool = False) -> Answer:
        """Read or list; where the token is no longer taken, once more with a new one."""
        method = "list" if is_list else "get"
        token = await self._let_in()
        answer = await self._call(partial(token.adapter.request, method, url))
        if answer.status != HTTPStatus.FORBIDDEN or not await self._is_ended(token, answer):
            return answer
        if self._token is token:
            self._token = None
        token = await self._let_in()
        return await self._call(partial(token.adapter.request, method, url))

    async def close(self) -> None:
        """Give the token back, and let go of the connections."""
        for task in (self._keeper, self._login):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, KeyStorageError):
                    await task
        token, self._token = self._token, None
        try:
            if token is not None and self._config.auth_backend is not AuthBackend.TOKEN:
                # Once, whatever comes of it: a token that is not given back ends by itself.
                await self._in_thread(self._own(token).revoke_self)
        finally:
            self._http.close()
            self._threads.close()

    async def _let_in(self) -> Token:
        """The token; where there is none, all who wait share one login, and its failure."""
        if self._token is not None and not self._token.has_ended:
            return self._token
        login = self._login
        if login is None or (login.done() and self._may_try()):
            login = self._login = asyncio.create_task(self._log_in(), name="vault login")
        # One who gives up must not end it for the others.
        await asyncio.wait([login])
        if failure := login.exception():
            if isinstance(failure, KeyStorageError):
                # Each has an error of his own: a traceback grows with every one who raises it.
                raise KeyStorageError(failure.message, reason=failure.reason)
            raise failure
        return login.result()

    def _may_try(self) -> bool:
        """Not at once after a refusal: Vault locks users out for a few of them."""
        return asyncio.get_running_loop().time() >= self._refused_until_s

    async def _log_in(self) -> Token:
        answer = await self._call(lambda: log_in(self._http, self._config))
        grant = granted(answer, self._config) if answer.status == HTTPStatus.OK else None
        if grant is None:
            grant = self._without_lookup(answer)
        text = str(grant["client_token"])
        self._token = token = Token(
            text,
            Adapter(self._http, token=text, namespace=self._config.namespace),
            is_renewable=grant.get("renewable") is True,
            lease_s=_seconds(grant.get("lease_duration")),
        )
        if self._keeper is not None:
            self._keeper.cancel()
        self._keeper = asyncio.create_task(self._keep(token), name="vault renewal") if token.lease_s else None
        return token

    def _without_lookup(self, answer: Answer) -> dict[str, Any]:
        """A token need not be allowed to look at itself. Any other answer without a grant is an error."""
        if answer.body is None or answer.is_passing or answer.status < HTTPStatus.BAD_REQUEST:
            raise refused(answer, self._config, "its login")
        is_token = self._config.auth_backend is AuthBackend.TOKEN
        if is_token and answer.status == HTTPStatus.FORBIDDEN and not answer.says(_GONE):
            return {"client_token": self._config.token}
        self._refused_until_s = asyncio.get_running_loop().time() + _REFUSED_FOR_S
        raise refused_login(answer, self._config)

    async def _keep(self, token: Token) -> None:
        """Renew at two thirds of the time that is left; where that is no use, let the next one log in anew."""
        is_given = self._config.auth_backend is AuthBackend.TOKEN
        while token.is_renewable and not token.has_ended:
            await asyncio.sleep(max(token.left_s * 2 / 3, _SHORTEST_S))
            before_s = token.left_s
            is_answered = await self._renew(token)
            # Near the longest time that Vault grants a token, renewing adds nothing.
            if is_answered and token.left_s < before_s + min(1.0, token.lease_s / 10):
                break
        # A token that was given is used to its end; another one is replaced before that.
        await asyncio.sleep(token.left_s if is_given else token.left_s * 2 / 3)
        token.end()

    async def _renew(self, token: Token) -> bool:
        """Whether there was an answer at all; one that grants time has changed the token."""
        came = await self._in_thread(self._own(token).renew_self)
        if isinstance(came, Fault) or came.body is None or came.is_passing:
            return False
        auth = came.body.get("auth")
        if came.status == HTTPStatus.OK and isinstance(auth, dict):
            token.renew(_seconds(auth.get("lease_duration")))
        return True

    async def _is_ended(self, token: Token, answer: Answer) -> bool:
        """Whether a refusal may be due to the token. Raises where it is, and no other can be had."""
        if self._token is not token:
            return True
        is_gone = answer.says(_GONE)
        if self._config.auth_backend is not AuthBackend.TOKEN:
            return is_gone or token.age_s > _YOUNG_S
        if is_gone:
            raise refused_login(answer, self._config)
        return False

    def _own(self, token: Token) -> methods.Token:
        """For what a token asks about itself: it lives where it was made."""
        namespace = self._config.auth_namespace or self._config.namespace
        return methods.Token(Adapter(self._http, token=token.text, namespace=namespace))

    async def _call(self, call: Callable[[], Answer | Fault]) -> Answer:
        """Make a call, and again where nobody was there or Vault had trouble of its own."""
        left = self._config.max_retries
        while True:
            came = await self._in_thread(call)
            if left == 0 or not came.is_passing:
                break
            left -= 1
            await asyncio.sleep(self._config.retry_interval_ms / 1000)
        if isinstance(came, Fault):
            raise came.error()
        return came

    async def _in_thread(self, call: Callable[[], Answer | Fault]) -> Answer | Fault:
        """What comes of a call, within the time of one attempt: a login that drips is everybody's login."""
        try:
            return await self._threads.run(call, within_s=self._config.attempt_s)
        except TimeoutError:
            return too_slow(self._config)


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and value > 0 else 0.0
