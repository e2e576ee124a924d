"""What may be told of a text that an outside plugin has written: the words of its own source, and no others.

The text of an error is meant to hold no value (:class:`runbus.plugin.KeyStorageError`), but whoever puts an answer of
the provider into it has told one, which nobody here knows: a value that could not be given is in no masker. So of an
outside plugin's text a word stays if it stands in a string of the plugin's source, is the path that was asked for,
or a setting that is no secret.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.context.masking import REPLACEMENT

HIDDEN: Final = "[...]"
"""In place of one word, or several: not the replacement of a secret, as it need not be one."""
MAX_CHARS: Final = 1000
_EDGES: Final = ".,:;!?()[]{}<>'\"`"
_OURS: Final = "services.runner."


def is_outside(plugin: type[Any]) -> bool:
    """Whether a plugin is none of ours: of ours, every text is known."""
    return not plugin.__module__.startswith(_OURS)


def open_settings(config: Any, secret_settings: Iterable[str]) -> list[str]:
    """The values of a configuration that are no secrets."""
    hidden = frozenset(secret_settings)
    fields = msgspec.structs.fields(config)
    return [str(getattr(config, each.name)) for each in fields if each.encode_name not in hidden]


class OwnWords:
    """Those of one plugin. Its source is read when they are first needed, which takes some milliseconds."""

    def __init__(self, plugin: type[Any], settings: Iterable[str]) -> None:
        self._plugin = plugin
        self._settings = tuple(settings)
        self._words: frozenset[str] | None = None

    def told(self, text: str, path: str) -> str:
        """The text without the words that are not known; ``path``: that of the key it is about."""
        known = self._known() | _words((path, path.rpartition("/")[2]))
        told: list[str] = []
        for word in text[:MAX_CHARS].split():
            if word.strip(_EDGES) in known or word in known:
                told.append(word)
            elif told[-1:] != [HIDDEN]:
                told.append(HIDDEN)
        return " ".join(told)

    def _known(self) -> frozenset[str]:
        if self._words is None:
            strings = (*_strings(self._plugin.__module__), *self._settings, REPLACEMENT)
            self._words = _words(strings)
        return self._words


def _words(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(part for text in texts for word in text.split() for part in (word, word.strip(_EDGES)))


def _strings(module: str) -> Iterator[str]:
    """Every string in the source of a module and the others of its package; of none that has no source."""
    package = module.partition(".")[0]
    for name, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None)
        if file and (name == package or name.startswith(f"{package}.")) and file.endswith(".py"):
            try:
                tree = ast.parse(Path(file).read_bytes())
            except (OSError, ValueError, SyntaxError):
                continue
            yield from (
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            )
