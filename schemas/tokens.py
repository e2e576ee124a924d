"""Names that become subject tokens, validated where they are made; tags and tag sets.

A token is one level of a NATS subject. Identifiers (projects, runners, executions) are kept to letters, digits,
``-`` and ``_``, so that they are also valid as consumer names and key-value keys. Tags may hold anything a person
types except the separators; what a token cannot hold is escaped as ``=HH`` per UTF-8 byte, reversibly.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from schemas.errors import ErrorCode, RunbusError

LOCAL_SET: Final = "local"
"""The reserved set of the Local Runner: a job that selects nothing runs there."""

OWN_TAG: Final = "@"
"""Begins the tag that only the runner of that id bears: ``@web-1``."""

RESERVED_PROJECTS: Final = frozenset({"api", "runner", "registry", "dispatcher"})
"""Project names that would collide with subject families of their own (``rb.api.…``, ``rb.runner.…``)."""

RESERVED_RUNNERS: Final = frozenset({"exec", "log", "dispatcher"})
"""Runner ids that would put ``rb.runner.<id>.…`` into a stream (``rb.*.exec.>``, ``rb.*.log.>``), or the runner's
events under the name of the dispatcher."""

MAX_TAG_CHARS: Final = 64
MAX_TAGS_PER_SET: Final = 16
MAX_SET_TOKEN_CHARS: Final = 190
"""With a project's 64 and the ``+`` between them, the 255 that NATS allows in a consumer's name."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_PLAIN_TAG_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
_UPPER_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SEPARATORS = re.compile(r"[,+]")
_RESERVED: Final = {"project": RESERVED_PROJECTS, "runner id": RESERVED_RUNNERS}


def identifier(kind: str, value: str) -> str:
    """Return ``value`` if it can stand as one token; raise ``invalid_name`` (kind, value) otherwise.

    Of kinds ``project`` and ``runner id`` some names are reserved.
    """
    if not _IDENTIFIER.match(value):
        raise RunbusError(
            ErrorCode.INVALID_NAME,
            f"{kind} {value[:80]!r} is not a valid name: use 1 to 64 letters, digits, '-' or '_'.",
            details={"kind": kind, "value": _shown(value)},
        )
    if value in _RESERVED.get(kind, frozenset()):
        raise RunbusError(
            ErrorCode.INVALID_NAME,
            f"{kind} {value!r} is reserved: choose another name.",
            details={"kind": kind, "value": value},
        )
    return value


def project_name(value: str) -> str:
    """Return ``value`` if it can name a project; raise ``invalid_name`` otherwise."""
    return identifier("project", value)


def runner_id(value: str) -> str:
    """Return ``value`` if it can name a runner; raise ``invalid_name`` otherwise."""
    return identifier("runner id", value)


def _shown(value: str) -> str:
    """The beginning of what came, such that it can be sent: without lone surrogates."""
    return value[:80].encode(errors="backslashreplace").decode()


def tag(value: str) -> str:
    """Normalise one tag: trimmed, lower case (``LINUX`` and ``linux`` are one tag), NFC.

    ``@ID`` is the tag that every runner bears by itself: it names that one runner, and keeps its case.

    Raises ``invalid_tag`` for an empty tag, a separator (``,`` or ``+``), a control character, the reserved
    word ``local``, more than 64 characters, or an ``@ID`` whose id no runner can have.
    """
    if value.strip().startswith(OWN_TAG):
        return _own_tag_as_typed(value.strip().removeprefix(OWN_TAG))
    normal = unicodedata.normalize("NFC", value.strip().lower())
    problem = _tag_problem(normal)
    if problem:
        raise RunbusError(
            ErrorCode.INVALID_TAG,
            f"{value[:80]!r} is not a valid tag: {problem}.",
            details={"tag": _shown(value)},
        )
    return normal


def _own_tag_as_typed(runner: str) -> str:
    try:
        return own_tag(runner_id(runner))
    except RunbusError as cause:
        raise RunbusError(
            ErrorCode.INVALID_TAG,
            f"'@{runner[:80]}' is not a valid tag: behind '@' stands the id of a runner, 1 to 64 letters, digits, "
            "'-' or '_'.",
            details={"tag": _shown(OWN_TAG + runner)},
        ) from cause


def _tag_problem(normal: str) -> str:
    if not normal:
        return "a tag cannot be empty (look for a doubled or trailing ',' or '+')"
    if _SEPARATORS.search(normal):
        return "',' and '+' separate tags"
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in normal):
        return "it holds a control character"
    if len(normal) > MAX_TAG_CHARS:
        return f"it is longer than {MAX_TAG_CHARS} characters"
    if normal == LOCAL_SET:
        return "'local' is reserved for the Local Runner (choose it with --local, or by selecting nothing)"
    return ""


def given_tag(value: str) -> str:
    """Normalise a tag that a runner is given. Raises ``invalid_tag``, also for ``@ID``, which nobody is given."""
    if value.strip().startswith(OWN_TAG):
        raise RunbusError(
            ErrorCode.INVALID_TAG,
            f"{value[:80]!r} is not a valid tag: '@' begins the tag that a runner bears by its id.",
            details={"tag": _shown(value)},
        )
    return tag(value)


def own_tag(runner: str) -> str:
    """The tag that this runner alone bears."""
    return OWN_TAG + runner


def escape_tag(normal: str) -> str:
    """One subject token for one normalised tag: ``web 1`` → ``web=201``, ``@Web-1`` → ``=40Web-1``."""
    plain = _PLAIN_TAG_BYTES | _UPPER_BYTES if normal.startswith(OWN_TAG) else _PLAIN_TAG_BYTES
    return "".join(chr(byte) if byte in plain else f"={byte:02X}" for byte in normal.encode())


def unescape_tag(token: str) -> str:
    """Inverse of :func:`escape_tag`."""
    return re.sub(rb"=([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), token.encode()).decode()


class TagSet:
    """Tags that are ANDed: sorted, without repeats; empty only as the Local Runner's set.

    ``token`` is its form in subjects and consumer names (``dev+linux``), ``key`` its form in key-value keys, where
    NATS does not allow ``+`` (``dev.linux``).
    """

    __slots__ = ("tags",)

    def __init__(self, tags: Iterable[str]) -> None:
        normal = tuple(sorted({tag(each) for each in tags}))
        if len(normal) > MAX_TAGS_PER_SET:
            raise RunbusError(
                ErrorCode.INVALID_TAG,
                f"{len(normal)} tags in one selector: {MAX_TAGS_PER_SET} is the most.",
                details={"count": len(normal)},
            )
        if len("+".join(map(escape_tag, normal))) > MAX_SET_TOKEN_CHARS:
            raise RunbusError(
                ErrorCode.INVALID_TAG,
                f"the tags of one selector are too long together: {MAX_SET_TOKEN_CHARS} characters are the most, "
                "where each byte that is no lower-case letter, digit, '-' or '_' counts three.",
                details={"tags": list(normal)},
            )
        self.tags: Final = normal

    @classmethod
    @lru_cache(maxsize=1024)
    def parse(cls, text: str) -> TagSet:
        """Read a typed tag filter: tags joined by ``,`` or ``+``, both meaning AND (``LINUX+DEV``).

        Raises ``invalid_tag`` if the text or any of its parts is empty or invalid.
        """
        return cls(_SEPARATORS.split(text))

    @classmethod
    @lru_cache(maxsize=1024)
    def from_token(cls, token: str) -> TagSet:
        """Read the set back from a subject token; raise ``invalid_tag`` if it cannot be one."""
        if token == LOCAL_SET:
            return cls(())
        try:
            return cls([unescape_tag(part) for part in token.split("+")])
        except UnicodeError as cause:
            raise RunbusError(
                ErrorCode.INVALID_TAG,
                f"{token[:80]!r} is not the token of a tag set.",
                details={"token": _shown(token)},
            ) from cause

    @classmethod
    def local(cls) -> TagSet:
        """Return the set of the Local Runner."""
        return cls(())

    @property
    def is_local(self) -> bool:
        """Whether this is the Local Runner's set."""
        return not self.tags

    @property
    def token(self) -> str:
        """``dev+linux``, or ``local``."""
        return "+".join(map(escape_tag, self.tags)) or LOCAL_SET

    @property
    def key(self) -> str:
        """``dev.linux``, or ``local``."""
        return ".".join(map(escape_tag, self.tags)) or LOCAL_SET

    def matches(self, borne: frozenset[str]) -> bool:
        """Whether a runner that bears the normalised tags ``borne`` serves this set (not asked of ``local``)."""
        return borne.issuperset(self.tags)

    def __str__(self) -> str:
        return "+".join(self.tags) or LOCAL_SET

    def __repr__(self) -> str:
        return f"TagSet({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TagSet) and self.tags == other.tags

    def __hash__(self) -> int:
        return hash(self.tags)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tags)
