"""Which key storages a runner has."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.configuration import storages_of
from services.runner.keystorage.environment import EnvironmentKeys
from services.runner.keystorage.file import FileKeys
from services.runner.keystorage.settings import StorageSettings, converted, digest_of, secrets_of


class Behaviour(StrEnum):
    VAULT = "vault"
    PLAIN = "plain"


_SECRET = "s3cret-token"


class SafeConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    address: str
    token: str = ""
    pem_file: str = ""
    auth_backend: str = "token"
    validate_ssl: bool = True
    max_retries: int = 5
    remove_path_prefix: bool = True
    pin: int | None = None
    version: Literal["1", "2"] = "2"
    behaviour: Behaviour = Behaviour.VAULT


class SafeKeys(FileKeys):
    """The settings of a provider, without one."""

    config_type: ClassVar[type[Any]] = SafeConfig
    secret_settings: ClassVar[frozenset[str]] = frozenset({"token", "pin"})


_PLUGINS: dict[str, Any] = {"vault": SafeKeys, "file": FileKeys, "environment": EnvironmentKeys}


def _one(env: dict[str, str]) -> StorageSettings:
    (found,) = storages_of(env, _PLUGINS)
    return found


def _fails(env: dict[str, str]) -> str:
    with pytest.raises(KeyStorageError) as caught:
        storages_of(env, _PLUGINS)
    assert caught.value.reason is KeyFailure.CONFIGURATION
    assert _SECRET not in caught.value.message
    return caught.value.message


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keystorage.yaml"
    path.touch(0o600)
    return path


def _from(file: Path, text: str) -> StorageSettings:
    file.write_text(text)
    return _one({"RUNBUS_KEY_STORAGE": str(file)})


def _bad(file: Path, text: str) -> str:
    file.write_text(text)
    return _fails({"RUNBUS_KEY_STORAGE": str(file)}).replace(str(file), "FILE")


class TestFile:
    def test_a_list(self, file: Path) -> None:
        file.write_text(
            "- type: vault\n  path: keys/vault\n  config:\n    address: http://v\n    token: 0123\n"
            "- type: environment\n"
        )
        first, second = storages_of({"RUNBUS_KEY_STORAGE": str(file)}, _PLUGINS)
        assert (first.type, first.path, first.origin) == ("vault", "vault", f"{file}:1")
        assert first.config == {"address": "http://v", "token": "0123"}
        assert (second.type, second.path, second.config) == ("environment", "", {})

    @pytest.mark.parametrize(
        "text",
        [
            "type: vault\nconfig: {address: a, authBackend: approle, validateSsl: no}",
            "{'type': 'vault', 'configuration': {'Address': 'a', 'auth_backend': 'approle', 'VALIDATE-SSL': 'off'}}",
            "storages:\n- type: vault-storage\n  config: {address: a, AUTHBACKEND: approle, validatessl: False}",
            "runner:\n rundeck:\n  storage:\n   any:\n    type: vault-storage\n    path: keys\n    pathBehavior: x\n"
            "    configuration: {address: a, authBackend: approle, validateSsl: 0}",
        ],
    )
    def test_its_forms(self, file: Path, text: str) -> None:
        found = _from(file, text)
        config = converted(found, SafeKeys)
        assert (found.type, found.path) == ("vault", "")
        assert config == SafeConfig(address="a", auth_backend="approle", validate_ssl=False)

    def test_a_value_from_a_file_of_its_own(self, file: Path, tmp_path: Path) -> None:
        secret = tmp_path / "token"
        secret.write_text(f"{_SECRET}\n")
        file.chmod(0o644)
        found = _from(file, f"type: vault\nconfig: {{address: a, token: {{file: {secret}}}}}")
        assert found.config["token"] == _SECRET
        assert _SECRET not in repr(found)

    def test_others_may_read_it_as_long_as_it_holds_no_secret(self, file: Path) -> None:
        file.chmod(0o644)
        assert _from(file, "type: vault\nconfig: {address: a}")
        said = _bad(file, f"type: vault\nconfig: {{address: a, token: {_SECRET}}}")
        assert said.startswith("FILE:1: the secret token stands here")
        assert "chmod 600" in said

    @pytest.mark.parametrize("value", ["", "null", "~", "''", "' '"])
    def test_what_is_empty_is_not_given(self, file: Path, value: str) -> None:
        found = _from(file, f"type: vault\nconfig:\n  address: a\n  maxRetries: {value}\n  token: {value}\n")
        assert converted(found, SafeKeys).max_retries == 5

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "FILE: it is empty"),
            ("- x", "FILE:1: no map of settings"),
            ("just text", "FILE:1: no list of key storages"),
            ("[]]", "FILE:1: not valid YAML"),
            ("a: b: s3cret-token", "FILE:1: not valid YAML"),
            ("- type: vault\n  config: {address: a}\n-\tb", "FILE:3: not valid YAML"),
            ("path: x", "FILE:1: there is no type"),
            ("type: [a]", "FILE:1: type has to be one value"),
            ("type: valt", "FILE:1: this runner has no key storage plugin 'valt'; it has: environment, file, vault"),
            ("type: aws-secrets-manager", "FILE:1: this runner has no key storage plugin 'aws-secrets-manager', pip"),
            ("type: vault\nconfg: {}", "FILE:2: 'confg' means nothing here"),
            ("type: vault\npath: ../x", "FILE:2: path: key '../x' cannot be used: it has the part"),
            ("type: vault\npath: {a: b}", "FILE:2: path has to be one value"),
            ("type: vault\nconfig:\n  address: a\n  tokn: s3cret-token", "FILE:4: vault has no setting 'tokn'; did"),
            ("type: vault\nconfig:\n  address: a\n  zzz: 1", "FILE:4: vault has no setting 'zzz'; it has: address"),
            ("type: vault\nconfig:\n  address: a\n  Address: b", "FILE:4: address is given twice"),
            ("type: vault\ntype: vault", "FILE:2: 'type' is given twice"),
            ("type: vault\nconfig: [a]", "FILE:2: no map of settings"),
            ("type: vault\nconfig:\n  address: [a]", "FILE:3: address has to be one value"),
            ("type: vault\nconfig:\n  address: {x: y}", "FILE:3: address is a map"),
            (
                "type: vault\nconfig:\n  address: {file: x}",
                "FILE:3: address: the file has to be named by an absolute",
            ),
            (
                "type: vault\nconfig:\n  address: {file: /no/such}",
                "FILE:3: address: the file /no/such cannot be read",
            ),
            ("type: vault\nconfig: {token: s3cret-token}", "FILE:1: vault: address is missing"),
            (
                "type: vault\nconfig: {address: a, maxRetries: many}",
                "FILE:2: vault: maxRetries has to be a whole number",
            ),
            ("type: vault\nconfig: {address: a, pin: s3cret-token}", "FILE:2: vault: a setting that holds a secret"),
            (
                "type: vault\nconfig: {address: a, validateSsl: maybe}",
                "FILE:2: vault: validateSsl has to be true or false",
            ),
            (
                "type: vault\nconfig: {address: a, behaviour: s3cret-token}",
                "FILE:2: vault: behaviour has to be one of vault, plain",
            ),
            (
                "type: vault\nconfig: {address: a, version: s3cret-token}",
                "FILE:2: vault: version has to be one of 1, 2",
            ),
            ("? [a]\n: b", "FILE:1: a name has to be one word"),
            ("runner: {rundeck: {x: y}}", "FILE:1: there is no 'storage' here"),
            ("runner: {rundeck: {storage: {a: b}}}", "FILE:1: no map of settings"),
            ("type: file\nconfig: {directory: keys}", "FILE:2: file: directory has to be an absolute path"),
            (
                "- type: environment\n- type: environment",
                "FILE:2: a second key storage for all keys; the first is in",
            ),
            (
                "- {type: environment, path: a}\n- {type: environment, path: keys/a/}",
                "FILE:2: a second key storage at",
            ),
            ("[" * 200_000, "FILE:1: not valid YAML"),
        ],
    )
    def test_what_is_wrong_with_it(self, file: Path, text: str, said: str) -> None:
        assert _bad(file, text).startswith(said)

    def test_it_cannot_be_read(self, tmp_path: Path, file: Path) -> None:
        assert "No such file" in _fails({"RUNBUS_KEY_STORAGE": str(tmp_path / "none")})
        assert "Is a directory" in _fails({"RUNBUS_KEY_STORAGE": str(tmp_path)})
        file.write_bytes(b"\xff\xff")
        assert "UTF-8" in _fails({"RUNBUS_KEY_STORAGE": str(file)})
        file.write_text("#" * (300 << 10))
        assert "256 KiB" in _fails({"RUNBUS_KEY_STORAGE": str(file)})

    def test_many_aliases_cost_nothing(self, file: Path) -> None:
        lines = ["a0: &a0 x", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
        assert "means nothing here" in _bad(file, "\n".join(lines))

    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(max_size=200) | st.lists(st.sampled_from(list("tyepvault: []{}-\n &*!?'\"|>%@`"))).map("".join))
    def test_whatever_stands_in_it(self, file: Path, text: str) -> None:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            storages_of({"RUNBUS_KEY_STORAGE": str(file)}, _PLUGINS)
        except KeyStorageError as error:
            assert error.reason is KeyFailure.CONFIGURATION


class TestOwnVariables:
    def test_one_storage(self) -> None:
        found = _one(
            {
                "RUNBUS_KEY_STORAGE_TYPE": "vault",
                "RUNBUS_KEY_STORAGE_PATH": "vault",
                "RUNBUS_KEY_STORAGE_CONFIG_ADDRESS": "http://v",
                "RUNBUS_KEY_STORAGE_CONFIG_AUTH_BACKEND": "approle",
                "RUNBUS_KEY_STORAGE_CONFIG_MAXRETRIES": "7",
                "RUNBUS_KEY_STORAGE_CONFIG_VALIDATE_SSL": "off",
            }
        )
        assert (found.type, found.path) == ("vault", "vault")
        config = converted(found, SafeKeys)
        assert config == SafeConfig(address="http://v", auth_backend="approle", max_retries=7, validate_ssl=False)

    def test_values_from_files(self, tmp_path: Path) -> None:
        secret = tmp_path / "token"
        secret.write_text(f"{_SECRET}\r\n")
        env = {"RUNBUS_KEY_STORAGE_TYPE": "vault", "RUNBUS_KEY_STORAGE_CONFIG_ADDRESS": "a"}
        found = _one(
            env
            | {
                "RUNBUS_KEY_STORAGE_CONFIG_TOKEN_FILE": str(secret),
                "RUNBUS_KEY_STORAGE_CONFIG_PEM_FILE": "/etc/ca.pem",
            }
        )
        assert found.config == {"address": "a", "token": _SECRET, "pemFile": "/etc/ca.pem"}
        assert secrets_of(found, SafeKeys) == [_SECRET]
        assert "No such file" in _fails(env | {"RUNBUS_KEY_STORAGE_CONFIG_TOKEN_FILE": str(tmp_path / "none")})
        for content, said in ((b"", "empty"), (b"\n", "empty"), (b"\xff", "UTF-8"), (b"x" * 70_000, "64 KiB")):
            secret.write_bytes(content)
            assert said in _fails(env | {"RUNBUS_KEY_STORAGE_CONFIG_TOKEN_FILE": str(secret)})

    @pytest.mark.parametrize(
        ("env", "said"),
        [
            ({"PATH": "x"}, "RUNBUS_KEY_STORAGE_TYPE: is not set"),
            ({"TYPE": "none"}, "RUNBUS_KEY_STORAGE_TYPE: this runner has no key storage plugin 'none'"),
            ({"TYPE": "vault"}, "RUNBUS_KEY_STORAGE_TYPE: vault: address is missing"),
            (
                {"TYPE": "vault", "CONFIG_TOKN": _SECRET},
                "RUNBUS_KEY_STORAGE_CONFIG_TOKN: vault has no setting 'TOKN'",
            ),
            ({"TYPE": "vault", "TOKEN": _SECRET}, "RUNBUS_KEY_STORAGE_TOKEN: means nothing"),
            ({"TYPE": "vault", "CONFIG_": "x"}, "RUNBUS_KEY_STORAGE_CONFIG_: means nothing"),
            (
                {"TYPE": "vault", "CONFIG_PEMFILE": "a", "CONFIG_PEM_FILE": "b"},
                "RUNBUS_KEY_STORAGE_CONFIG_PEM_FILE: pemFile is given twice",
            ),
            ({"TYPE": "vault", "PATH": "a//b"}, "RUNBUS_KEY_STORAGE_PATH: path: key"),
        ],
    )
    def test_what_is_wrong_with_them(self, env: dict[str, str], said: str) -> None:
        assert _fails({f"RUNBUS_KEY_STORAGE_{name}": value for name, value in env.items()}).startswith(said)


class TestVariablesOfTheOriginal:
    def test_one_storage(self) -> None:
        before = "RUNNER_RUNDECK_STORAGE_VAULT"
        found = _one(
            {
                f"{before}_TYPE": "vault-storage",
                f"{before}_PATH": "keys",
                f"{before}_PATH_BEHAVIOR": "predefined",
                f"{before}_REMOVE_PATH_PREFIX": "false",
                f"{before}_CONFIGURATION_ADDRESS": "http://v",
                f"{before}_CONFIGURATION_AUTHBACKEND": "approle",
                f"{before}_CONFIGURATION_MAX_RETRIES": "7",
                f"{before}_CONFIGURATION_TOKEN": _SECRET,
            }
        )
        assert (found.type, found.path, found.origin) == ("vault", "", f"{before}_TYPE")
        assert converted(found, SafeKeys) == SafeConfig(
            address="http://v", auth_backend="approle", max_retries=7, token=_SECRET, remove_path_prefix=False
        )

    def test_several(self) -> None:
        found = storages_of(
            {
                "RUNNER_RUNDECK_STORAGE_A_TYPE": "environment",
                "RUNNER_RUNDECK_STORAGE_A_PATH": "keys/env",
                "RUNNER_RUNDECK_STORAGE_B_C_TYPE": "vault",
                "RUNNER_RUNDECK_STORAGE_B_C_CONFIGURATION_ADDRESS": "x",
                "RUNNER_LOG_OUTPUT": "console",
            },
            _PLUGINS,
        )
        assert [(each.type, each.path) for each in found] == [("environment", "env"), ("vault", "")]

    def test_what_is_wrong_with_them(self) -> None:
        before = "RUNNER_RUNDECK_STORAGE_VAULT"
        assert _fails({f"{before}_CONFIGURATION_TOKEN": _SECRET}).startswith(f"{before}_TYPE: is not set")
        assert "means nothing" in _fails({f"{before}_TYPE": "vault", f"{before}_TOKEN": _SECRET})
        said = _fails({f"{before}_TYPE": "vault", f"{before}_CONFIGURATION_NOPE": _SECRET})
        assert said.startswith(f"{before}_CONFIGURATION_NOPE: vault has no setting 'NOPE'")


class TestTogether:
    def test_none(self) -> None:
        assert storages_of({"PATH": "/bin", "RUNBUS_KEY_STORAGE": "", "RUNBUS_KEYS_DIR": " "}, _PLUGINS) == []

    def test_a_directory(self) -> None:
        found = _one({"RUNBUS_KEYS_DIR": "/srv/keys"})
        assert (found.type, found.path, found.config) == ("file", "", {"directory": "/srv/keys"})
        assert Path(_one({"RUNBUS_KEYS_DIR": "keys"}).config["directory"]).is_absolute()

    def test_a_file_variables_and_a_directory(self, file: Path) -> None:
        file.write_text("- {type: environment, path: env}")
        env = {
            "RUNBUS_KEY_STORAGE": str(file),
            "RUNBUS_KEYS_DIR": "/srv/keys",
            "RUNBUS_KEY_STORAGE_TYPE": "vault",
            "RUNBUS_KEY_STORAGE_CONFIG_ADDRESS": "a",
        }
        said = _fails(env)
        assert said.startswith(
            "RUNBUS_KEYS_DIR: a second key storage for all keys; the first is in RUNBUS_KEY_STORAGE_"
        )
        found = storages_of(env | {"RUNBUS_KEY_STORAGE_PATH": "vault"}, _PLUGINS)
        assert [each.path for each in found] == ["env", "vault", ""]


class TestDigest:
    def _of(self, config: dict[str, str], path: str = "") -> str:
        return digest_of(StorageSettings(type="vault", path=path, config=config, origin="x"), SafeKeys)

    def test_it_is_the_same_for_the_same_keys(self) -> None:
        plain = self._of({"address": "a"})
        assert plain == self._of({"address": "a", "maxRetries": "5", "validateSsl": "yes"})
        assert len(plain) == 32
        for config in ({"address": "b"}, {"address": "a", "maxRetries": "6"}, {"address": "a", "token": "x"}):
            assert self._of(config) != plain
        assert self._of({"address": "a"}, "vault") != plain

    def test_secrets_are_not_in_it(self) -> None:
        assert self._of({"address": "a", "token": "x"}) == self._of({"address": "a", "token": "y"})
