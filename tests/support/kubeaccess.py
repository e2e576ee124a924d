"""Ways to an API server, for tests: settings, kubeconfig files, and a discovery without a runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from runbus.plugin import Discovered, SourceError
from services.runner.discovery import Asked, Question
from services.runner.sources.kubernetes import KubernetesContainers
from services.runner.sources.kubernetes.config import KubernetesConfig

from .kubestand import READER_TOKEN, STRANGER_TOKEN


def asked(tmp_path: Path, **env: str) -> Asked:
    work_dir = tmp_path / "work"
    work_dir.mkdir(exist_ok=True)
    question = Question(project="p", source="s", type="kubernetes-resource-model", config={}, timeout_s=5.0)
    whole = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", **env}
    return Asked("r1", question, work_dir, whole, None)


def settings(**given: str) -> KubernetesConfig:
    return msgspec.convert(given, KubernetesConfig, strict=False)


def kubeconfig(
    path: Path, *, user: Mapping[str, Any] | None = None, cluster: Mapping[str, Any] | None = None, name: str = "one"
) -> Path:
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.test:6443/", **(cluster or {})}}],
        "users": [{"name": name, "user": dict(user or {})}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(whole))
    return path


async def discover(tmp_path: Path, **given: str) -> Discovered:
    return await KubernetesContainers().discover(settings(**given), asked(tmp_path))


async def refused(tmp_path: Path, given: Mapping[str, str]) -> SourceError:
    """The error of a discovery; none of the tokens is in its text."""
    with pytest.raises(SourceError) as raised:
        await discover(tmp_path, **given)
    assert not any(token in raised.value.message for token in (READER_TOKEN, STRANGER_TOKEN, "nobodys-token"))
    return raised.value
