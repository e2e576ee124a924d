"""Calls of AWS Secrets Manager. They block: each runs in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.aws.access import client_of
from services.runner.keystorage.aws.api import errors, unparsable
from services.runner.keystorage.aws.config import AT_A_TIME, AwsConfig
from services.runner.keystorage.aws.content import Content, content_of
from services.runner.keystorage.aws.faults import NO_ANSWER, failed
from services.runner.keystorage.threads import spread

MAX_SECRETS: Final = 50_000
"""Of one listing: 500 calls, one after the other, for AWS has no other way."""
_PAGE: Final = 100
_BATCH: Final = 20
"""As many values as one call brings."""
_FAULTS: Final = (errors.BotoCoreError, errors.ClientError, unparsable, OSError, ValueError)


class Secrets:
    """The secrets below the prefix, by the rest of their names. Raises :class:`KeyStorageError`, and nothing else."""

    def __init__(self, config: AwsConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._client: Any = None

    def content(self, path: str) -> Content:
        """What a secret holds."""
        name = self._name(path)
        answer = self._call(f"secret {name!r}", "Name", lambda client: client.get_secret_value(SecretId=name))
        return content_of(answer, self._config.storage_behaviour)

    def described(self, path: str) -> dict[str, Any]:
        """What is known of a secret, without its value."""
        name = self._name(path)
        answer = self._call(f"secret {name!r}", "Name", lambda client: client.describe_secret(SecretId=name))
        if answer.get("DeletedDate"):
            raise KeyStorageError(
                f"{self._config.place}: secret {name!r} is to be deleted", reason=KeyFailure.NOT_FOUND
            )
        return answer

    def listed(self, folder: str, limit: int = MAX_SECRETS) -> dict[str, dict[str, Any]]:
        """What is known of all secrets below a folder, by path."""
        top = self._name(f"{folder}/") if folder else self._config.name_prefix
        return dict(self._pages(top, limit))

    def contents(self, paths: Sequence[str]) -> dict[str, Content]:
        """What secrets hold, many at a time. Those that the runner may not read are left out."""
        batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
        found: dict[str, Content] = {}
        for part in spread(self._batch, batches, AT_A_TIME):
            found |= part
        return found

    def close(self) -> None:
        """Let go of connections and credentials."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _pages(self, top: str, limit: int) -> Iterator[tuple[str, dict[str, Any]]]:
        options: dict[str, Any] = {"MaxResults": min(_PAGE, limit)}
        if top:
            options["Filters"] = [{"Key": "name", "Values": [top]}]
        count = 0
        while True:
            answer = self._call("listing secrets", "SecretList", lambda client: client.list_secrets(**options))
            for secret in answer["SecretList"]:
                name = str(secret.get("Name", ""))
                # The filter takes what begins like it; some servers take more.
                if name.startswith(top) and not secret.get("DeletedDate"):
                    yield name.removeprefix(self._config.name_prefix), secret
            count += len(answer["SecretList"])
            if not answer.get("NextToken") or limit < _PAGE:
                return
            if count >= limit:
                raise KeyStorageError(
                    f"{self._config.place} has more than {limit:,} secrets below {top!r}: set a longer prefix",
                    reason=KeyFailure.TOO_LARGE,
                )
            options["NextToken"] = answer["NextToken"]

    def _batch(self, paths: Sequence[str]) -> dict[str, Content]:
        names = {self._name(path): path for path in paths}
        try:
            answer = self._call(
                "reading secrets",
                "SecretValues",
                lambda client: client.batch_get_secret_value(SecretIdList=list(names)),
            )
        except KeyStorageError as error:
            # A policy of its own: the runner may be allowed to read each secret, and not many at once.
            if error.reason is not KeyFailure.FORBIDDEN:
                raise
            return self._one_by_one(paths)
        found = {}
        for each in answer["SecretValues"]:
            if each.get("Name") in names:
                found[names[each["Name"]]] = content_of(each, self._config.storage_behaviour)
        return found

    def _one_by_one(self, paths: Sequence[str]) -> dict[str, Content]:
        found = {}
        for path in paths:
            try:
                found[path] = self.content(path)
            except KeyStorageError as error:
                if error.reason not in (KeyFailure.FORBIDDEN, KeyFailure.NOT_FOUND):
                    raise
        return found

    def _call(self, what: str, field: str, call: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """``field``: what every true answer has; the library takes a page of HTML for an empty one."""
        try:
            answer = call(self._opened())
        except _FAULTS as cause:
            raise failed(self._config, what, cause) from None
        if field not in answer:
            raise KeyStorageError(f"{self._config.place}: {what}: {NO_ANSWER}", reason=KeyFailure.MALFORMED)
        return answer

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = client_of(self._config)
            return self._client

    def _name(self, path: str) -> str:
        return f"{self._config.name_prefix}{path}"
