"""Secrets of awkward shapes, and every form in which one leaks: made without the code that is tested by them."""

from __future__ import annotations

import base64
import html
import json
import random
import shlex
import string
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

_SEED: Final = 20261128
MIN_CHARS: Final = 6
"""What is shorter is no form to look for: it would be found in anything."""
_END_CHARS: Final = 40

_SHAPES: Final = (
    "{a}", "{a}{b}", "{a} {b}", "{a}'{b}", '{a}"{b}', "{a}\\{b}", "{a}${b}", "{a}`{b}`", "{a}&{b}<{c}>",
    "{a}%{b}%20{c}", "{a}+{b}/{c}==", "{a}\t{b}", "{a};{b}|{c}", "-{a}--{b}", "#{a}", "{{{a}}}", "[{a}](.*){b}",
    "^{a}$", "{a}\\n{b}", "é{a}ß{b}", "{a}密码{b}", "{a}🔑{b}", "${{{a}}}", "{a}!{b}!", "~{a}", "{a}\u00a0{b}",
    "{a}''{b}", '{a}""{b}', "\\\\{a}\\{b}", "{a}={b}&{c}=", "https://{a}:{b}@{c}", "{a}?{b}#{c}", "*{a}*",
    "{a},{b},{c}", "@{a}@{b}", "aaaaaaaa{a}aaaaaaaa",
)  # fmt: skip


def secrets(count: int) -> list[str]:
    """So many, always the same; some the beginning of another, some long, some keys of many lines."""
    chance = random.Random(_SEED)
    found = []
    for number in range(count):
        parts = {name: _word(chance, 8) for name in "abc"}
        if number % 20 == 7:
            found.append(_pem(chance, lines=6))
        elif number % 20 == 11:
            found.append(f"{found[-1]}{parts['a']}")
        elif number % 20 == 13:
            found.append("".join(_word(chance, 64) for _ in range(32)))
        elif number % 20 == 17:
            found.append(f"{parts['a']}\r\n{parts['b']}x\r\n{parts['c']}")
        else:
            found.append(_SHAPES[number % len(_SHAPES)].format(**parts))
    return found


def _word(chance: random.Random, length: int) -> str:
    return "".join(chance.choices(string.ascii_letters + string.digits, k=length))


def _pem(chance: random.Random, lines: int) -> str:
    body = "\n".join(base64.b64encode(chance.randbytes(48)).decode() for _ in range(lines))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"


def forms(secret: str) -> set[str]:
    """As it stands in shells, JSON, URLs, XML, base64 at each offset, hex; and each line of it."""
    data = secret.encode()
    found = {
        secret,
        secret.replace("\n", "\r\n"),
        shlex.quote(secret),
        secret.replace("'", "'\"'\"'"),
        secret.replace("\\", "\\\\").replace("'", "\\'"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        *_json_in_json(json.dumps(secret)[1:-1]),
        *_json_in_json(json.dumps(secret, ensure_ascii=False)[1:-1]),
        quote(json.dumps(secret)[1:-1], safe=""),
        repr(secret)[1:-1],
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        quote(secret, safe="").lower() if secret.isascii() and secret.islower() else secret,
        escape(secret),
        html.escape(secret),
        quoteattr(secret)[1:-1],
        data.hex(),
        data.hex().upper(),
        *_base64(data),
        *(line for line in secret.splitlines() if not line.startswith("-----")),
    }
    return {form for form in found if len(form) >= MIN_CHARS}


def _json_in_json(text: str) -> Iterator[str]:
    """As a second program logs the line of the first, and a third that of the second."""
    for _ in range(2):
        text = json.dumps(text, ensure_ascii=False)[1:-1]
        yield text


def _base64(data: bytes) -> Iterator[str]:
    """What of it is the same whatever stands before and behind; and the whole, as tools print it."""
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + data + b"\0\0").decode()
        kept = coded[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]
        yield kept
        yield kept.replace("+", "-").replace("/", "_")


def found_in(haystack: bytes, names: dict[str, str]) -> list[tuple[str, str]]:
    """Which secrets, by name, stand in it in which form; of a long one, also its two ends by themselves."""
    return [
        (name, form)
        for name, secret in names.items()
        for form in sorted(forms(secret) | _ends(secret))
        if form.encode() in haystack
    ]  # fmt: skip


def _ends(secret: str) -> set[str]:
    """What is left where a text was cut in a secret before it was masked."""
    if len(secret) < 2 * _END_CHARS or "\n" in secret:
        return set()
    return {secret[:_END_CHARS], secret[-_END_CHARS:]}
