from __future__ import annotations

import base64
import json
import random
import time
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.context.masking import Masker, MaskStream, TextMaskStream
from domain.context.secret_forms import names_a_secret, secrets_of_environment

PROPERTY = settings(deadline=None, max_examples=50)
KEY = "-----BEGIN KEY-----\nAbCdEfGhIjKlMnOp\nqRsTuVwXyZ012345\n-----END KEY-----\n"

small = st.text("ab'\n\\$é", max_size=9)
secrets = st.lists(small | st.text("abc", min_size=2, max_size=30), max_size=5)
cuts = st.lists(st.integers(1, 9), min_size=1, max_size=30)


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[str], str]:
    """Secrets, and a text that holds some of them, whole, doubled, overlapping and broken off."""
    known = draw(secrets)
    parts = [small, st.sampled_from([" ", "'", '"', "\r\n", "x"])]
    if known:
        chosen = st.sampled_from(known)
        parts += [chosen, chosen.map(lambda secret: secret[:-1]), chosen.map(lambda secret: f"'{secret}'")]
    return known, "".join(draw(st.lists(st.one_of(parts), max_size=12)))


def in_pieces(masker: Masker, text: str, sizes: list[int]) -> str:
    stream = TextMaskStream(masker)
    pieces: list[str] = []
    start = 0
    while start < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream.feed(text[start : start + size]))
        start += size
    return "".join([*pieces, stream.finish()])


@PROPERTY
@given(logs(), cuts)
def test_no_secret_gets_through_however_the_log_is_cut(case: tuple[list[str], str], sizes: list[int]) -> None:
    known, text = case
    masker = Masker(known)

    masked = in_pieces(masker, text, sizes)

    assert masked == masker.mask(text)
    assert not [secret for secret in known if len(secret) > 1 and secret in masked]


@PROPERTY
@given(logs(), st.integers(1, 9))
def test_bytes_are_masked_as_text_is(case: tuple[list[str], str], size: int) -> None:
    masker = Masker(case[0])
    data = case[1].encode()
    stream = MaskStream(masker)

    pieces = [stream.feed(data[start : start + size]) for start in range(0, len(data), size)]

    assert b"".join([*pieces, stream.finish()]) == masker.mask_bytes(data) == masker.mask(case[1]).encode()


@PROPERTY
@given(st.lists(st.text(st.characters(), max_size=20), max_size=4), st.text(st.characters(), max_size=60), cuts)
def test_a_log_without_secrets_comes_out_as_it_was(known: list[str], text: str, sizes: list[int]) -> None:
    """Lone surrogates and all. Of a secret of several lines each is one: here each has a mark that no log has."""
    masker = Masker(f"\x01{line}\x01" for secret in known for line in secret.splitlines())
    clean = text.replace("\x01", "")

    assert in_pieces(masker, clean, sizes) == clean


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        (["abc"], "abc 'abc' \"abc\" 'abc\"", "[SECURE] [SECURE] [SECURE] '[SECURE]\""),
        (["abc", "abcdef"], "abcdef abcde", "[SECURE] [SECURE]de"),
        (["abcd", "cdef"], "xabcdefx", "x[SECURE]x"),
        (["abc"], "abcabc", "[SECURE][SECURE]"),
        (["it's"], "'it'\"'\"'s' 'it\\'s'", "[SECURE] [SECURE]"),
        (["a$b;c"], '"a\\$b\\;c"', "[SECURE]"),
        (["", "a"], "a banana 'a' \"a\"", "a banana [SECURE] [SECURE]"),
        (["ab"], "ab cab", "[SECURE] c[SECURE]"),
        (["SECURE"], "SECURE", "[SECURE]"),
        (["päss wörd"], "x päss wörd", "x [SECURE]"),
        ([], "text", "text"),
    ],
)
def test_what_is_masked(secrets: list[str], text: str, masked: str) -> None:
    assert Masker(secrets).mask(text) == masked


@pytest.mark.parametrize(
    "leaked",
    [
        json.dumps({"password": 'p"ss\nwörd/1'}),
        json.dumps({"password": 'p"ss\nwörd/1'}, ensure_ascii=False),
        "https://u:" + urllib.parse.quote('p"ss\nwörd/1', safe="") + "@host",
        "a=1&p=" + urllib.parse.quote_plus('p"ss\nwörd/1'),
        "Basic " + base64.b64encode(b'user:p"ss\nw\xc3\xb6rd/1').decode(),
        "Basic " + base64.b64encode(b'me:p"ss\nw\xc3\xb6rd/1').decode(),
        "Basic " + base64.urlsafe_b64encode(b'you:p"ss\nw\xc3\xb6rd/1 and more').decode(),
    ],
)
def test_other_encodings_in_which_a_secret_leaks_are_masked(leaked: str) -> None:
    masked = Masker(['p"ss\nwörd/1']).mask(leaked)

    assert "[SECURE]" in masked
    assert len(masked) < len(leaked)


def test_every_line_of_a_key_is_masked_by_itself_and_its_frame_is_not() -> None:
    masker = Masker([KEY])

    assert masker.mask(KEY) == "[SECURE]"
    assert masker.mask(KEY.replace("\n", "\r\n")) == "[SECURE]"
    assert masker.mask("> qRsTuVwXyZ012345") == "> [SECURE]"
    assert masker.mask("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_only_what_may_be_the_start_of_a_secret_is_held_back() -> None:
    stream = TextMaskStream(Masker(["secret"]))

    assert stream.feed("password? secret") == "password? [SECURE]"
    assert stream.feed("s") == ""
    assert stream.feed("o") == "so"
    assert stream.feed("'secre") == ""
    assert stream.feed("t") == ""
    assert stream.feed("' and") == "[SECURE] and"
    assert stream.feed("x'secret") == "x"
    assert stream.finish() == "'[SECURE]"


@pytest.mark.parametrize(
    "secret", ["correct horse battery staple", "s3cr", 'it\'s "quoted" and has\nlines of its own']
)
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_behind_a_long_piece_a_secret_is_found_wherever_it_is_cut(secret: str, quote: str) -> None:
    text = f"{'so far, nothing to hide. ' * 20}{quote}{secret}{quote} and on"
    for cut in range(480, len(text)):
        stream = TextMaskStream(Masker([secret]))

        masked = stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.finish()

        assert masked == f"{'so far, nothing to hide. ' * 20}[SECURE] and on", cut


def test_a_secret_that_starts_a_longer_one_is_held_back_until_it_is_clear_which_it_is() -> None:
    stream = TextMaskStream(Masker(["abc", "abcdef"]))

    assert stream.feed("abc") == ""
    assert stream.feed("def-abc") == "[SECURE]-"
    assert stream.feed("dex") == "[SECURE]dex"


def test_a_stream_of_overlapping_secrets_is_held_in_bounded_memory() -> None:
    masker = Masker(["aaaa"])
    stream = MaskStream(masker)

    out = b"".join(stream.feed(b"a" * 1000) for _ in range(200)) + stream.finish()

    assert out == b"[SECURE]"
    assert len(stream.feed(b"a" * 100_000 + b"b")) == len("[SECURE]b")


@pytest.mark.parametrize("secret", ["ab" * 2000, KEY * 20, "a" * 5000])
def test_a_log_that_nearly_repeats_a_long_secret_takes_time_in_step_with_its_length(secret: str) -> None:
    masker = Masker([secret])
    text = (secret[:-1] + "#") * 20
    started = time.process_time()

    assert secret not in in_pieces(masker, text, [4096])
    assert time.process_time() - started < 5


@pytest.mark.slow
def test_a_thousand_secrets_do_not_stop_a_log() -> None:
    """Measured at some 50 MB/s; the bound only catches a change of order."""
    source = random.Random(7)
    masker = Masker(
        "".join(source.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHJKLMNP0123456789", k=20)) for _ in range(1000)
    )
    data = b"2026-01-01T00:00:00Z INFO worker-7 processed batch id=123456 in 0.03s path=/var/lib/app\n" * 20_000
    masker.prepare()
    stream = MaskStream(masker)
    started = time.process_time()

    out = b"".join(stream.feed(data[start : start + 65536]) for start in range(0, len(data), 65536))

    assert out + stream.finish() == data
    assert len(data) / (time.process_time() - started) > 5e6


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("VAULT_TOKEN", True), ("api_key", True), ("DbPassword", True), ("TOKENS", False), ("PATH", False)],
)
def test_variables_whose_name_says_that_they_hold_a_secret(name: str, is_one: bool) -> None:
    assert names_a_secret(name) is is_one


def test_only_values_worth_masking_are_taken_from_the_environment() -> None:
    environment = {
        "VAULT_TOKEN": "s.abcdef",
        "api_key": "sixsix",
        "SSH_KEY": "1",
        "DB_PASSWORD": "fives",
        "PASSWORD_FILE": "/run/secrets/db",
        "HOME_TOKEN": "äöü",
    }

    assert secrets_of_environment(environment) == ["äöü", "s.abcdef", "sixsix"]


def test_another_text_can_stand_in_place_of_secrets() -> None:
    masker = Masker(["secret"])

    assert masker.replacing("*****").mask("a secret") == "a *****"
    assert masker.mask("a secret") == "a [SECURE]"


def test_line_by_line_short_lines_of_a_secret_are_found_too() -> None:
    masker = Masker(["first\nsecond\n}\n"])

    assert masker.mask("first") == "first"
    assert masker.by_line().mask("x first and second }") == "x [SECURE] and [SECURE] }"
    assert masker.by_line().mask("first\nsecond\n}\n") == "[SECURE]"
    plain = Masker(["secret"])
    assert plain.by_line() is plain
