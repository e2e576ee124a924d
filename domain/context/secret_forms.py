"""The shapes in which a secret turns up in a log."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

MIN_CHARS: Final = 2
"""A single character is masked only in quotes: masking it everywhere would ruin the log and hide nothing."""
_MIN_LINE_CHARS: Final = 8
_MIN_PART_BYTES: Final = 4
_MIN_BASE64_BYTES: Final = 6
MIN_ENVIRONMENT_BYTES: Final = 6
"""A shorter value of an environment variable is taken for a switch or a number."""
_IN_DOUBLE_QUOTES: Final = re.compile(r'[";{}()&$\\|*?><]')
_IN_SINGLE_QUOTES: Final = re.compile(r"['\\]")
_ESCAPED_BLANKS: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain_forms(secret: str) -> set[str]:
    """Everything to mask for a secret where it stands unquoted; each is also masked together with quotes around it.

    The first four are the original's ("Masking"): the value, and as a shell's line quotes or escapes it. The others
    are how values leak elsewhere: in JSON, in a URL, in base64 at any offset, and each line of a long key by itself.
    """
    forms = {
        secret,
        secret.replace("'", "'\"'\"'"),
        _escaped(secret, _IN_DOUBLE_QUOTES),
        _escaped(secret, _IN_SINGLE_QUOTES),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        urllib.parse.quote(secret, safe="", errors="surrogatepass"),
        urllib.parse.quote_plus(secret, errors="surrogatepass"),
        secret.replace("\n", "\r\n"),
        *_base64_forms(secret),
        *_lines(secret),
    }
    return {form for form in forms if len(form) >= MIN_CHARS}


def quoted_forms(secret: str) -> set[str]:
    """``'v'`` and ``"v"`` of a secret that is too short to be masked bare."""
    return {f"'{secret}'", f'"{secret}"'}


def names_a_secret(variable: str) -> bool:
    """Whether an environment variable of a runner holds a secret, by its name ("Masking")."""
    return variable.upper().endswith(("TOKEN", "KEY", "PASSWORD"))


def secrets_of_environment(environment: Mapping[str, str]) -> list[str]:
    """The values to mask of a runner's environment: of variables named ``…TOKEN``, ``…KEY``, ``…PASSWORD``.

    The original masks every such value ("Masking"). Here one of less than six bytes is not: ``SSH_KEY=1`` or
    ``USE_TOKEN=true`` would take every ``1`` and ``true`` out of every log, and are no secrets worth the name. What
    has to be masked however short it is belongs into a secure option or a key storage.
    """
    return [
        value
        for name, value in sorted(environment.items())
        if names_a_secret(name) and len(value.encode("utf-8", "surrogatepass")) >= MIN_ENVIRONMENT_BYTES
    ]


def all_forms(secrets: Iterable[str]) -> tuple[set[str], set[str]]:
    """The forms to mask bare or in quotes, and those to mask only as they are. Empty secrets have none."""
    either: set[str] = set()
    only: set[str] = set()
    for secret in secrets:
        if len(secret) >= MIN_CHARS:
            either |= plain_forms(secret)
        elif secret:
            only |= quoted_forms(secret)
    return either, only


def _escaped(secret: str, special: re.Pattern[str]) -> str:
    """A backslash before what is special; blanks are escaped only where something else is, as in the original."""
    if not special.search(secret):
        return secret
    return "".join(_ESCAPED_BLANKS.get(char, f"\\{char}" if special.match(char) else char) for char in secret)


def _base64_forms(secret: str) -> Iterator[str]:
    """What stands in the base64 of any text that contains the secret: the part that its neighbours do not change."""
    data = secret.encode("utf-8", "surrogatepass")
    if len(data) < _MIN_BASE64_BYTES:
        return
    for offset in range(3):
        text = base64.b64encode(b"\x00" * offset + data).decode("ascii").rstrip("=")
        first = (offset * 8 + 5) // 6
        last = (offset + len(data)) * 8 // 6
        yield text[first:last]
        yield text[first:last].replace("+", "-").replace("/", "_")


def line_parts(form: bytes) -> set[bytes]:
    """The lines of a form that has several, but for the shortest."""
    lines = form.splitlines()
    return {part for line in lines if len(lines) > 1 and len(part := line.strip()) >= _MIN_PART_BYTES}


def _lines(secret: str) -> Iterator[str]:
    """The lines of a secret that has several: but for short ones, and the frame of a PEM file."""
    lines = secret.splitlines()
    if len(lines) > 1:
        for line in lines:
            text = line.strip()
            if len(text) >= _MIN_LINE_CHARS and not text.startswith("-----"):
                yield text
