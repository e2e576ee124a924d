"""An outside plugin for tests: a package of its own, found on a path by its entry point."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_SOURCE: Final = '''
import os, signal
from typing import ClassVar
import msgspec
from runbus.plugin import StepContext, StepResult

class Config(msgspec.Struct):
    diary: str

class Kill:
    """Writes that it was here, and ends its own runner before anything is spawned."""
    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[Config]] = Config
    async def run(self, config: Config, context: StepContext) -> StepResult:
        with open(config.diary, "a") as diary:
            diary.write(context.execution + "\\n")
        os.kill(os.getpid(), signal.SIGKILL)
        return StepResult()
'''


def plugin_path(directory: Path) -> str:
    """Lay the package out in a directory; returns what goes into PYTHONPATH."""
    info = directory / "runbus_test_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (directory / "runbus_test_plugin.py").write_text(_SOURCE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: runbus-test-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[runbus.plugins]\nkill-runner = runbus_test_plugin:Kill\n")
    return str(directory)
