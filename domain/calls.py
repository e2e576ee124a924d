"""The arguments of a call of another job: ``-name value`` pairs."""

from __future__ import annotations

from domain.context.arguments import split_arguments


def arguments_of(line: str) -> list[tuple[str, str]]:
    """The pairs of an argument line, references not filled in yet.

    A word that starts with ``-`` names an option, and the word behind it is its value, whatever it looks like; a name
    without a value at the end, and words that belong to no name, are passed over, as in the original.
    """
    pairs: list[tuple[str, str]] = []
    name = ""
    for word in split_arguments(line):
        if name:
            pairs.append((name, word))
            name = ""
        elif word.startswith("-") and len(word) > 1:
            name = word[1:]
    return pairs
