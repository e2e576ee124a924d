"""Documents of nodes as sources find them: where they are, in which format, and what is wrong with them."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from domain.nodes.errors import shown
from domain.nodes.formats import NAMES, format_of, parts, read_document
from runbus.plugin import Discovered, SourceError, SourceFailure
from schemas.errors import RunbusError

_MIME: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("resourceyaml", re.compile(r"[^/]+/(?:x-)?yaml|text/plain", re.IGNORECASE)),
    ("resourcexml", re.compile(r"[^/]+/xml", re.IGNORECASE)),
    ("resourcejson", re.compile(r"(?:application|text)/json", re.IGNORECASE)),
)
"""The MIME types that the original's parsers name as theirs."""
_MAX_BYTES: Final = dict.fromkeys(NAMES, parts.MAX_BYTES) | {"resourceyaml": parts.MAX_YAML_BYTES}
_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def absolute(value: str, setting: str) -> Path:
    """The path that a setting names. Raises :class:`SourceError` where it is not absolute."""
    if not value.startswith("/") or "\0" in value:
        raise SourceError(
            f"the setting {setting!r} has to be an absolute path on the runner, such as /etc/runbus/nodes.yaml, "
            f"not {shown(value)}",
            reason=SourceFailure.CONFIGURATION,
        )
    return Path(value)


def format_named(value: str) -> str:
    """The format that a setting names, or a MIME type. Raises :class:`SourceError` for any other."""
    name = value.partition(";")[0].strip()
    for known in NAMES:
        if name == known:
            return known
    for known, pattern in _MIME:
        if pattern.fullmatch(name):
            return known
    raise SourceError(
        f"the setting 'format' is {shown(value)}, which is not known; name one of {', '.join(NAMES)}",
        reason=SourceFailure.CONFIGURATION,
    )


def format_by_extension(path: Path) -> str:
    """The format of a file without the setting. Raises :class:`SourceError` where its name tells none."""
    try:
        return format_of(path.name)
    except RunbusError:
        raise SourceError(
            f"the name of {path} tells no format; set 'format' to one of {', '.join(NAMES)}, "
            "or let it end in .yaml, .yml, .json or .xml",
            reason=SourceFailure.CONFIGURATION,
        ) from None


def check_file(path: Path) -> None:
    """Raise :class:`SourceError` unless there is a regular file. Blocks."""
    try:
        _check_regular(path, path.stat().st_mode)
    except OSError as cause:
        raise _unreadable(path, cause) from None


def discovered_in_file(path: Path, format_name: str) -> Discovered:
    """The nodes of a file, each name once, and warnings. Raises :class:`SourceError` with file and line. Blocks."""
    check_file(path)  # before it is opened: that alone may wait for ever on a pipe, or move a device
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            _check_regular(path, before.st_mode)
            document = file.read(_MAX_BYTES[format_name] + 1)
            after = os.fstat(descriptor)
    except OSError as cause:
        raise _unreadable(path, cause) from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceError(
            f"{path} was written to while it was read; write nodes to another file, and rename that",
            reason=SourceFailure.FAILED,
        )
    return discovered_in(document, format_name, str(path))


def discovered_in(document: bytes, format_name: str, place: str) -> Discovered:
    """The nodes of a document, each name once, and warnings; ``place`` says where it comes from. Blocks.

    Raises :class:`SourceError` (``malformed``, with ``PLACE:LINE``; ``too_large``).
    """
    if len(document) > _MAX_BYTES[format_name]:
        raise SourceError(
            f"{place} is longer than the {_MAX_BYTES[format_name] >> 20} MiB that are read as {format_name}; "
            "split it into several sources",
            reason=SourceFailure.TOO_LARGE,
        )
    try:
        nodes, warnings = read_document(format_name, document)
    except RunbusError as error:
        line = error.details.get("line")
        where = f"{place}:{line}" if line else place
        reason = error.message.partition(": ")[2] or error.message
        raise SourceError(f"{where}: {reason}", reason=SourceFailure.MALFORMED) from None
    return Discovered(nodes=nodes, warnings=[f"{place}: {text}" for text in warnings])


def _check_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((text for is_kind, text in _KINDS if is_kind(mode)), "no file")
        raise SourceError(f"{path} is {kind}; name a regular file", reason=SourceFailure.CONFIGURATION)


def _unreadable(path: Path, cause: OSError) -> SourceError:
    if isinstance(cause, FileNotFoundError | NotADirectoryError):
        return SourceError(
            f"there is no file {path}; create it on the runner, or correct the path",
            reason=SourceFailure.NOT_FOUND,
        )
    return SourceError(
        f"{path} cannot be read: {cause.strerror or cause}; "
        "give the runner's user access to it and to the directories above"
    )
