"""From settings and kubeconfig files to an API server, without one."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest

from runbus.plugin import SourceFailure
from services.runner.sources.kubernetes import KubernetesContainers, access
from services.runner.sources.kubernetes.access import connection_of, unused
from tests.support.kubeaccess import asked, kubeconfig, settings
from tests.support.kubeconnection import TOKEN, connected, not_connected


async def test_url_and_token(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.crt"
    ca_file.write_text("any")
    found = await connection_of(
        settings(
            url="https://api.test:6443/", token=f"{TOKEN}\n", token_storage_path="other", ssl_ca_cert=str(ca_file)
        ),
        asked(tmp_path),
    )

    assert found.host == "https://api.test:6443"
    assert found.authorization == f"Bearer {TOKEN}"
    assert found.ca_file == str(ca_file)
    assert found.is_verified
    assert TOKEN not in repr(found)


async def test_a_token_from_the_other_setting_and_no_verification(tmp_path: Path) -> None:
    found = await connection_of(
        settings(url="https://api.test", token_storage_path=TOKEN, verify_ssl="false"), asked(tmp_path)
    )

    assert found.authorization == f"Bearer {TOKEN}"
    assert not found.is_verified


@pytest.mark.parametrize(
    "url", ["api.test:6443", "ftp://api.test", "https://", "https://me:secret@api.test", "https://api.test:99999"]
)
async def test_a_url_that_leads_nowhere(tmp_path: Path, url: str) -> None:
    error = await not_connected(tmp_path, settings(url=url))

    assert error.reason is SourceFailure.CONFIGURATION
    assert "secret" not in error.message


async def test_a_token_of_several_lines_and_a_missing_authority(tmp_path: Path) -> None:
    error = await not_connected(tmp_path, settings(url="https://api.test", token=f"{TOKEN}\nmore"))
    assert error.reason is SourceFailure.CONFIGURATION

    error = await not_connected(tmp_path, settings(url="https://api.test", ssl_ca_cert="/nowhere/ca.crt"))
    assert error.reason is SourceFailure.NOT_FOUND
    assert "/nowhere/ca.crt" in error.message


async def test_the_service_account_of_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(f"{TOKEN}\n")
    (account / "ca.crt").write_text("any")
    kubeconfig(tmp_path / "home" / ".kube" / "config")
    context = asked(tmp_path, KUBERNETES_SERVICE_HOST="fd00::1", KUBERNETES_SERVICE_PORT="6443")

    monkeypatch.setattr(access, "SERVICE_ACCOUNT", account)
    found = await connection_of(settings(), context)

    assert found.host == "https://[fd00::1]:6443"
    assert found.authorization == f"Bearer {TOKEN}"
    assert found.ca_file == str(account / "ca.crt")


async def test_a_kubeconfig_at_its_usual_place_or_where_the_environment_says(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "home" / ".kube" / "config", user={"token": TOKEN}, name="home")
    found = await connection_of(settings(), asked(tmp_path))
    assert (found.host, found.authorization) == ("https://home.test:6443", f"Bearer {TOKEN}")

    first, second = kubeconfig(tmp_path / "a" / "first", name="a"), kubeconfig(tmp_path / "b" / "second", name="b")
    found = await connection_of(settings(), asked(tmp_path, KUBECONFIG=f"/nowhere:{first}:{second}"))
    assert found.host == "https://a.test:6443"
    assert "second" in found.origin


async def test_of_a_repeated_name_the_first_file_holds_and_paths_count_from_their_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ca.crt").write_text("any")
    (tmp_path / "a" / "token").write_text(f" {TOKEN}\n")
    first = kubeconfig(
        tmp_path / "a" / "config", user={"tokenFile": "token"}, cluster={"certificate-authority": "ca.crt"}
    )
    second = kubeconfig(tmp_path / "b" / "config", user={"token": "another"}, cluster={"server": "https://no.test"})

    found = await connection_of(settings(), asked(tmp_path, KUBECONFIG=f"{first}:{second}"))

    assert found.host == "https://one.test:6443"
    assert found.authorization == f"Bearer {TOKEN}"
    assert found.ca_file == str(tmp_path / "a" / "ca.crt")


async def test_what_a_kubeconfig_holds_in_base64_becomes_files_that_only_we_read(tmp_path: Path) -> None:
    def data(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    found = await connected(
        tmp_path,
        {"client-certificate-data": data("certificate"), "client-key-data": data("key")},
        {
            "certificate-authority-data": data("authority"),
            "tls-server-name": "api.inside",
            "insecure-skip-tls-verify": True,
            "proxy-url": "http://proxy.test:3128",
        },
    )

    files = [Path(file) for file in (found.ca_file, found.cert_file, found.key_file) if file]
    assert [file.read_text() for file in files] == ["authority", "certificate", "key"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {file.parent for file in files} == {tmp_path / "work"}
    assert (found.server_name, found.is_verified, found.proxy) == ("api.inside", False, "http://proxy.test:3128")


async def test_a_password(tmp_path: Path) -> None:
    found = await connected(tmp_path, {"username": "me", "password": "mine"})

    assert found.authorization == f"Basic {base64.b64encode(b'me:mine').decode()}"


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("a: [", SourceFailure.MALFORMED, "line 2, column 1"),
        (f"users: [{{name: a, user: {{token: {TOKEN}, x: }}", SourceFailure.MALFORMED, "no YAML"),
        ("\x00", SourceFailure.MALFORMED, "no YAML"),
        ("[1, 2]", SourceFailure.MALFORMED, "Expected `object`"),
        (f"users: [{{name: a, user: {{token: [{TOKEN}]}}}}]", SourceFailure.MALFORMED, "users[0].user.token"),
        ("", SourceFailure.MALFORMED, "no current-context"),
        ("current-context: x", SourceFailure.MALFORMED, "does not hold its current context"),
        (
            "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]",
            SourceFailure.MALFORMED,
            "does not hold the cluster 'c'",
        ),
        (
            "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
            "clusters: [{name: c, cluster: {server: 'https://api.test'}}]",
            SourceFailure.MALFORMED,
            "does not hold the user 'u'",
        ),
    ],
)
async def test_a_kubeconfig_that_is_none(tmp_path: Path, text: str, reason: SourceFailure, said: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    error = await not_connected(tmp_path, settings(config_file=str(file)))

    assert error.reason is reason
    assert said in error.message


@pytest.mark.parametrize(
    ("user", "reason", "said"),
    [
        ({"auth-provider": {"name": "oidc"}}, SourceFailure.CONFIGURATION, "auth-provider"),
        ({"as": "somebody", "token": TOKEN}, SourceFailure.CONFIGURATION, "impersonation"),
        ({"client-key-data": f"{TOKEN}!"}, SourceFailure.MALFORMED, "no base64"),
        ({"client-certificate": "nowhere.crt"}, SourceFailure.NOT_FOUND, "nowhere.crt"),
        ({"tokenFile": "nowhere"}, SourceFailure.NOT_FOUND, "nowhere"),
    ],
)
async def test_a_user_that_cannot_be_used(
    tmp_path: Path, user: dict[str, Any], reason: SourceFailure, said: str
) -> None:
    error = await not_connected(tmp_path, settings(config_file=str(kubeconfig(tmp_path / "config", user=user))))

    assert error.reason is reason
    assert said in error.message


async def test_no_kubeconfig_anywhere(tmp_path: Path) -> None:
    for config, env in (
        (settings(), {}),
        (settings(), {"KUBECONFIG": "/nowhere/config"}),
        (settings(config_file="~/config"), {}),
    ):
        error = await not_connected(tmp_path, config, **env)
        assert error.reason is SourceFailure.NOT_FOUND


def test_settings_that_others_make_useless_are_named() -> None:
    assert unused(settings(url="https://a", token="b")) == []
    assert len(unused(settings(token="b"))) == 1
    assert len(unused(settings(config_file="a", url="https://a", token="b"))) == 2


def test_the_plugin_declares_what_it_needs() -> None:
    assert KubernetesContainers.secret_settings == {"token", "token_storage_path"}
    assert KubernetesContainers.requires == ("kubernetes_asyncio",)
