"""The connections of AWS' library, with bounds: it would read an answer of any length, for any time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import urllib3

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.answers import MAX_BYTES, AnswerTooLargeError, AnswerTooSlowError, body_of, watched
from services.runner.keystorage.aws.api import errors
from services.runner.keystorage.aws.config import AwsConfig
from services.runner.keystorage.threads import current


def bound(client: Any, config: AwsConfig) -> Any:
    """The client, which from now on sends through :class:`_Session`."""
    endpoint = client._endpoint  # noqa: SLF001  (the library has no public place for it)
    endpoint.http_session = _Session(endpoint.http_session, config)
    return client


class _Session:
    """Sends a request. Raises :class:`KeyStorageError`, which the library lets pass and does not try again."""

    def __init__(self, inner: Any, config: AwsConfig) -> None:
        self._inner = inner
        self._config = config
        pools = inner._pool_classes_by_scheme  # noqa: SLF001
        pools.update({scheme: watched(pool) for scheme, pool in list(pools.items())})

    def send(self, request: Any) -> Any:
        """Its answer, read to the end. Raises exceptions of botocore, too."""
        call = current()
        if call is not None and call.is_cut:
            raise self._error("it was given up", KeyFailure.TIMEOUT)
        until_s = time.monotonic() + self._config.attempt_s
        request.stream_output = True  # the library is not to read it
        try:
            answer = self._inner.send(request)
            answer.raw = _Read(self._body(request, answer, until_s))
        finally:
            if call is not None:
                call.unwatch()
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _body(self, request: Any, answer: Any, until_s: float) -> bytes:
        try:
            return body_of(answer.raw, until_s, decode=False)
        except AnswerTooLargeError:
            text = f"it answers with more than {MAX_BYTES >> 20} MiB. Is endpoint wrong, or a proxy in between?"
            raise self._error(text, KeyFailure.TOO_LARGE) from None
        except AnswerTooSlowError:
            text = f"its answer had not come to an end after {self._config.attempt_s:g} s. Is it overloaded?"
            raise self._error(text, KeyFailure.TIMEOUT) from None
        except urllib3.exceptions.ReadTimeoutError as cause:
            raise errors.ReadTimeoutError(endpoint_url=request.url, error=cause) from None
        except (urllib3.exceptions.HTTPError, OSError) as cause:
            raise errors.ConnectionClosedError(endpoint_url=request.url, error=cause) from None

    def _error(self, why: str, reason: KeyFailure) -> KeyStorageError:
        return KeyStorageError(f"{self._config.place}: {why}", reason=reason)


class _Read:
    """What the library takes for an answer yet to be read."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        """All of it."""
        yield self._data
