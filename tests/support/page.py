"""A page whose commands are sent and whose answers are compared: blocks of ``sh``, each answered by ``json``."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

WIDTH: Final = 112
_BLOCK: Final = re.compile(r"^```(sh|json)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_STEADY: Final[dict[str, str | float]] = {
    "instance": "01jk2n5z7rjx0c9d3m8w4t6v1b",
    "error_id": "1a3fea291c06",
    "at": 1738324800.25,
    "duration_s": 0.004,
}
_STEADY_TIME: Final = "2025-01-31T12:00:00.250000Z"


@dataclass(frozen=True)
class Command:
    """``nats req|pub|sub SUBJECT [BODY]``."""

    verb: str
    subject: str
    body: str
    headers: dict[str, str]

    @classmethod
    def parse(cls, words: list[str]) -> Command:
        """Refuses options that this reading of the page does not know."""
        plain: list[str] = []
        headers: dict[str, str] = {}
        rest = iter(words)
        for word in rest:
            if word == "-H":
                name, _, value = next(rest).partition(":")
                headers[name] = value
            elif word == "--timeout":
                next(rest)
            elif word not in {"-J", "--all"}:
                assert not word.startswith("-"), f"unknown option {word}"
                plain.append(word)
        verb, subject, *body = plain
        assert verb in {"req", "pub", "sub"}
        return cls(verb, subject, "".join(body), headers)


@dataclass
class Exchange:
    """The commands of one block, and the blocks of JSON that answer the last of them."""

    commands: list[Command]
    answers: list[re.Match[str]] = field(default_factory=list)


def exchanges(page: str) -> Iterator[Exchange]:
    """Every block of commands, in order."""
    current: Exchange | None = None
    for block in _BLOCK.finditer(page):
        if block[1] == "json":
            assert current is not None
            current.answers.append(block)
            continue
        if current is not None:
            yield current
        current = Exchange([Command.parse(words) for words in _split(shlex.split(block[2]))])
    if current is not None:
        yield current


def _split(words: list[str]) -> Iterator[list[str]]:
    assert words[0] == "nats"
    command: list[str] = []
    for word in words[1:]:
        if word == "nats":
            yield command
            command = []
        else:
            command.append(word)
    yield command


def steady(value: Any, key: str = "") -> Any:
    """The same JSON with times, durations and made-up ids as the page has them."""
    match value:
        case dict():
            return {name: steady(each, name) for name, each in value.items()}
        case list():
            return [steady(each) for each in value]
        case str() if _TIME.fullmatch(value):
            return _STEADY_TIME
        case str() | float() if value:
            return _STEADY.get(key, value)
    return value


def laid_out(value: Any, indent: int = 0) -> str:
    """JSON for people: as much on a line as fits."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= WIDTH or not isinstance(value, dict | list):
        return flat
    inner, pad = indent + 2, " " * (indent + 2)
    if isinstance(value, list):
        lines = [laid_out(each, inner) for each in value]
    else:
        lines = _packed([f"{json.dumps(name)}: {laid_out(each, inner)}" for name, each in value.items()], inner)
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return f"{opening}\n" + ",\n".join(pad + line for line in lines) + f"\n{' ' * indent}{closing}"


def _packed(pieces: list[str], indent: int) -> list[str]:
    lines: list[str] = []
    for piece in pieces:
        joined = f"{lines[-1]}, {piece}" if lines else piece
        if lines and "\n" not in joined and indent + len(joined) <= WIDTH:
            lines[-1] = joined
        else:
            lines.append(piece)
    return lines
