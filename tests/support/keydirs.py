"""Keys as files, for what is tested without a whole runner."""

from __future__ import annotations

from pathlib import Path

from bus.sealing import seal
from runbus.client import Client
from schemas import catalog
from schemas.codec import encode
from schemas.keys import KeyPutRequest, KeyStored, KeyValue, SealingKeyRequest
from services.runner.keystorage.file import FileKeys
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.settings import StorageSettings
from services.runner.keyuse import OwnKeys


def own_keys(directory: Path | None, runner: str) -> OwnKeys:
    """The keys of a runner whose key storage is this directory; None: it has none."""
    config = {"directory": str(directory)}
    storages = [] if directory is None else [StorageSettings(type="file", config=config, origin="a test")]
    return OwnKeys(RunnerKeys(storages, {"file": FileKeys}), runner)


def key_files(directory: Path, **keys: str) -> Path:
    """Write ``db__pw`` to ``db/pw``, its owner's only."""
    for name, value in keys.items():
        file = directory.joinpath(*name.split("__"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
        file.chmod(0o600)
    return directory


async def put_key(client: Client, path: str, value: str) -> KeyStored:
    """Store a key at the centre, sealed as the command line does it."""
    public_key = (await client.call(catalog.KEY_SEALING, SealingKeyRequest())).public_key
    sealed = seal(public_key, encode(KeyValue(path=path, value=value.encode())))
    request = KeyPutRequest(path=path, sealed=sealed, user="ada")
    return await client.call(catalog.KEY_PUT, request)
