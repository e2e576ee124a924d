"""Keys in the environment."""

from __future__ import annotations

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError, KeyType
from services.runner.environment import inherited
from services.runner.keyhealth import tell
from services.runner.keystorage.environment import EnvironmentKeys, EnvironmentKeysConfig
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.settings import StorageSettings

_ENV = {
    "PATH": "/bin",
    "RUNBUS_KEY_DB_PASSWORD": "s3cret",
    "RUNBUS_KEY_DB_MAIN_KEY": "-----BEGIN RSA PRIVATE KEY-----\nx\n",
    "RUNBUS_KEY_DB__OLD_PASSWORD": "old",
    "RUNBUS_KEY_TOKEN": "t",
    "RUNBUS_KEY_TOKEN_PROD": "tp",
    "RUNBUS_KEY_EMPTY": "",
    "RUNBUS_KEY_BROKEN": "a\udcff",
    "RUNBUS_KEY_STORAGE": "/etc/x.yaml",
    "RUNBUS_KEY_STORAGE_TYPE": "environment",
    "RUNBUS_KEYS_DIR": "/keys",
}


def _keys(env: dict[str, str] | None = None, prefix: str = "RUNBUS_KEY_") -> EnvironmentKeys:
    return EnvironmentKeys(EnvironmentKeysConfig(prefix=prefix), _ENV if env is None else env)


async def _failure(keys: EnvironmentKeys, path: str) -> KeyStorageError:
    with pytest.raises(KeyStorageError) as caught:
        await keys.read(path)
    assert "s3cret" not in caught.value.message
    return caught.value


def _names(entries: object) -> list[str]:
    assert isinstance(entries, list)
    return [entry.path + "/" * entry.folder for entry in entries]


class TestReading:
    @pytest.mark.parametrize(
        ("path", "value"),
        [("db/password", "s3cret"), ("db_old/password", "old"), ("token", "t"), ("token/prod", "tp")],
    )
    async def test_values(self, path: str, value: str) -> None:
        assert await _keys().read(path) == value

    async def test_they_are_those_of_the_start(self) -> None:
        env = {"RUNBUS_KEY_A": "one"}
        keys = _keys(env)
        env["RUNBUS_KEY_A"] = "two"
        assert await keys.read("a") == "one"
        await keys.close()
        assert (await _failure(keys, "a")).reason is KeyFailure.NOT_FOUND

    @pytest.mark.parametrize(
        ("path", "reason", "text"),
        [
            ("nothing/here", KeyFailure.NOT_FOUND, "RUNBUS_KEY_NOTHING_HERE was not set"),
            ("db/old_one", KeyFailure.NOT_FOUND, "RUNBUS_KEY_DB_OLD__ONE was not set"),
            ("DB/password", KeyFailure.NOT_FOUND, "small letters"),
            ("db-old", KeyFailure.NOT_FOUND, "small letters"),
            ("db", KeyFailure.NO_KEY, "folder"),
            ("", KeyFailure.NO_KEY, "folder"),
            ("empty", KeyFailure.NO_KEY, "RUNBUS_KEY_EMPTY is empty"),
            ("broken", KeyFailure.MALFORMED, "UTF-8"),
            ("storage", KeyFailure.NOT_FOUND, ""),
            ("storage/type", KeyFailure.NOT_FOUND, ""),
        ],
    )
    async def test_what_is_none(self, path: str, reason: KeyFailure, text: str) -> None:
        failure = await _failure(_keys(), path)
        assert failure.reason is reason
        assert text in failure.message


class TestListing:
    async def test_the_root(self) -> None:
        assert _names(await _keys().children("")) == ["broken", "db/", "db_old/", "empty", "token", "token/"]

    async def test_a_folder(self) -> None:
        assert _names(await _keys().children("db")) == ["db/main/", "db/password"]

    async def test_all(self) -> None:
        assert _names(await _keys().children("", deep=True)) == [
            "broken", "db/", "db/main/", "db/main/key", "db/password", "db_old/", "db_old/password", "empty",
            "token", "token/", "token/prod",
        ]  # fmt: skip
        assert _names(await _keys().children("db", deep=True)) == ["db/main/", "db/main/key", "db/password"]

    async def test_none_that_is_not_there(self) -> None:
        for path in ("nothing", "db/password"):
            with pytest.raises(KeyStorageError) as caught:
                await _keys().children(path)
            assert caught.value.reason is KeyFailure.NOT_FOUND

    async def test_an_empty_one(self) -> None:
        assert await _keys({}).children("") == []

    async def test_what_is_told_of_a_key(self) -> None:
        shown = await _keys().show("db/password")
        assert (shown.type, shown.size_bytes) == (KeyType.PASSWORD, 6)
        assert shown.meta["Rundeck-data-type"] == "password"
        assert (await _keys().show("db/main/key")).type is KeyType.PRIVATE_KEY
        assert await _keys().show("db") == KeyEntry(path="db", folder=True)
        assert await _keys().show("") == KeyEntry(path="", folder=True)
        assert not (await _keys().show("token")).folder


class TestNames:
    async def test_children_are_given_none_of_them(self) -> None:
        variables = _keys().variables
        assert "RUNBUS_KEY_DB_PASSWORD" in variables
        assert not {"PATH", "RUNBUS_KEY_STORAGE", "RUNBUS_KEY_STORAGE_TYPE", "RUNBUS_KEYS_DIR"} & variables
        assert inherited(_ENV) == {"PATH": "/bin"}

    async def test_with_another_prefix_they_have_to_be_withheld(self) -> None:
        keys = _keys({"APP_KEY_A": "1", "APP_KEY_": "2", "OTHER": "3", "APP_KEY__X": "4"}, prefix="APP_KEY_")
        assert keys.variables == {"APP_KEY_A", "APP_KEY__X"}
        assert await keys.read("a") == "1"

    @pytest.mark.parametrize("name", ["_A", "A_", "A___B", "A_____B", "A-B", "A.B", "É"])
    async def test_no_key_can_be_told_from_it(self, name: str) -> None:
        keys = _keys({f"RUNBUS_KEY_{name}": "s3cret"})
        assert await keys.children("", deep=True) == []
        await keys.check()
        assert f"RUNBUS_KEY_{name}: no key can be told from such a name" in keys.remark
        assert "s3cret" not in keys.remark

    async def test_two_that_are_one_key(self) -> None:
        keys = _keys({"RUNBUS_KEY_A_B": "s3cret", "RUNBUS_KEY_a_B": "other"})
        failure = await _failure(keys, "a/b")
        assert failure.reason is KeyFailure.CONFIGURATION
        assert "RUNBUS_KEY_A_B, RUNBUS_KEY_a_B differ in capitals only" in failure.message
        await keys.check()
        assert "RUNBUS_KEY_A_B, RUNBUS_KEY_a_B differ in capitals only" in keys.remark

    async def test_all_is_well(self) -> None:
        await _keys().check()
        assert not _keys().remark

    async def test_one_bad_name_beside_good_ones_is_a_remark_and_no_problem(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHOP_KEY_BAD-1", "x")
        monkeypatch.setenv("SHOP_KEY_DB_PASSWORD", "s3cret")
        storage = StorageSettings(type="environment", config={"prefix": "SHOP_KEY_"})
        keys = RunnerKeys([storage], {"environment": EnvironmentKeys})
        before = keys.infos
        (health,) = await keys.check()
        assert (health.ok, health.problem) == (True, "")
        assert await keys.read("db/password") == "s3cret"
        (info,) = keys.infos
        assert info.problem == ""
        assert info.remark.startswith("SHOP_KEY_BAD-1: no key can be told")
        with structlog.testing.capture_logs() as logs:
            assert tell(before, keys.infos)
        assert [each["log_level"] for each in logs] == ["warning"]

    @pytest.mark.parametrize("prefix", ["", "1A", "A-B", "A B", "Ä"])
    def test_a_prefix_that_is_none(self, prefix: str) -> None:
        with pytest.raises(ValueError, match="prefix has to be"):
            EnvironmentKeysConfig(prefix=prefix)


_WORD = st.text("abz019", min_size=1, max_size=4)
_PART = st.tuples(_WORD, st.sampled_from(["_", "__"]), _WORD).map("".join) | _WORD


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(_PART, min_size=1, max_size=4).map("/".join), unique=True))
async def test_each_key_is_one_variable(paths: list[str]) -> None:
    names = {"RUNBUS_KEY_" + path.replace("_", "__").replace("/", "_").upper(): path for path in paths}
    assert len(names) == len(paths)
    keys = _keys(dict(names))
    listed = [entry.path for entry in await keys.children("", deep=True) if not entry.folder]
    wanted = [path for path in paths if path != "storage" and not path.startswith("storage/")]
    assert listed == sorted(wanted)
    for path in wanted:
        assert await keys.read(path) == path
