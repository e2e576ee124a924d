"""Reading the settings of a node: by name, or by the other names that the original's plugins have for them."""

from __future__ import annotations

import re
from typing import Final

from runbus.plugin import FailureReason, Node, NodeContext, StepError

_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_REFERENCE: Final = re.compile(r"\$\{[^}]*\}")


class NodeSettings:
    """What is set for a node, as text, flags and numbers. A blank value counts as none."""

    def __init__(self, node: Node, context: NodeContext) -> None:
        self._node = node
        self._context = context

    def text(self, *names: str) -> str | None:
        """The first that is set. Raises :class:`StepError` where a reference in it stands for nothing."""
        return self._found(names)[1]

    def flag(self, *names: str, default: bool) -> bool:
        """Raises :class:`StepError` where it is neither true nor false."""
        name, value = self._found(names)
        if value is None:
            return default
        if value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        raise self.wrong(f"{name} is {value!r}: say true or false")

    def number(self, *names: str, default: int) -> int:
        """A whole number from 0. Raises :class:`StepError` where it is none."""
        name, value = self._found(names)
        if value is None:
            return default
        if value.isascii() and value.isdigit():
            return int(value)
        raise self.wrong(f"{name} is {value!r}: say a whole number")

    def wrong(self, problem: str) -> StepError:
        """The error of a setting that cannot be used."""
        return StepError(f"Node {self._node.name}: {problem}.", reason=FailureReason.CONFIGURATION)

    def unread(self, name: str, error: StepError) -> StepError:
        """The error of a secret that could not be had: which setting of the node asks for it."""
        return StepError(f"Node {self._node.name}: {name}: {error.message}", reason=error.reason)

    def set_name(self, *names: str) -> str:
        """The first of these names that is set; else the first."""
        return next((each for each in names if (self._context.setting(each) or "").strip()), names[0])

    def _found(self, names: tuple[str, ...]) -> tuple[str, str | None]:
        for name in names:
            value = (self._context.setting(name) or "").strip()
            if value:
                if left := _REFERENCE.search(value):
                    raise self.wrong(f"{name} refers to {left[0]}, which has no value here")
                return name, value
        return names[0], None
