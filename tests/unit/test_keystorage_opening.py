"""What a runner is told of its key storages when it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from schemas.errors import ErrorCode, RunbusError
from services.runner.inventory import PluginInventory
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.opening import open_storage
from services.runner.settings import RunnerSettings

VALUE = "s3cret-in-the-environment"


def _opened(env: dict[str, str], *, key_storage: str = "") -> RunnerKeys:
    plugins = PluginInventory("here")
    plugins.load()
    return open_storage(RunnerSettings(runner_id="here", key_storage=key_storage), plugins, env)


def test_variables_that_nothing_reads_are_told() -> None:
    env = {"RUNBUS_KEY_DB_PASSWORD": VALUE, "RUNBUS_KEY_A": VALUE, "RUNBUS_KEY_CHECK_S": "5", "RUNBUS_KEYS_DIR": ""}
    with structlog.testing.capture_logs() as logs:
        _opened(env)
    (told,) = logs
    assert (told["event"], told["log_level"]) == ("keys.unused", "warning")
    assert told["variables"] == ["RUNBUS_KEY_A", "RUNBUS_KEY_DB_PASSWORD"]
    assert "RUNBUS_KEY_STORAGE_TYPE=environment" in told["advice"]
    assert VALUE not in str(logs)


@pytest.mark.parametrize("prefix", ["", "MINE_"])
def test_variables_that_are_read_are_not(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBUS_KEY_DB_PASSWORD", VALUE)
    env = {"RUNBUS_KEY_DB_PASSWORD": VALUE, "RUNBUS_KEY_STORAGE_TYPE": "environment"}
    with structlog.testing.capture_logs() as logs:
        _opened(env | {"RUNBUS_KEY_STORAGE_CONFIG_PREFIX": prefix})
    assert bool(logs) is bool(prefix)


def test_a_question_has_one_mark_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("type: file\nconfig:\n  directry: /x\n")
    with pytest.raises(RunbusError) as caught:
        _opened({}, key_storage=str(file))
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert caught.value.message.endswith(f"{file}:3: file has no setting 'directry'; did you mean directory?")


def test_a_fault_of_vaults_settings_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("type: vault\nconfig:\n  token: t0ken\n  address: vault.dmz:8200\n")
    file.chmod(0o600)
    with pytest.raises(RunbusError) as caught:
        _opened({}, key_storage=str(file))
    assert f"{file}:4: vault: address has to be https://HOST:PORT" in caught.value.message
    assert "t0ken" not in caught.value.message
