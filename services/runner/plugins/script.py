"""The ``script`` step: a script given inline, or a file on the runner, with interpreter and arguments."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from runbus.plugin import StepContext, StepError, StepResult

_PLACE: Final = "${scriptfile}"


class ScriptConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of ``script`` (its text) and ``file`` (a path on the runner)."""

    script: str | None = None
    file: str | None = None
    args: str | list[str] = []
    """A list is passed as it is; a string is split as a shell splits words."""
    interpreter: str = ""
    """Split as a shell splits words; ``${scriptfile}`` in it says where the script goes, else it is appended."""
    interpreter_args_quoted: bool = False
    """Join file and arguments into one quoted argument of the interpreter (``su - app -c`` wants that)."""
    file_extension: str = ".sh"


class ScriptStep:
    """Run a script."""

    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[ScriptConfig]] = ScriptConfig

    async def run(self, config: ScriptConfig, context: StepContext) -> StepResult:
        """Place an inline script in the work directory (mode 0700), run it, report its exit code or signal."""
        if (config.script is None) == (config.file is None):
            raise StepError("a script step needs either 'script' (its text) or 'file' (a path on the runner).")
        if config.script is not None:
            path = _place(config.script, config.file_extension, context)
        else:
            path = Path(config.file or "")
            if not path.is_file():
                raise StepError(f"the script file {path} is not there on runner {context.runner}.")
        argv = _command_line(path, config)
        return StepResult.of(await context.run_process(argv))


def _place(text: str, extension: str, context: StepContext) -> Path:
    suffix = extension if extension.startswith(".") else f".{extension}"
    name = f"{context.step}-{context.execution}{re.sub(r'[^A-Za-z0-9_.-]', '_', suffix)}"
    path = context.work_dir / name
    path.write_text(text if text.endswith("\n") else text + "\n")
    path.chmod(0o700)
    return path


def _command_line(path: Path, config: ScriptConfig) -> list[str]:
    try:
        args = shlex.split(config.args) if isinstance(config.args, str) else list(config.args)
        interpreter = shlex.split(config.interpreter)
    except ValueError as cause:
        raise StepError(f"the script's arguments or interpreter cannot be split into words: {cause}.") from cause
    if not interpreter:
        interpreter = [] if _is_runnable(path) else ["/bin/sh"]
    tail = [str(path), *args]
    if config.interpreter_args_quoted:
        tail = [shlex.join(tail)]
    if _PLACE not in config.interpreter:
        return [*interpreter, *tail]
    placed = [word.replace(_PLACE, tail[0]) for word in interpreter]
    return [*placed, *tail[1:]]


def _is_runnable(path: Path) -> bool:
    """Whether the kernel can start it by itself: executable, and with a first line that names an interpreter."""
    with path.open("rb") as file:
        head = file.read(4)
    starts_itself = head.startswith(b"#!") or head == b"\x7fELF"
    return starts_itself and bool(path.stat().st_mode & 0o111)
