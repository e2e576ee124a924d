"""From what a step says to what is run on a node: commands, script invocations and the local shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from domain.context.arguments import split_arguments
from domain.context.quoting import Target
from domain.context.references import (
    Missing,
    asks_no_quotes,
    expand,
    expand_script,
    has_reference,
    is_reference,
    with_line_ends,
)
from domain.context.scopes import DataContext, View

SCRIPT_FILE: Final = "${scriptfile}"


@dataclass(frozen=True, slots=True)
class StepPlace:
    """Where a step's text is expanded: the data, the node at hand, and what its shell is."""

    data: DataContext
    node: str | None = None
    target: Target = Target()  # noqa: RUF009 - frozen

    @property
    def view(self) -> View:
        """The node at hand as a view: its values come first."""
        return View(node=self.node)

    def expanded(self, text: str, missing: Missing) -> str:
        """``text`` with its ``${…}`` replaced once."""
        return expand(text, self.data, self.view, missing)


def command_step(command: str, place: StepPlace) -> list[str]:
    """The words of a command step ("Command step"): split, expand, quote what contained a reference.

    A missing reference and ``${shell_variable}`` become blank. Words without a ``${group.key}`` stay bare, so that
    ``a && b`` and ``$HOME`` work and ``"two words"`` loses its quotes.
    """
    words = []
    for word in split_arguments(command):
        value = place.expanded(word, Missing.BLANK)
        words.append(place.target.quote(value) if has_reference(word) else value)
    return words


def quoted_arguments(
    arguments: Sequence[str], place: StepPlace, *, quoted: bool | Callable[[str], bool], legacy: bool = False
) -> list[str]:
    """Arguments as the target's shell takes them: expanded, and quoted where ``quoted`` says so.

    A missing option becomes blank, any other missing reference stays. ``${unquotedoption.x}`` alone is not quoted.
    ``legacy`` also quotes every argument that its expansion has changed (``quoting.backwardCompatible``).
    """
    words = []
    for argument in arguments:
        wanted = quoted(argument) if callable(quoted) else quoted
        value = place.expanded(argument, Missing.BLANK_OPTION)
        quotes = (wanted and not asks_no_quotes(argument)) or (legacy and value != argument)
        words.append(place.target.quote(value) if quotes else value)
    return words


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What runs a script file: a command line, which may say ``${scriptfile}`` where the file goes."""

    line: str
    args_quoted: bool = False
    """Pass file and arguments to the interpreter as one quoted argument (``interpreterArgsQuoted``)."""


def script_invocation(
    file: str, arguments: str | Sequence[str], place: StepPlace, *, interpreter: Interpreter | None = None
) -> list[str]:
    """The words that run a script file on a node ("Script steps", "Script arguments").

    The interpreter's words and the file stay bare; the file follows the interpreter unless ``${scriptfile}`` has set
    its place. An argument is quoted where it is one reference, or holds a space or ``'``: any other argument that
    holds a reference, such as ``--a=${option.x}``, is **not**, as in the original.
    """
    before: list[str] = []
    placed = False
    if interpreter is not None:
        words = split_arguments(interpreter.line)
        placed = any(SCRIPT_FILE in word for word in words)
        named = [word.replace(SCRIPT_FILE, file) for word in words]
        before = quoted_arguments(named, place, quoted=False)
    given = split_arguments(arguments) if isinstance(arguments, str) else arguments
    after = [
        *([] if placed else quoted_arguments([file], place, quoted=False)),
        *quoted_arguments(given, place, quoted=_is_quoted_for_scripts),
    ]
    if interpreter is not None and interpreter.args_quoted:
        after = [place.target.quote(" ".join(after))]
    return [*before, *after]


def script_text(text: str, place: StepPlace, *, expand_tokens: bool = True) -> str:
    """A script as it is written on the node: tokens replaced (always for inline scripts), its system's line ends."""
    if not expand_tokens:
        return with_line_ends(text, place.target.line_end)
    return expand_script(text, place.data, place.view, line_end=place.target.line_end)


def local_process(words: Sequence[str], target: Target) -> list[str]:
    """What the local executor starts: ``/bin/sh -c "<joined>"``, on windows ``cmd.exe /c <words>``."""
    return ["cmd.exe", "/c", *words] if target.is_windows else ["/bin/sh", "-c", " ".join(words)]


def _is_quoted_for_scripts(argument: str) -> bool:
    return is_reference(argument) or " " in argument or "'" in argument
