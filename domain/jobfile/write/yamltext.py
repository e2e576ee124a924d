"""Job maps as YAML: block style, texts of several lines as block literals."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import yaml
from yaml.emitter import ScalarAnalysis

_LITERAL: Final = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffe]"
)
_SPECIAL: Final = re.compile("[\x85\u2028\u2029]")
_STR: Final = "tag:yaml.org,2002:str"


def yaml_text(jobs: list[dict[str, Any]]) -> str:
    """One document, a list of jobs."""
    return yaml.dump(jobs, Dumper=_Dumper, allow_unicode=True, default_flow_style=False, width=sys.maxsize)


class _Dumper(yaml.SafeDumper):
    """Without anchors; it takes care of what PyYAML does not write back as it was."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (PyYAML's signature)
        return True

    def analyze_scalar(self, scalar: str) -> ScalarAnalysis:
        """PyYAML writes no text with a tab or with blanks at the end of a line as a literal, though it reads them."""
        analysis = super().analyze_scalar(scalar)
        analysis.allow_block = _is_literal(scalar)
        return analysis


def _is_literal(text: str) -> bool:
    """Lines that stand for themselves. The first is to show the indentation."""
    return "\n" in text and text[0] not in " \t\n" and not _LITERAL.search(text)


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if _is_literal(value) else '"' if _SPECIAL.search(value) else None
    return dumper.represent_scalar(_STR, value, style=style)


_Dumper.add_representer(str, _text)
