"""Gathers facts: a play of Ansible's that asks every host, and what hosts answered."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.context.masking import Masker
from runbus.plugin import ProcessOutput, SourceContext, SourceError, SourceFailure
from services.runner.sources.ansible.config import AnsibleConfig
from services.runner.sources.ansible.interesting import FACTS
from services.runner.sources.ansible.login import KEY_REFUSED, Login, login
from services.runner.sources.ansible.nodes import FIELDS
from services.runner.sources.ansible.program import run, tail_of
from services.runner.sources.ansible.workplace import Workplace

_NAMES: Final = (*FIELDS["hostname"], *FIELDS["username"][:-1])
"""Variables that may be templates, which only a play fills in."""
_PLAY: Final = """
- name: Ask hosts for their facts
  hosts: all
  gather_facts: true
  any_errors_fatal: false
  tasks:
    - name: Fill in addresses and users that are templates
      ansible.builtin.debug:
        msg:
{names}
      ignore_errors: true
"""
_ENDS: Final = frozenset(range(0, 16, 2))
"""Exit codes of a play that was played: bits for hosts that failed, were unreachable, ended the play."""
_CAUSES: Final = (
    (r"host key verification failed|host key has changed|key is not known", SourceFailure.CERTIFICATE),
    (r"permission denied|incorrect .*password|authentication|too many .*failures", SourceFailure.AUTHENTICATION),
)
_MAX_FAILURES: Final = 20


class Answer(msgspec.Struct, frozen=True):
    """One line of what the callback plugin writes."""

    host: str
    facts: dict[str, Any] = {}
    names: dict[str, Any] = {}
    failure: str = ""
    unreachable: bool = False


class Gathered(msgspec.Struct):
    """What is known of hosts by their own answers."""

    facts: dict[str, dict[str, Any]] = {}
    failures: dict[str, Answer] = {}


async def gather(
    config: AnsibleConfig, place: Workplace, context: SourceContext, hosts: Iterable[str]
) -> tuple[Gathered, list[str]]:
    """The facts of hosts, and a warning for each host that has none.

    Raises :class:`SourceError` where the play could not be played, where one host did not answer
    (``ansible-ignore-errors`` makes that a warning), and where none did.
    """
    means = await asyncio.to_thread(login, config, place.directory)
    path = place.directory / "facts"
    masker = Masker(config.secrets)
    await _play(place, context, means, path, masker)
    gathered = await asyncio.to_thread(_read, path, masker)
    expected = list(hosts)
    missing = [host for host in expected if host not in gathered.facts]
    if not missing:
        return gathered, []
    for host in missing:
        gathered.failures.setdefault(host, Answer(host=host, failure="the play did not come to it"))
    if not config.ignore_errors or len(missing) == len(expected):
        raise _failed([gathered.failures[host] for host in missing], len(expected), config)
    return gathered, _warnings([gathered.failures[host] for host in missing])


async def _play(place: Workplace, context: SourceContext, means: Login, path: Path, masker: Masker) -> None:
    play = place.directory / "play.yaml"
    own = place.directory / "callbacks"
    await asyncio.to_thread(_write_play, play, own)
    env = {
        **place.env,
        **means.env,
        "ANSIBLE_CALLBACKS_ENABLED": "runbus_facts",
        "ANSIBLE_CALLBACK_PLUGINS": str(own),
        "ANSIBLE_DISPLAY_OK_HOSTS": "false",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "RUNBUS_FACTS_FILE": str(path),
        "RUNBUS_FACTS_NAMES": ",".join(sorted(FACTS)),
    }
    program = place.program("ansible-playbook")
    argv = [*means.before, program, *place.inventory, *means.arguments, str(play)]
    output = await run(argv, msgspec.structs.replace(place, env=env), context)
    if means.before and output.exit_code == KEY_REFUSED:
        raise SourceError(
            "the private key cannot be opened: its passphrase is missing or wrong; set "
            "ansible-ssh-passphrase-storage-path",
            reason=SourceFailure.AUTHENTICATION,
        )
    # hosts that failed and arguments that are not understood have one exit code
    if output.exit_code not in _ENDS or not await asyncio.to_thread(path.exists):
        raise _unplayed(program, output, masker)


def _unplayed(program: str, output: ProcessOutput, masker: Masker) -> SourceError:
    said = (masker.mask(text.decode("utf-8", "replace")) for text in (output.stderr, output.stdout))
    text = next(filter(None, map(tail_of, said)), "nothing")
    return SourceError(f"{program} ended with exit code {output.exit_code}, and asked no host; it said: {text}")


def _write_play(play: Path, callbacks: Path) -> None:
    names = (
        f"{' ' * 10}{name}: \"{{{{ hostvars[inventory_hostname]['{name}'] | default('') }}}}\"" for name in _NAMES
    )
    play.write_text(_PLAY.format(names="\n".join(names)), encoding="utf-8")
    callbacks.mkdir()
    shutil.copyfile(Path(__file__).with_name("play_callback.py"), callbacks / "runbus_facts.py")


def _read(path: Path, masker: Masker) -> Gathered:
    gathered = Gathered()
    if not path.exists():
        return gathered
    decoder = msgspec.json.Decoder(Answer)
    with path.open("rb") as lines:
        for line in lines:
            try:
                answer = decoder.decode(line)
            except msgspec.DecodeError as cause:
                text = f"a host's facts cannot be read: {cause}; gather them by hand and look"
                raise SourceError(text, reason=SourceFailure.MALFORMED) from None
            if answer.failure:
                answer = msgspec.structs.replace(answer, failure=masker.mask(answer.failure))
                gathered.failures[answer.host] = answer
            elif answer.names:
                found = {name: value for name, value in answer.names.items() if value not in ("", None)}
                gathered.facts.setdefault(answer.host, {}).update(found)
            else:
                gathered.facts.setdefault(answer.host, {}).update(answer.facts)
    return gathered


def _failed(failures: list[Answer], total: int, config: AnsibleConfig) -> SourceError:
    first = failures[0]
    how_many = f"none of {total} hosts" if len(failures) == total else f"{len(failures)} of {total} hosts did not"
    text = f"{how_many} answered" if len(failures) == total else f"{how_many} answer"
    advice = "" if config.ignore_errors else "; ansible-ignore-errors=true leaves such hosts out"
    return SourceError(
        f"{text} when asked for facts, the first {first.host!r}: {first.failure}{advice}", reason=_reason(failures)
    )


def _reason(failures: Iterable[Answer]) -> SourceFailure:
    reason = SourceFailure.FAILED
    for failure in failures:
        for pattern, cause in _CAUSES:
            if re.search(pattern, failure.failure, re.IGNORECASE):
                return cause
        if failure.unreachable:
            reason = SourceFailure.UNREACHABLE
    return reason


def _warnings(failures: list[Answer]) -> list[str]:
    said = [f"host {each.host!r} was left out, it has no facts: {each.failure}" for each in failures[:_MAX_FAILURES]]
    if further := len(failures) - len(said):
        said.append(f"{further} more hosts were left out, they have no facts")
    return said


def merged(variables: Mapping[str, Mapping[str, Any]], gathered: Gathered) -> dict[str, Mapping[str, Any]]:
    """The variables of the hosts that answered, facts before what the inventory says, as for Ansible."""
    return {host: {**own, **gathered.facts[host]} for host, own in variables.items() if host in gathered.facts}
