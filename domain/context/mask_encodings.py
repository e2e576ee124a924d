"""How a value is written in other languages: JSON, URLs, shells, string literals, base64, hexadecimal.

In ``mask_escapes`` is what HTML, XML and many writers of JSON make of single characters.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Iterator
from typing import Final

_TAME: Final = re.compile(r"[A-Za-z0-9_.-]*")
"""Text that looks the same in every one of the textual encodings."""
_PERCENT: Final = re.compile(r"%[0-9A-F]{2}")
_URL_SAFE: Final = ("", "/", "!'()*", ";,/?:@&=+$!*'()#")
"""Unescaped besides letters, digits and ``_.-~``: as strict as can be, paths, and JavaScript's two ways."""
_IN_DOUBLE_QUOTES: Final = re.compile(r'[";{}()&$\\|*?><]')
_IN_SINGLE_QUOTES: Final = re.compile(r"['\\]")
_NOT_BARE: Final = re.compile(r"[^A-Za-z0-9_@%+=:,./\n-]")
_ESCAPED_BLANKS: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ANSI_C: Final = {
    "\a": "\\a", "\b": "\\b", "\x1b": "\\E", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", "'": "\\'",
}  # fmt: skip
_SHORT_IN_JSON: Final = re.compile(r"[\\\b\f\n\r\t]")
_YAML: Final = {
    "\0": "\\0", "\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r",
    "\x1b": "\\e", "\x85": "\\N", "\xa0": "\\_", "\u2028": "\\L", "\u2029": "\\P", '"': '\\"', "\\": "\\\\",
}  # fmt: skip
_MIN_BASE64_BYTES: Final = 4
_MIN_WHOLE_BASE64_BYTES: Final = 2
_MIN_HEX_BYTES: Final = 3
"""Fewer would be found in every log: a date, a count, a checksum."""


def text_encodings(text: str) -> Iterator[str]:
    """The text as it is, and as programs write it into other texts; may give one twice."""
    yield text
    if _TAME.fullmatch(text):
        return
    yield from _shell(text)
    yield from _json(text)
    yield from _url(text)
    yield from _literals(text)
    yield from _nested(text)


def to_bytes(text: str) -> list[bytes]:
    """Text as a program prints it: UTF-8, and where it holds raw bytes in Python's disguise, these too."""
    try:
        return [text.encode()]
    except UnicodeEncodeError:
        found = [text.encode("utf-8", "surrogatepass")]
    try:
        return [*found, text.encode("utf-8", "surrogateescape")]
    except UnicodeEncodeError:
        return found


def base64_encodings(data: bytes) -> Iterator[bytes]:
    """What stands in the base64 of anything that contains the data: the part that its neighbours do not change.

    Of the shortest only what they are by themselves, with its padding.
    """
    if _MIN_WHOLE_BASE64_BYTES <= len(data) < _MIN_BASE64_BYTES:
        yield base64.b64encode(data)
        yield base64.urlsafe_b64encode(data)
    elif len(data) >= _MIN_BASE64_BYTES:
        for offset in range(3):
            text = base64.b64encode(b"\x00" * offset + data).rstrip(b"=")
            part = text[(offset * 8 + 5) // 6 : (offset + len(data)) * 8 // 6]
            yield part
            yield part.translate(bytes.maketrans(b"+/", b"-_"))


def hex_encodings(data: bytes) -> Iterator[bytes]:
    """In lower and in upper case."""
    if len(data) >= _MIN_HEX_BYTES:
        digits = data.hex().encode()
        yield digits
        yield digits.upper()


def _shell(text: str) -> Iterator[str]:
    """What stands between the quotes of a shell's word, in the ways of the original, Python, bash, SQL and CSV."""
    for apostrophe in ("'\"'\"'", "'\\''", "''"):
        yield text.replace("'", apostrophe)
    yield text.replace('"', '""')
    yield _escaped(text, _IN_DOUBLE_QUOTES)
    yield _escaped(text, _IN_SINGLE_QUOTES)
    yield re.sub(r'(["$`\\])', r"\\\1", text)
    yield _NOT_BARE.sub(lambda found: "\\" + found[0], text)
    kept = "".join(
        _ANSI_C.get(char) or (f"\\{ord(char):03o}" if char < " " or char == "\x7f" else char) for char in text
    )
    yield kept
    for data in to_bytes(kept):
        yield "".join(chr(byte) if byte < 0x7F else f"\\{byte:03o}" for byte in data)
        yield "".join(chr(byte) if byte < 0x7F else f"\\x{byte:02x}" for byte in data)


def _escaped(text: str, special: re.Pattern[str]) -> str:
    """A backslash before what is special; blanks are escaped only where something else is, as in the original."""
    if not special.search(text):
        return text
    return "".join(_ESCAPED_BLANKS.get(char, f"\\{char}" if special.match(char) else char) for char in text)


def _json(text: str) -> Iterator[str]:
    """What stands between the quotes of a JSON string; and that again, as JSON in JSON and in a string literal."""
    ascii_only = json.dumps(text)[1:-1]
    unicode = json.dumps(text, ensure_ascii=False)[1:-1]
    once = {ascii_only, unicode, _shortened(text), _short_json(text)}
    once |= {form.replace("/", "\\/") for form in once}
    for form in once:
        yield form
        yield form.replace("\\", "\\\\")
        yield json.dumps(form, ensure_ascii=False)[1:-1]
        yield _short_json(form)


def _short_json(text: str) -> str:
    """But for all that is written as ``u`` and four digits: such escapes are read before the search."""
    return _shortened(text).replace('"', '\\"')


def _shortened(text: str) -> str:
    return _SHORT_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _url(text: str) -> Iterator[str]:
    for data in to_bytes(text):
        strict = urllib.parse.quote(data, safe="")
        for safe in _URL_SAFE:
            quoted = urllib.parse.quote(data, safe=safe)
            for form in {quoted, quoted.replace("%20", "+"), quoted.replace("~", "%7E")}:
                yield form
                yield _PERCENT.sub(lambda found: found[0].lower(), form)
        yield strict.replace("%20", "+").replace("~", "%7E").replace("%2A", "*")
        yield strict.replace("%", "%25")


def _literals(text: str) -> Iterator[str]:
    """What stands between the quotes of a string literal of Python, and of its like."""
    for form in (text, '"' + text):  # with the mark in front, apostrophes are escaped too
        mark = len(form) - len(text)
        yield repr(form)[1 + mark : -1]
        yield ascii(form)[1 + mark : -1]
        for data in to_bytes(form):
            yield repr(data)[2 + mark : -1]
    yield repr(repr(text)[1:-1])[1:-1]


def _nested(text: str) -> Iterator[str]:
    """One inside another, as programs hand each other's lines on.

    JSON in a URL, a third time in JSON; words of a shell in JSON; and YAML.
    """
    yield _short_json(_short_json(_short_json(text)))
    for form in {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}:
        yield json.dumps(json.dumps(form, ensure_ascii=False)[1:-1], ensure_ascii=False)[1:-1]
        for data in to_bytes(form):
            quoted = urllib.parse.quote(data, safe="")
            yield quoted
            yield quoted.replace("%20", "+").replace("~", "%7E")
    for apostrophe in ("'\"'\"'", "'\\''"):
        quoted = text.replace("'", apostrophe)
        yield json.dumps(quoted)[1:-1]
        yield json.dumps(quoted, ensure_ascii=False)[1:-1]
    yield "".join(map(_in_yaml, text))


def _in_yaml(char: str) -> str:
    """Between double quotes, by a program that writes ASCII only."""
    code = ord(char)
    if char in _YAML or " " <= char <= "~":
        return _YAML.get(char, char)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
