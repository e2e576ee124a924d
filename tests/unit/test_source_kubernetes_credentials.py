"""Programs that hand out credentials, run for real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runbus.plugin import SourceFailure
from tests.support.kubeaccess import kubeconfig, settings
from tests.support.kubeconnection import TOKEN, connected, not_connected


async def test_a_program_hands_out_a_token(tmp_path: Path) -> None:
    program = script(tmp_path / "bin" / "login", answer({"token": TOKEN}))
    found = await connected(tmp_path, {"exec": executed("bin/login", provideClusterInfo=True, args=["a b"])})

    assert found.authorization == f"Bearer {TOKEN}"
    told = json.loads((program.parent / "info").read_text())
    assert told["spec"] == {"interactive": False, "cluster": {"server": "https://one.test:6443/"}}
    assert (program.parent / "given").read_text() == "a b x\n"


async def test_a_program_hands_out_a_certificate(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "login", answer({"clientCertificateData": "PEM 1", "clientKeyData": "PEM 2"}))
    found = await connected(tmp_path, {"exec": executed("bin/login")})

    assert found.cert_file is not None
    assert found.key_file is not None
    assert [Path(found.cert_file).read_text(), Path(found.key_file).read_text()] == ["PEM 1", "PEM 2"]


@pytest.mark.parametrize(
    ("printed", "code", "reason", "said"),
    [
        ("", 3, SourceFailure.FAILED, "ended with 3: no session"),
        ("no JSON", 0, SourceFailure.MALFORMED, "no ExecCredential"),
        (json.dumps({"kind": "Pod", "apiVersion": "v1", "status": {}}), 0, SourceFailure.MALFORMED, "did not print"),
        ("EMPTY", 0, SourceFailure.MALFORMED, "no token"),
    ],
)
async def test_a_program_that_hands_out_nothing(
    tmp_path: Path, printed: str, code: int, reason: SourceFailure, said: str
) -> None:
    script(tmp_path / "bin" / "login", answer({}) if printed == "EMPTY" else printed, code=code)
    file = kubeconfig(tmp_path / "config", user={"exec": executed("bin/login")})
    error = await not_connected(tmp_path, settings(config_file=str(file)))

    assert error.reason is reason
    assert said in error.message


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", user={"exec": executed("runbus-no-such-program")})
    error = await not_connected(tmp_path, settings(config_file=str(file)))

    assert error.reason is SourceFailure.NOT_FOUND


def executed(command: str, **more: Any) -> dict[str, Any]:
    return {
        "command": command,
        "apiVersion": "client.authentication.k8s.io/v1",
        "env": [{"name": "GIVEN", "value": "x"}],
        **more,
    }


def answer(status: dict[str, str]) -> str:
    return json.dumps({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status})


def script(path: Path, printed: str, *, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'#!/bin/sh\nprintf %s "$KUBERNETES_EXEC_INFO" > "{path.parent}/info"\n'
        f'echo "$@" "$GIVEN" > "{path.parent}/given"\necho "no session" >&2\n'
        f'cat <<"END"\n{printed}\nEND\nexit {code}\n'
    )
    path.chmod(0o755)
    return path
