"""A hundred awkward secrets in every form in which they leak: written here by other means than the masker's own."""

from __future__ import annotations

import base64
import binascii
import html
import json
import random
import shlex
import string
import textwrap
import urllib.parse
import xml.sax.saxutils
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.context.mask_lines import MIN_WIDTH, may_be_folded
from domain.context.masking import Masker, MaskStream

LONE = "surrogatepass"
PROPERTY = settings(deadline=None, max_examples=30)
SOURCE = random.Random(4096)


def pem(bits: int) -> str:
    body = base64.b64encode(SOURCE.randbytes(bits * 4 // 8 + 300)).decode()
    return "\n".join(["-----BEGIN PRIVATE KEY-----", *textwrap.wrap(body, 64), "-----END PRIVATE KEY-----", ""])


def awkward() -> list[str]:
    chosen = [
        "hunter2",
        "correct horse battery staple",
        "p@$$w0rd!",
        'it\'s "quoted"',
        "back\\slash\\\\twice",
        "tab\tand\nline",
        "a*b+c?[d](e){f}|g^h$",
        "${HOME} $(id) `id`",
        "  blanks at both ends  ",
        "\ttab first",
        "newline last\n",
        "aaaaaaaa",
        "abababab",
        "abababababab",
        "prefix",
        "prefix-and-more",
        "and-more-and",
        "x9",
        "é",
        "üß",
        "пароль",
        "密码密码密码",
        "\U0001f511\U0001f511",
        "e\u0301accent",
        "\u202eright to left",
        "zero\u200bwidth",
        "nul\x00inside",
        "\x1b[31mred\x1b[0m",
        "bell\x07",
        "del\x7f",
        "%41%42%",
        "100%",
        "a+b c&d=e;f",
        "</script><b>&amp;",
        "'",
        '"',
        "''",
        "'\"'\"'",
        "\\n",
        "\\\\",
        "a/b/c+d==",
        "\udcff\udc80raw",
        "\ud800alone",
        "=====",
        "-----",
        "0123456789",
        "deadbeef",
        "DEADBEEFCAFE",
        "0x1f",
        "true story",
        '{"type": "account", "key": "v"}',
        "line one of it\nline two of it\n\nx",
        "windows line one\r\nwindows line two\r\n",
        "user:pass@host/db?x=1#y",
        "eyJhbGciOiJIUzI1NiJ9.e30.sig-_",
        pem(4096),
        pem(2048),
        "~tilde",
        "#hash",
        "!bang",
        "a=b",
        "<>",
        "&&",
        "\u2028sep",
        "new\x0bvt\x0cff",
        "xn--",
        "q\u0000",
    ]
    kinds = (string.printable, string.ascii_letters + string.digits, "'\"\\$`", "éü€😀\n\t ", "ab")
    while len(chosen) < 100:
        chosen.append("".join(SOURCE.choices(kinds[len(chosen) % len(kinds)], k=SOURCE.randint(6, 60))))
    return chosen


def textual(secret: str) -> Iterator[str]:
    yield from (secret, repr(secret)[1:-1], ascii(secret)[1:-1], shlex.quote(secret))
    once = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    yield from (*once, *(json.dumps(form)[1:-1] for form in once if form.isascii()), once[0].replace("/", "\\/"))
    yield once[1].replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    yield from (secret.replace("'", "'\\''"), secret.replace("'", "''"), secret.replace("\n", "\r\n"))
    for form in (html.escape(secret), html.escape(secret, quote=False)):
        yield from (form, form.replace("&#x27;", "&#39;"), form.replace("&#x27;", "&apos;"))
    yield xml.sax.saxutils.escape(secret, {'"': "&quot;"})
    for safe in ("", "/"):
        for quote in (urllib.parse.quote, urllib.parse.quote_plus):
            form = quote(secret, safe, errors=LONE)
            yield form
            yield lower_hex(form)


def lower_hex(form: str) -> str:
    first, *rest = form.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def encoded(data: bytes) -> Iterator[bytes]:
    if len(data) >= 2:
        yield from (base64.b64encode(data), base64.urlsafe_b64encode(data))
    if len(data) >= 3:
        yield from (data.hex().encode(), data.hex().upper().encode())
    if len(data) >= 12:
        yield from (binascii.hexlify(data, "\n", -30), base64.encodebytes(data), wrapped(base64.b64encode(data), 64))


def wrapped(data: bytes, width: int, end: bytes = b"\n") -> bytes:
    return end.join(data[start : start + width] for start in range(0, len(data), width))


def forms(secret: str) -> set[bytes]:
    if len(secret) < 2:
        return {f"'{secret}'".encode(), f'"{secret}"'.encode()}
    data = secret.encode("utf-8", LONE)
    found = {form.encode("utf-8", LONE) for form in textual(secret)} | set(encoded(data))
    return {form for form in found if len(form) > 1}


SECRETS = awkward()
FORMS = {secret: forms(secret) for secret in SECRETS}
MASKER = Masker(SECRETS)
some_secrets = st.lists(st.sampled_from(SECRETS), min_size=1, max_size=4)


def in_pieces(data: bytes, sizes: list[int], masker: Masker = MASKER) -> bytes:
    stream = MaskStream(masker)
    pieces: list[bytes] = []
    start = 0
    while start < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream.feed(data[start : start + size]))
        assert len(stream.held) < 20_000
        start += size
    return b"".join([*pieces, stream.finish()])


def left(masked: bytes, secrets: list[str]) -> list[bytes]:
    return [form for secret in secrets for form in FORMS[secret] if form in masked]


def test_there_are_a_hundred_secrets_and_many_forms() -> None:
    assert len(SECRETS) == len(set(SECRETS)) == 100
    assert sum(map(len, FORMS.values())) > 900


@pytest.mark.parametrize("sizes", [[1 << 20], [4096], [997, 61]])
def test_no_form_of_any_secret_is_left(sizes: list[int]) -> None:
    text = b"".join(b"| %b |\n" % form for secret in SECRETS for form in sorted(FORMS[secret]))

    masked = in_pieces(text, sizes)

    assert left(masked, SECRETS) == []
    assert masked == MASKER.mask_bytes(text)


@pytest.mark.slow
def test_no_form_of_any_secret_is_left_byte_by_byte() -> None:
    text = b"".join(b"| %b |\n" % form for secret in SECRETS for form in sorted(FORMS[secret]) if len(form) < 1000)

    assert in_pieces(text, [1]) == MASKER.mask_bytes(text)


@PROPERTY
@given(some_secrets, st.data(), st.lists(st.integers(1, 80), min_size=2))
def test_forms_side_by_side_broken_off_and_cut(secrets: list[str], data: st.DataObject, sizes: list[int]) -> None:
    pieces = []
    for secret in secrets:
        form = data.draw(st.sampled_from(sorted(FORMS[secret])))
        whole, part = form, form[: data.draw(st.integers(1, len(form)))]
        pieces += [whole, data.draw(st.sampled_from([b"", b"'", b'"', b" ", b"\n", part]))]
    text = b"".join(pieces)

    masked = in_pieces(text, sizes)

    assert masked == MASKER.mask_bytes(text)
    assert left(masked, secrets) == []


@PROPERTY
@given(
    st.binary(min_size=9, max_size=60).map(lambda data: base64.b85encode(data).decode()),
    st.binary(max_size=90), st.binary(max_size=200), st.sampled_from([60, 64, 72, 76]),
    st.sampled_from([b"\n", b"\r\n", b"\\n", b"\\r\\n", b"\\\\n", b"\n    "]), st.integers(1, 90),
)  # fmt: skip
def test_base64_in_lines_is_masked_at_any_offset(
    secret: str, before: bytes, after: bytes, width: int, end: bytes, size: int
) -> None:
    text = b"data: " + wrapped(base64.b64encode(before + secret.encode() + after), width, end) + b"\n"
    masker = Masker([secret])

    masked = in_pieces(text, [size], masker)

    assert masked == masker.mask_bytes(text)
    whole = masked.removeprefix(b"data: ").replace(end, b"").rstrip()
    assert b"[SECURE]" in whole
    assert len(whole) < len(text) - len(secret)


@PROPERTY
@given(st.binary(min_size=6, max_size=90), st.binary(max_size=70), st.integers(1, 70), st.booleans())
def test_hexadecimal_in_lines_is_masked(secret: bytes, before: bytes, size: int, upper: bool) -> None:
    text = secret.hex()
    masker = Masker([text, secret.decode("utf-8", "surrogateescape")])
    dump = wrapped((before + secret + b"\x00").hex().encode(), 60)

    masked = in_pieces(dump.upper() if upper else dump, [size], masker)

    assert b"[SECURE]" in masked
    assert len(masked) <= len(wrapped((before + b"\x00").hex().encode(), 60)) + 2 + len("[SECURE]")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\\n", b"\\r\\n"])
def test_an_end_of_line_behind_so_many_digits_may_be_one_inside_a_longer_text(end: bytes) -> None:
    assert may_be_folded(b"A" * MIN_WIDTH + end)
    assert may_be_folded(b"a line of words " * 5 + end + b"A" * 70 + end + b"A" * 9)
    assert not may_be_folded(b"A" * (MIN_WIDTH - 8) + end + b"A" * 70)
    assert not may_be_folded(b"A" * 40 + b" " + b"A" * 30 + end)


def test_the_end_of_a_line_alone_holds_nothing_back() -> None:
    stream = MaskStream(Masker(["a secret of some length"]))

    assert stream.feed(b"done: YS") == b"done: "
    assert stream.feed(b"\n") == b"YS\n"


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("ab", "6162 YWJj 0x61 a b"),
        ("abc", "YWJ 6162 a.b.c"),
        ("-----BEGIN KEY-----\nabcdefgh12345678\n", "-----BEGIN KEY----- abcdefgh"),
        ("  x ", "x"),
        ("\r\n", "x"),
    ],
)
def test_what_is_too_short_to_be_a_secret_is_not_masked(secret: str, text: str) -> None:
    assert Masker([secret]).mask(text) == text


def test_the_replacement_does_not_tell_the_length() -> None:
    masker = Masker([pem(1024), "x9"])

    assert {masker.mask(secret) for secret in ("x9", "'x9'")} == {"[SECURE]"}


def test_maskers_made_of_one_another_share_what_they_learn() -> None:
    first = Masker(["first"])
    called, lines, other = first.also(["called"]), first.by_line(), first.apart()
    stream = MaskStream(lines.replacing("*"))
    assert stream.feed(b"key 1") == b"key 1"

    assert called.learn(["learned\nin 2 lines"])

    assert stream.feed(b" in 2 lines") == b" *"
    assert first.mask("first called learned") == "[SECURE] called [SECURE]"
    assert called.mask("first called learned") == "[SECURE] [SECURE] [SECURE]"
    assert other.mask("first learned") == "[SECURE] learned"
    assert first.apart().mask("learned") == "[SECURE]"


def test_many_secrets_learned_one_by_one_are_all_known() -> None:
    masker = Masker([])
    values = [f"secret-{number:05}" for number in range(40)]

    for value in values:
        assert masker.learn([value, value, ""])

    assert masker.mask(" ".join(values)) == " ".join(["[SECURE]"] * len(values))


def test_there_is_an_end_to_what_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.context.mask_known.MAX_LEARNED", 3)
    masker = Masker([])

    assert masker.learn(["one1", "two2"])
    assert not masker.learn(["three3", "four4"])
    assert masker.mask("one1 two2 three3 four4") == "[SECURE] [SECURE] [SECURE] four4"


@pytest.mark.parametrize("secret", ['it\'s "a" <b> \\ & ü', "密码密码\n🔑 and more", "one\xa0two\x1bthree~"])
def test_what_programs_write_into_the_lines_of_others(secret: str) -> None:
    inner = json.dumps({"v": secret})
    masker = Masker([secret])
    for text in (
        json.dumps({"log": inner}), json.dumps(json.dumps({"log": inner})), urllib.parse.quote(inner, safe=""),
        urllib.parse.quote_plus(inner), html.escape(inner), json.dumps(shlex.quote(secret)),
        html.escape(html.escape(secret)), yaml.safe_dump({"v": secret}, width=1000),
        yaml.safe_dump({"v": secret}, default_style='"', width=1000),
    ):  # fmt: skip
        masked = masker.mask(text)
        assert "[SECURE]" in masked, text
        assert len(masked) < len(text), text
