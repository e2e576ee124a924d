"""Key storage ``aws-secrets-manager``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from runbus.plugin import KeyEntry
from schemas.version import VERSION
from services.runner.keystorage.aws.config import AT_A_TIME, AwsConfig, Behaviour
from services.runner.keystorage.threads import Threads

if TYPE_CHECKING:
    from services.runner.keystorage.aws.tree import SecretsTree

T = TypeVar("T")

_CREDENTIALS: Final = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})

__all__ = ["AwsConfig", "AwsSecrets", "Behaviour"]


class AwsSecrets:
    """Secrets of one account and region. Settings: :class:`AwsConfig`.

    Key ``db/password`` is the secret ``<prefix>/db/password``. A secret that holds a JSON object with one field is a
    key, too: its value is the field's. With several fields it is a folder, and ``db/login/user`` the field ``user``
    of the secret ``db/login``; of a secret and a field that bear one path the secret counts.
    ``storageBehaviour=plain`` never looks into a secret. A binary secret is a key where it is UTF-8.

    A listing asks for the names (100 a call), and, to tell keys from folders, for the values of what it shows (20 a
    call, eight calls at a time), which it forgets. What it may not read it shows without a type.

    The policy of the runner needs ``secretsmanager:ListSecrets``, ``GetSecretValue``, ``DescribeSecret``, and better
    ``BatchGetSecretValue``.
    """

    version: ClassVar[str] = VERSION
    config_type: ClassVar[type[Any]] = AwsConfig
    secret_settings: ClassVar[frozenset[str]] = frozenset({"secretAccessKey", "sessionToken", "externalId"})
    requires: ClassVar[tuple[str, ...]] = ("boto3",)

    def __init__(self, config: AwsConfig) -> None:
        self._config = config
        self._made: SecretsTree | None = None
        self._lock = threading.Lock()
        self._threads: Threads | None = None

    @property
    def variables(self) -> frozenset[str]:
        """Of the environment: what AWS' library takes credentials from where the settings give none."""
        return _CREDENTIALS

    async def read(self, path: str) -> str:
        """The value. Raises :class:`KeyStorageError`."""
        return await self._run(lambda tree: tree.read(path))

    async def show(self, path: str) -> KeyEntry:
        """What is known of a secret or a field. Raises :class:`KeyStorageError`."""
        return await self._run(lambda tree: tree.show(path))

    async def children(self, path: str, *, deep: bool = False) -> Sequence[KeyEntry]:
        """Keys and folders. Raises :class:`KeyStorageError`."""
        return await self._run(lambda tree: tree.children(path, deep))

    async def check(self) -> None:
        """Ask for one name. Raises :class:`KeyStorageError`."""
        await self._run(lambda tree: tree.check())

    async def close(self) -> None:
        """Let go of connections and credentials."""
        threads, self._threads = self._threads, None
        tree, self._made = self._made, None
        if threads is not None:
            try:
                if tree is not None:
                    await threads.run(tree.close)
            finally:
                threads.close()

    async def _run(self, call: Callable[[SecretsTree], T]) -> T:
        if self._threads is None:
            self._threads = Threads(AT_A_TIME, "runbus-aws")
        return await self._threads.run(lambda: call(self._tree()))

    def _tree(self) -> SecretsTree:
        from services.runner.keystorage.aws.tree import SecretsTree  # noqa: PLC0415  (an idle runner has none)

        with self._lock:
            if self._made is None:
                self._made = SecretsTree(self._config)
            return self._made
