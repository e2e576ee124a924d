"""One discovery on a runner: the plugin, its settings with keys in their places, a deadline, and what came of it."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.endpoint import internal_error
from bus.logs import hide
from domain.calm import uncollected
from domain.context.masking import Masker
from domain.discovery.lastwords import words_so_far
from domain.discovery.listed import listed
from domain.keys.paths import is_key_name
from runbus.plugin import Discovered, NodeSource, ProcessOutput, SourceError, SourceFailure
from schemas.errors import ErrorCode, RunbusError
from services.runner.foreign import sheltered
from services.runner.inventory import PluginInventory
from services.runner.keyuse import ReadsKeys, Use
from services.runner.process import ChildProcess, GroupFile, ProcessSpec, SpawnError, SpawnFailure, Stream

MAX_OUTPUT_BYTES: Final = 256 << 20
_STDERR_BYTES: Final = 16 << 10
_GRACE_S: Final = 2.0
_MISSING: Final = re.compile(r"Object missing required field `([^`]+)`")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be discovered."""

    project: str
    source: str
    """The source's name, for errors."""
    type: str
    config: Mapping[str, str]
    timeout_s: float


class Discoverer:
    """Asks node sources. Any number at a time; nothing of one reaches another."""

    def __init__(
        self,
        *,
        runner: str,
        plugins: PluginInventory,
        keys: ReadsKeys,
        env: Mapping[str, str],
        groups: GroupFile | None = None,
        env_secrets: Sequence[str] = (),
    ) -> None:
        self._runner = runner
        self._plugins = plugins
        self._keys = keys
        self._env = env
        self._groups = groups
        self._env_secrets = env_secrets

    async def discover(self, question: Question) -> Discovered:
        """The nodes, sorted by name, each name once.

        Raises ``plugin_not_found``, ``discovery_failed`` with a :class:`SourceFailure`, ``key_unavailable``. No value
        of a key is in what is returned or raised.
        """
        plugin = self._plugins.source(question.type)
        masker = Masker(self._env_secrets)
        try:
            settings, secrets = await self._settings(plugin, question)
            masker = Masker([*self._env_secrets, *secrets])
            hide(masker.mask)
            config, warnings = _converted(plugin, settings, question)
            found = await self._ask(plugin(), config, question, masker)
        except SourceError as failed:
            raise _failed(question, failed.message, failed.reason, masker) from None
        except RunbusError:
            raise
        except TimeoutError as cause:  # the plugin's own; the deadline's is a SourceError
            text = f"whom it asks did not answer in time{f': {cause}' if str(cause) else ''}"
            raise _failed(question, text, SourceFailure.TIMEOUT, masker) from None
        except (Exception, SystemExit) as cause:  # noqa: BLE001  (a foreign plugin may raise anything)
            error = internal_error(f"node source {question.source} ({question.type})", cause)
            raise _failed(question, error.message, SourceFailure.FAILED, masker) from None
        return await asyncio.to_thread(_sound, found, warnings, masker)

    def version(self, plugin: str) -> str:
        """Of a node source."""
        return str(self._plugins.source(plugin).version)

    async def _settings(self, plugin: type[NodeSource], question: Question) -> tuple[dict[str, str], list[str]]:
        """The settings with the values of keys in place of their names, and those values."""
        settings = {name: value for name, value in question.config.items() if value.strip()}
        secrets = []
        for name in plugin.secret_settings & settings.keys():
            if not is_key_name(settings[name]):
                raise SourceError(
                    f"the setting {name!r} has to name a key (keys/...), not to be the secret itself",
                    reason=SourceFailure.CONFIGURATION,
                )
            settings[name] = await self._keys.read(
                settings[name], Use(project=question.project, source=question.source)
            )
            secrets.append(settings[name])
        return settings, secrets

    async def _ask(self, plugin: NodeSource, config: Any, question: Question, masker: Masker) -> Discovered:
        with tempfile.TemporaryDirectory(prefix="runbus-nodes-", ignore_cleanup_errors=True) as directory:
            at = Asked(self._runner, question, Path(directory), self._env, self._groups, masker)
            try:
                async with asyncio.timeout(question.timeout_s) as deadline:
                    return await sheltered(lambda: plugin.discover(config, at))
            except TimeoutError:
                if not deadline.expired():
                    raise
                text = f"it had not answered after {question.timeout_s:g} s"
                if at.cut_short is not None:
                    text += await asyncio.to_thread(words_so_far, at.cut_short, masker)
                raise SourceError(text, reason=SourceFailure.TIMEOUT) from None


class Asked:
    """A :class:`runbus.plugin.SourceContext`."""

    def __init__(
        self, runner: str, question: Question, work_dir: Path, env: Mapping[str, str], groups: GroupFile | None,
        masker: Masker | None = None,
    ) -> None:  # fmt: skip
        self.runner = runner
        self.project = question.project
        self.work_dir = work_dir
        self.env = env
        self._question = question
        self._groups = groups
        self._masker = (masker or Masker(())).by_line()
        self.cut_short: bytes | None = None
        """The stderr of a process that was ended because nobody waits any more."""

    async def run_process(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> ProcessOutput:
        """Run a process until it ends, what it prints bounded, its stderr without secrets."""
        spec = ProcessSpec(
            argv=argv, env=self.env if env is None else env, cwd=self.work_dir if cwd is None else cwd, stdin=stdin,
            grace_s=_GRACE_S,
        )  # fmt: skip
        printed = _Printed()
        with self._noting() as note:
            child = ChildProcess(spec, on_output=printed.take, on_start=note)
            try:
                result = await child.run()
            except SpawnError as failed:
                raise _unstarted(failed) from None
            except _TooMuchError:
                raise SourceError(
                    f"{argv[0]} printed more than {MAX_OUTPUT_BYTES >> 20} MiB, and was ended",
                    reason=SourceFailure.TOO_LARGE,
                ) from None
            except asyncio.CancelledError:
                self.cut_short = printed.said
                raise
        return ProcessOutput(
            exit_code=result.exit_code, signal=result.signal, stdout=b"".join(printed.stdout),
            stderr=await asyncio.to_thread(self._masker.mask_bytes, printed.said),
        )  # fmt: skip

    @contextmanager
    def _noting(self) -> Iterator[Any]:
        if self._groups is None:
            yield None
            return
        with self._groups.noting((self.project, f"nodes-{self._question.source}", "0")) as note:
            yield note


class _TooMuchError(Exception):
    """More was printed than is taken."""


class _Printed:
    def __init__(self) -> None:
        self.stdout: list[bytes] = []
        self._stderr = bytearray()
        self._is_all = True
        self._left = MAX_OUTPUT_BYTES

    @property
    def said(self) -> bytes:
        """The end of stderr; from the beginning of a line, unless it holds none: half a secret is not recognized."""
        _, line_feed, whole = self._stderr.partition(b"\n")
        return bytes(self._stderr if self._is_all or not line_feed else whole)

    async def take(self, stream: Stream, data: bytes) -> None:
        if stream is Stream.STDERR:
            self._stderr += data
            if len(self._stderr) > _STDERR_BYTES:
                self._is_all = False
                del self._stderr[:-_STDERR_BYTES]
            return
        self._left -= len(data)
        if self._left < 0:
            raise _TooMuchError
        self.stdout.append(data)


def _unstarted(failed: SpawnError) -> SourceError:
    missing = failed.failure in (SpawnFailure.NOT_FOUND, SpawnFailure.NO_INTERPRETER)
    reason = SourceFailure.NOT_FOUND if missing else SourceFailure.FAILED
    return SourceError(failed.message.removesuffix("."), reason=reason)


def _converted(plugin: type[NodeSource], settings: dict[str, str], question: Question) -> tuple[Any, list[str]]:
    known = {each.encode_name for each in msgspec.structs.fields(plugin.config_type)}
    strange = sorted(settings.keys() - known)
    warnings = [f"setting {name!r} means nothing to {question.type}" for name in strange]
    own = {name: value for name, value in settings.items() if name in known}
    try:
        return msgspec.convert(own, plugin.config_type, strict=False), warnings
    except msgspec.ValidationError as cause:
        if missing := _MISSING.match(str(cause)):
            text = "; ".join([f"the setting {missing[1]!r} is missing", *warnings])
            raise SourceError(text, reason=SourceFailure.CONFIGURATION) from None
        said, _, place = str(cause).partition(" - at `$.")
        setting = f" (setting {place.removesuffix('`')!r})" if place else ""
        text = f"its settings are not valid: {said[0].lower()}{said[1:]}{setting}"
        raise SourceError(text, reason=SourceFailure.CONFIGURATION) from None


def _sound(found: Discovered, warnings: Sequence[str], masker: Masker) -> Discovered:
    with uncollected():
        nodes, said = listed(found.nodes, (*warnings, *found.warnings), masker)
    return Discovered(nodes=nodes, warnings=said)


def _failed(question: Question, text: str, reason: SourceFailure, masker: Masker) -> RunbusError:
    said = masker.mask(text.removesuffix("."))
    return RunbusError(
        ErrorCode.DISCOVERY_FAILED,
        f"node source {question.source} ({question.type}): {said}{'' if said.endswith('?') else '.'}",
        details={"source": question.source, "plugin": question.type, "reason": reason},
    )
