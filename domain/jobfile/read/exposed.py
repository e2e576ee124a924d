"""Where a job hands the value of a secure option to a program as an argument, which everybody on the node can see."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

import yaml

from domain.context.arguments import split_arguments
from domain.context.groups import variable_name
from domain.jobfile.notes import Place
from domain.jobfile.read.fields import Fields
from domain.jobfile.read.values import quoted
from schemas.jobs import JobDefinition

_REFERENCE: Final = re.compile(r"\$\{(?:unquoted)?(?:option|secureOption)\.([^\s}]+)\}")
_LINES: Final = frozenset({"exec", "adhocRemoteString"})
_ARGUMENTS: Final = frozenset({"args", "scriptInterpreter", "argString"})
_BUILT_IN: Final = re.compile(r"(?:echo|printf|test|\[|export|:)\Z")
"""Words that begin what the shell does itself, without a process."""
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=")
"""In front of a program it is its environment."""
_SEPARATOR: Final = re.compile(r"(?:.*;|\|\|?|&&?|\{|\(|!|then|else|do)\Z", re.DOTALL)
"""A word behind which another command begins."""

_OVER_SSH: Final = " (over SSH only where the server accepts it: 'AcceptEnv RD_*' in its sshd_config)"


def tell_of_arguments(job: JobDefinition, fields: Fields) -> None:
    """Warn of each line and argument in which a process is given a secure value that scripts could read."""
    exposed = {option.name for option in job.options if option.secure and option.value_exposed}
    if exposed and "sequence" in fields.places:
        for place, is_line in _words_of_steps(fields.places["sequence"]):
            if isinstance(place.node, yaml.ScalarNode):
                _tell(place, exposed, is_line=is_line)


def _tell(place: Place, exposed: Collection[str], *, is_line: bool) -> None:
    text = str(place.node.value)
    for name in _in_line(text, exposed) if is_line else _named(text, exposed):
        variable = f"${variable_name(f'option.{name}')}"
        if is_line:
            who, instead = (
                "the program that is given it here",
                f"give it by standard input, or read {variable} in a script{_OVER_SSH}",
            )
        else:
            who, instead = "the script", f"give it by standard input, or read {variable} in the script{_OVER_SSH}"
        place.warn(
            f"the value of the secure option {quoted(name)} stands in the process list of the node for as long as "
            f"{who} runs: {instead}"
        )


def _named(text: str, exposed: Collection[str]) -> dict[str, None]:
    return dict.fromkeys(name for name in _REFERENCE.findall(text) if name in exposed)


def _in_line(line: str, exposed: Collection[str]) -> dict[str, None]:
    """The options whose values are words of a program, and not of what the shell does itself."""
    found: dict[str, None] = {}
    for each in line.splitlines():
        is_program = None  # not known before the first word of a command
        for word in split_arguments(each):
            if is_program is None and not _ASSIGNMENT.match(word):
                is_program = not _BUILT_IN.match(word)
            if is_program:
                found |= _named(word, exposed)
            if _SEPARATOR.match(word):
                is_program = None
    return found


def _words_of_steps(sequence: Place) -> Iterator[tuple[Place, bool]]:
    """Each field of a step, or of its handler, that is a line or arguments; and whether it is a line."""
    for name, commands in sequence.fields():
        if name == "commands":
            for step in commands.items():
                yield from _words_of_step(step)


def _words_of_step(step: Place, *, is_handler: bool = False) -> Iterator[tuple[Place, bool]]:
    parts = dict(step.fields())
    if "jobref" in parts:
        return
    for name, place in parts.items():
        if name in _LINES or name in _ARGUMENTS:
            yield place, name in _LINES
        elif name == "errorhandler" and not is_handler:
            yield from _words_of_step(place, is_handler=True)
        elif name == "configuration":
            yield from ((part, key in _LINES) for key, part in place.fields() if key in _LINES | _ARGUMENTS)
