"""The shapes in which a secret turns up in a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from domain.context.mask_encodings import base64_encodings, hex_encodings, text_encodings, to_bytes

MIN_CHARS: Final = 2
"""A single character is masked only in quotes: masking it everywhere would ruin the log and hide nothing."""
_MIN_LINE_CHARS: Final = 8
_MIN_PART_BYTES: Final = 4
MIN_ENVIRONMENT_BYTES: Final = 6
"""A shorter value of an environment variable is taken for a switch or a number."""


class Forms(NamedTuple):
    """How one secret is looked for, as bytes of a log."""

    bare: frozenset[bytes]
    """Masked as they are, and together with quotes around them."""
    quoted: frozenset[bytes] = frozenset()
    """Masked only as they are, which is with their quotes."""
    folded: frozenset[bytes] = frozenset()
    """Those of ``bare`` that programs break into lines of some width: base64 and hexadecimal digits."""

    def with_lines(self) -> Forms:
        """The same and each line of a form that has several, short ones too."""
        parts = {part for form in self.bare for part in line_parts(form)}
        return self._replace(bare=self.bare | parts)


def forms_of(secret: str) -> Forms:
    """All forms of a secret. An empty one has none.

    The first are the original's ("Masking"): the value, and as a shell's line quotes or escapes it. The others
    are how values leak elsewhere: in JSON, in a URL, in a string literal, in base64 at any offset, in hexadecimal,
    and each line of a long key by itself. In HTML and XML they are found by ``mask_escapes``.
    """
    if len(secret) < MIN_CHARS:
        quoted = quoted_forms(secret) if secret else set()
        return Forms(frozenset(), frozenset(data for form in quoted for data in to_bytes(form)))
    texts = _wordings(secret)
    folded = {form for text in texts for data in to_bytes(text) for form in _digits(data)}
    lines = {form for line in _lines(secret) for form in text_encodings(line)}
    found = {form for text in texts for form in text_encodings(text)} | lines
    plain = {data for form in found if len(form) >= MIN_CHARS for data in to_bytes(form)}
    return Forms(frozenset(plain | folded), folded=frozenset(folded))


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


def line_parts(form: bytes) -> set[bytes]:
    """The lines of a form that has several, but for the shortest."""
    lines = form.splitlines()
    return {part for line in lines if len(lines) > 1 and len(part := line.strip()) >= _MIN_PART_BYTES}


def _wordings(secret: str) -> set[str]:
    """The secret, and what is left of it where its ends are trimmed or its lines end as elsewhere."""
    trimmed = {text for text in (secret.rstrip("\r\n"), secret.strip()) if len(text) >= MIN_CHARS}
    lines = {text.replace("\r\n", "\n") for text in (secret, *trimmed)}
    return {secret} | trimmed | lines | {text.replace("\n", "\r\n") for text in lines}


def _digits(data: bytes) -> Iterator[bytes]:
    yield from base64_encodings(data)
    yield from hex_encodings(data)


def _lines(secret: str) -> Iterator[str]:
    """The lines of a secret that has several: but for short ones, and the frame of a PEM file."""
    lines = secret.splitlines()
    if len(lines) > 1:
        for line in lines:
            text = line.strip()
            if len(text) >= _MIN_LINE_CHARS and not text.startswith("-----"):
                yield text
