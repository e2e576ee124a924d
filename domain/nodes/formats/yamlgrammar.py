"""The patterns of the plain form of ``resourceyaml``: entries of nodes, and lines of them, that need no parser."""

from __future__ import annotations

import re
from typing import Final

_OTHER: Final = r"\xa1-\u1fff\u2c00-\ud7ff"
"""Characters beyond ASCII that mean nothing to YAML."""
WORDLY: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./"
_BREAK: Final = r"\r?+\n"
_END: Final = rf" *+(?:{_BREAK}|\Z)"
_WORD: Final = rf'[!"$-9;-~{_OTHER}]++'
_PLAIN: Final = rf"(?![-?,\[\]{{}}&*!|>'\"%@`]){_WORD}(?:(?: ++|:++|\#++){_WORD})*+"
_ITEM: Final = rf"[0-9A-Za-z_{_OTHER}][-0-9A-Za-z_./{_OTHER}]*+"
_NAME: Final = rf"(?=[0-9A-Za-z_{_OTHER}]){_PLAIN}"
_VALUE: Final = (
    rf"{_PLAIN}|\"[ !\#-\[\]-~{_OTHER}]*+\"|'[ -&(-~{_OTHER}]*+'|\[(?: *+{_ITEM} *+(?:, *+{_ITEM} *+)*+)?+\]"
)
_COMMENTS: Final = rf"(?:(?:\#[ -~{_OTHER}]*+)?{_BREAK})*+"
BEGINS: Final = rf"[0-9A-Za-z_\"'{_OTHER}]"

HEAD: Final = re.compile(rf"{_COMMENTS}(?:---{_END})?+{_COMMENTS}")
_LIST: Final = rf"{_END}(\3 *+)- {_ITEM}(?:{_END}\4- {_ITEM})*+"
_ATTRIBUTE: Final = rf"\3{_PLAIN}:(?: ++(?:{_VALUE})|{_LIST})?+{_END}"
ENTRY: Final = re.compile(rf"({_NAME}):{_END}((?=( ++))(?:{_ATTRIBUTE}){{1,500}}+){_COMMENTS}(?={BEGINS}|\Z)")
"""Name and attributes; the third group is their indentation, the fourth that of a list. What follows is no part of
the entry: it stands at the margin, and begins a key."""
LINE: Final = re.compile(rf" ++({_PLAIN}):(?: ++(?=[^ \r\n]))?+({_VALUE}|{_END}(?: *+- {_ITEM}{_END})++|)")
"""A key and what stands behind it, a list with all its lines."""
BLOCK: Final = re.compile(rf"[^ \n][^\n]*+\n(?: [^\n]*+\n){{1,500}}+(?={BEGINS}|\Z)")
"""A line at the margin and those that are indented below it."""
TITLE: Final = re.compile(rf"({_NAME}): *+\r?+")
PAIR: Final = re.compile(rf"( ++)({_PLAIN}):(?: ++({_VALUE}))?+ *+\r?+")
"""A line of an entry without block lists: indentation, key and value."""
ITEMS: Final = re.compile(rf"[-\[,] *+({_ITEM})")
BOUND: Final = re.compile(r"[&*]|<<|^(?:---|\.\.\.|%)", re.MULTILINE)
"""What ties a stretch to others: anchors and aliases, merges, documents and directives."""
