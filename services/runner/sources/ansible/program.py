"""Running a program of Ansible, and what is wrong when it fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from domain.context.masking import Masker
from runbus.plugin import ProcessOutput, SourceContext, SourceError, SourceFailure
from services.runner.sources.ansible.workplace import Workplace

_MAX_TAIL_CHARS: Final = 1500
_MAX_WARNINGS: Final = 20
_WARNING: Final = "[WARNING]: "
_NOISE: Final = re.compile(
    r"^(?:\[(?:WARNING|ERROR)\]: |Failed to parse inventory(?: with '\w+' plugin)?[:.] ?)*"
    r"|^<<< caused by >>>$|^Origin: <inventory plugin .*"
)
_USAGE: Final = re.compile(r"[\w-]+: error: ")
_CAUSES: Final = (
    (r"vault password file .* was not found", SourceFailure.NOT_FOUND, "correct ansible-vault-path"),
    (
        r"inventory script (?:returned non-zero|result)|'script' plugin",
        SourceFailure.FAILED,
        "the inventory's script failed: run it by hand on the runner, as its user",
    ),
    (
        r"decryption failed|no vault secrets|vault password",
        SourceFailure.AUTHENTICATION,
        "the vault's password is missing or wrong: set ansible-vault-storage-path or ansible-vault-path",
    ),
    (
        r"failed to parse inventory|completely failed to parse|parsing failed",
        SourceFailure.MALFORMED,
        "correct the inventory",
    ),
    (
        r"no inventory was parsed",
        SourceFailure.CONFIGURATION,
        "set ansible-inventory, or ansible-config-file-path to a file that names one",
    ),
)  # fmt: skip
"""What stands in the standard error of ``ansible-inventory``, in the order in which it is looked for."""


async def run(argv: Sequence[str], place: Workplace, context: SourceContext) -> ProcessOutput:
    """Run a program of Ansible. Raises :class:`SourceError`, also where it is missing or a signal ended it."""
    try:
        output = await context.run_process(argv, env=place.env, cwd=place.directory)
    except SourceError as failed:
        if failed.reason is not SourceFailure.NOT_FOUND:
            raise
        text = failed.message
        if "ansible" in argv[0]:
            text += " (ansible-core has it; ansible-binaries-dir-path names the directory where it is not in PATH)"
        raise SourceError(text, reason=SourceFailure.NOT_FOUND) from None
    if output.signal:
        raise SourceError(f"{argv[0]} was ended by {output.signal}; look into the runner's system log")
    return output


async def list_inventory(place: Workplace, context: SourceContext, secrets: Iterable[str]) -> tuple[bytes, list[str]]:
    """What ``ansible-inventory --list`` prints, and its warnings. Raises :class:`SourceError`."""
    argv = [place.program("ansible-inventory"), "--list", *place.inventory]
    output = await run(argv, place, context)
    said = Masker(secrets).mask(output.stderr.decode("utf-8", "replace"))
    if output.exit_code != 0:
        raise _failed(argv[0], output.exit_code, said)
    return output.stdout, warnings_in(said)


def warnings_in(said: str) -> list[str]:
    """The first lines of Ansible's warnings, each once."""
    lines = (line.removeprefix(_WARNING).strip() for line in said.splitlines() if line.startswith(_WARNING))
    return [f"Ansible: {line}" for line in dict.fromkeys(filter(None, lines))][:_MAX_WARNINGS]


def tail_of(said: str) -> str:
    """The end of a standard error in one line, nothing twice."""
    lines = [_NOISE.sub("", line).strip() for line in said.splitlines()]
    # of arguments that are not understood, one line tells; the rest is help
    lines = [line for line in lines if _USAGE.match(line)] or lines
    text = "; ".join(dict.fromkeys(filter(None, lines)))
    return text if len(text) <= _MAX_TAIL_CHARS else f"... {text[-_MAX_TAIL_CHARS:]}"


def _failed(program: str, exit_code: int | None, said: str) -> SourceError:
    reason, advice = SourceFailure.FAILED, "run it by hand on the runner, as its user"
    for pattern, failure, help_text in _CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            reason, advice = failure, help_text
            break
    text = f"{program} ended with exit code {exit_code}; {advice}. It said: {tail_of(said) or 'nothing'}"
    return SourceError(text, reason=reason)
