"""Secrets as the escapers of JSON, HTML and JavaScript write them: each library has its own set of characters."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.context.mask_escapes import readings
from domain.context.masking import Masker, MaskStream, TextMaskStream

PROPERTY = settings(deadline=None, max_examples=150)
SECRETS = [
    "kJ8+vBx2/Qw==", "a<b>c&d'e\"f", "Pa'ss<1>&", "x`y=z'1", "tom&jerry's", "back\\slash'/two\nlines\x01\x0b+",
    "\"\x02\\\"'",
    "пароль<😀>'é'", "&amp;'x'", "per-cent%27;'=", "-x-", "''", "&&", "<\u2028>",
]  # fmt: skip


def lower(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def upper(char: str) -> str:
    return lower(char).upper().replace("U", "u")


def replaced(text: str, chars: str, write: Callable[[str], str]) -> str:
    return re.sub(f"[{chars}]", lambda found: write(found[0]), text)


def in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def numeric(pattern: str) -> Callable[[str], str]:
    return lambda char: pattern % ord(char)


SPECIAL = "<>&'\""
NOT_ASCII = "\\x7f-\U0010ffff"
LIBRARIES: dict[str, Callable[[str], str]] = {
    "gson": lambda text: replaced(in_json(text), "<>&'=\u2028\u2029", lower),
    "go": lambda text: replaced(in_json(text), "<>&\u2028\u2029", lower),
    "system.text.json": lambda text: replaced(in_json(text).replace('\\"', "\\u0022"), f"<>&'`+{NOT_ASCII}", upper),
    "newtonsoft": lambda text: replaced(in_json(text), f"<>&'{NOT_ASCII}", lower),
    "php json hex": lambda text: replaced(
        json.dumps(text)[1:-1].replace("/", "\\/").replace('\\"', "\\u0022"), "<>&'", upper
    ),
    "php json hex, quotes as they are": lambda text: replaced(
        json.dumps(text)[1:-1].replace("/", "\\/"), "<>&'", upper
    ),
    "json_script": lambda text: replaced(json.dumps(text)[1:-1], "<>&", upper),
    "django escapejs": lambda text: replaced(text, "<>&'\"`=;\\\\\\x00-\\x1f\u2028\u2029-", upper),
    "owasp javascript": lambda text: replaced(
        text.replace("\\", "\\\\").replace("/", "\\/").replace("\n", "\\n"), SPECIAL, numeric("\\x%02x")
    ),
    "htmlspecialchars": lambda text: html.escape(text).replace("&#x27;", "&#039;"),
    "jinja": lambda text: html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "java": lambda text: html.escape(text).replace("&#x27;", "&apos;"),
    "handlebars": lambda text: html.escape(text).replace("`", "&#x60;").replace("=", "&#x3D;"),
    "owasp html": lambda text: html.escape(text).replace("/", "&#x2F;"),
    "numbers": lambda text: replaced(text, SPECIAL, numeric("&#%d;")),
    "hexadecimal": lambda text: replaced(text, f"{SPECIAL}/=`+", numeric("&#x%x;")),
    "HEXADECIMAL": lambda text: replaced(text, f"{SPECIAL}/=`+", numeric("&#X%04X;")),
    "leading zeros": lambda text: replaced(text, SPECIAL, numeric("&#%07d;")),
    "canonical xml": lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;"),
    "ascii xml": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace").decode(),
    "htmlentities": lambda text: html.escape(text).replace("é", "&eacute;").replace("/", "&sol;"),
    "every character, JSON": lambda text: "".join(map(upper, text)),
    "every character, HTML": lambda text: "".join(map(numeric("&#x%x;"), text)),
}
NESTED: dict[str, Callable[[str], str]] = {
    "gson in gson": lambda text: LIBRARIES["gson"](json.dumps(LIBRARIES["gson"](text))[1:-1]),
    "php in json": lambda text: json.dumps(LIBRARIES["php json hex"](text))[1:-1],
    "gson in json in json": lambda text: json.dumps(json.dumps(LIBRARIES["gson"](text))[1:-1])[1:-1],
    "html in json": lambda text: in_json(LIBRARIES["htmlspecialchars"](text)),
    "html in gson": lambda text: LIBRARIES["gson"](LIBRARIES["handlebars"](text)),
    "json in html": lambda text: LIBRARIES["jinja"](in_json(text)),
    "gson in html": lambda text: LIBRARIES["owasp html"](LIBRARIES["gson"](text)),
    "html in html": lambda text: LIBRARIES["htmlspecialchars"](LIBRARIES["handlebars"](text)),
    "url in html": lambda text: LIBRARIES["handlebars"](urllib.parse.quote(text)),
    "url in json": lambda text: LIBRARIES["system.text.json"](urllib.parse.quote_plus(text)),
}


def in_pieces(masker: Masker, text: str, size: int) -> str:
    stream, data = MaskStream(masker), text.encode()
    pieces = [stream.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return b"".join([*pieces, stream.finish()]).decode()


@pytest.mark.parametrize("library", [*LIBRARIES, *NESTED])
@pytest.mark.parametrize("secret", SECRETS)
def test_each_library_and_each_way_to_cut(library: str, secret: str) -> None:
    form = (LIBRARIES | NESTED)[library](secret)
    masker = Masker([secret])

    for text in (f"<<{form}>>", f"[{form}] {form}\n[{form}"):
        expected = text.replace(form, "[SECURE]")
        assert masker.mask(text) == expected
        for size in (1, 2, 3, 7):
            assert in_pieces(masker, text, size) == expected


@pytest.mark.parametrize("library", ["gson", "system.text.json", "django escapejs", "handlebars", "owasp html"])
def test_base64_as_they_write_it(library: str) -> None:
    secret = "??>>~~ÿÿþþ??>>~~a"
    form = base64.b64encode(secret.encode()).decode()
    assert "+" in form
    assert "/" in form
    text = LIBRARIES[library](f"<{form}=/>")
    masker = Masker([secret])

    assert masker.mask(text) == text.replace(LIBRARIES[library](form), "[SECURE]")
    assert in_pieces(masker, text, 1) == masker.mask(text)


def test_quotes_around_it_belong_to_it() -> None:
    masker = Masker(["a<b", "x"])

    assert masker.mask('{"v":"a\\u003Cb"}') == '{"v":[SECURE]}'
    assert masker.mask("<i v=&quot;a&lt;b&quot; w=&#39;x&#039; u=x>") == "<i v=[SECURE] w=[SECURE] u=x>"
    assert masker.mask("\\u0022x\\u0022 \\u0022a\\u003Cb\\u0027") == "[SECURE] \\u0022[SECURE]\\u0027"


@pytest.mark.parametrize(
    "text",
    ["a\\u003", "a\\", "a&", "a&l", "a&lt", "a&#x3", "a&#", "a\\\\u003c", "a&amp;l", "a\\u0026lt", "a&#0000060"],
)
def test_what_breaks_off_in_an_escape_is_held_back_and_given_out_at_the_end(text: str) -> None:
    stream = TextMaskStream(Masker(["a<bcd"]))

    assert stream.feed(f"so it is: {text}") == "so it is: "
    assert stream.finish() == text


@pytest.mark.parametrize(
    "text", ["x &", "x &b=", "y \\", "C:\\users\\", "&#12345678", "\\u00zz", "a &unknown;", "\\\\"]
)
def test_what_is_no_escape_goes_through_unchanged(text: str) -> None:
    masker = Masker(["hunter2", "a<bcd"])

    assert masker.mask(text) == text
    assert in_pieces(masker, text, 1) == text


def test_a_secret_that_is_an_escape_or_ends_like_one() -> None:
    masker = Masker(["\\u0041x", "q<\\", "p<&l", "&lt;'", "0026-0026"])

    for form in ("\\u0041x", "q\\u003c\\", "p&lt;&l", "&lt;'", "\\u0026-0026"):
        whole = masker.mask(form)
        assert in_pieces(masker, form, 1) == whole
        assert "[SECURE]" in whole


def test_a_character_above_the_first_plane_is_one_however_it_is_cut() -> None:
    masker = Masker(["\U0001f511"])

    for text in ("\\uD83D\\uDD11", "\\ud83d\\udd11", "\\\\ud83d\\\\uDD11", "&#128273;", "&#x1F511;"):
        secret = Masker(["\U0001f511\U0001f511"])
        assert in_pieces(secret, f"<{text}{text}>", 1) == secret.mask(f"<{text}{text}>") == "<[SECURE]>"
    assert masker.mask("'\\uD83D\\uDD11'") == "[SECURE]"
    assert masker.mask("\\ud83d\\u0041") == "\\ud83d\\u0041"


def test_a_log_without_escapes_is_looked_through_once() -> None:
    assert list(readings(b"plain 'text' a=b && c\td & \\n C:\\path\n")) == []


def test_what_is_learned_is_found_in_what_is_held_back() -> None:
    masker = Masker(["other"])
    stream = MaskStream(masker)
    assert stream.feed(b"it is \\u00") == b"it is "

    masker.learn(["'quoted'"])

    assert stream.feed(b"27quoted&#039; \\u0027quoted\\u0027 ") == b"[SECURE] [SECURE] "


ways = st.sampled_from([lower, upper, lambda char: char])
references = st.sampled_from(
    [numeric("&#%d;"), numeric("&#x%x;"), numeric("&#X%X;"), numeric("&#%05d;"), html.escape]
)
texts = st.text(st.sampled_from("ab<>&'\"=/+-é😀"), min_size=2, max_size=12)
noise = st.text(st.sampled_from("<>&'\"=\\u0123lt;#x ab"), max_size=12)


@PROPERTY
@given(st.lists(texts, min_size=1, max_size=3), st.data(), st.integers(1, 40))
def test_any_mixture_of_escapes(secrets: list[str], data: st.DataObject, size: int) -> None:
    masker = Masker(secrets)
    for secret in secrets:
        for choice in (ways, references):
            form = "".join(data.draw(choice)(char) for char in secret)
            before, after = data.draw(noise), data.draw(noise)

            assert "[SECURE]" in masker.mask(form)
            whole = masker.mask(f"{before} {form} {after}")
            assert whole.count(form) == 0
            assert in_pieces(masker, f"{before} {form} {after}", size) == whole
