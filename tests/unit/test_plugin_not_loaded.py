"""A plugin that cannot be loaded: the heartbeat tells why, and nothing that its environment holds."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import structlog

from services.runner.inventory import PluginInventory

SECRET = "pl4nted-in-the-env"
BAD = f"postgres://u:{SECRET}@db"
LOOK = "import os\nurl = os.environ['PLUGIN_URL']\n"
UNSHOWN = "(its text is not shown, it may hold a secret)"
CASES = {
    "says": (f"{LOOK}raise ValueError(f'no server at {{url}}')", f"ValueError, raised at PLUGIN:3 {UNSHOWN}"),
    "made": (f"{LOOK}raise type(url, (OSError,), {{}})(url)", f"OSError, raised at PLUGIN:3 {UNSHOWN}"),
    "exits": (f"{LOOK}raise SystemExit(url)", f"SystemExit, raised at PLUGIN:3 {UNSHOWN}"),
    "key": (f"{LOOK}{{}}[url]", f"KeyError, raised at PLUGIN:3 {UNSHOWN}"),
    "number": ("raise SystemExit(3)", "SystemExit: 3"),
    "module": ("import not_there.at_all", "ModuleNotFoundError: No module named 'not_there'"),
    "named": (
        f"{LOOK}raise ModuleNotFoundError(url, name=url)",
        f"ModuleNotFoundError, raised at PLUGIN:3 {UNSHOWN}",
    ),
    "from": ("from os import no_such_name", f"ImportError, raised at PLUGIN:1 {UNSHOWN}"),
    "nothing": ("", "AttributeError: module 'PLUGIN' has no attribute 'Step'"),
    "half": ("class Step:\n    version = '1'", "AttributeError: type object 'Step' has no attribute 'config_type'"),
    "lacks": (f"{LOOK}getattr(url, url)", f"AttributeError, raised at PLUGIN:3 {UNSHOWN}"),
}


@pytest.mark.parametrize("case", CASES)
def test_why_and_no_more(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, said = CASES[case]
    name = f"not_loaded_{case}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PLUGIN_URL", BAD)
    plugins = PluginInventory("r1", [EntryPoint("broken", f"{name}:Step", "runbus.plugins")])
    with structlog.testing.capture_logs() as logs:
        plugins.load()
    (problem,) = [each.problem for each in plugins.infos if each.name == "broken"]
    assert problem == said.replace("PLUGIN", name)
    assert [each["problem"] for each in logs] == [problem]
    assert SECRET not in str(logs)
