"""What of a runner's environment jobs are given, and what no log may show."""

from __future__ import annotations

import pytest

from services.runner.environment import inherited, secrets_of

ENV = {
    "PATH": "/bin",
    "DB_PASSWORD": "of-the-jobs",
    "RUNBUS_MASTER_KEY": "master-key",
    "RUNBUS_KEY_STORAGE_CONFIG_TOKEN": "vault-token",
    "RUNNER_RUNDECK_STORAGE_VAULT_CONFIGURATION_TOKEN": "old-token",
    "MYKEY_DB_HOSTS": "of-a-storage",
    "MYKEY_PIN": "1234",
    "RUNBUS_RUNNER_ID": "runner-1",
    "DATABASE": "postgres://ann:of-the-database@db/shop",
    "PROXY": "http://proxy-user@proxy:3128",
}


def test_jobs_are_given_neither_settings_nor_keys() -> None:
    assert inherited(ENV, without={"MYKEY_DB_HOSTS", "MYKEY_PIN"}).keys() == {
        "PATH",
        "DB_PASSWORD",
        "DATABASE",
        "PROXY",
    }


def test_what_jobs_are_not_given_is_masked_all_the_same() -> None:
    """They find it in ``/proc/PID/environ``. What is too short to be taken out of every log is not masked ahead."""
    found = secrets_of(ENV, variables={"MYKEY_DB_HOSTS", "MYKEY_PIN", "MYKEY_GONE"})
    assert sorted(found) == [
        "master-key", "of-a-storage", "of-the-database", "of-the-jobs", "old-token", "vault-token"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("nats://ann:pass-word@127.0.0.1:4222", ["pass-word"]),
        ("nats://the-token@127.0.0.1:4222", ["the-token"]),
        ("tls://a:p%40ss-word@h,nats://b:other-word@h", ["p%40ss-word", "p@ss-word", "other-word"]),
        ("ann:pass-word@127.0.0.1:4222", ["pass-word"]),
        ("nats://127.0.0.1:4222", []),
        ("nats://ann:short@h", []),
        ("nats://ann:@h", []),
        ("nats://[::1", []),
        ("", []),
    ],
)
def test_the_password_or_token_of_the_bus(url: str, secrets: list[str]) -> None:
    assert secrets_of({}, nats_url=url) == secrets
    assert secrets_of({"RUNBUS_NATS_URL": url}) == secrets
    assert secrets_of({"RUNBUS_NATS_URL": url}, nats_url=url) == secrets
