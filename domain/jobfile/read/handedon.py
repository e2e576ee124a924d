"""Where a call of a job names a secure value for an option that is not given it, and gets nothing in its place.

A value goes on to secure options only; one that no script sees, to those only that no script sees either. What is
told is certain: of jobs that the same file holds, whose options are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import yaml

from domain.calls import arguments_of
from domain.jobfile.notes import Place
from domain.jobfile.read.values import quoted
from schemas.jobs import JobDefinition
from schemas.options import Option

_TRUE: Final = frozenset({"true", "yes", "on"})
_REFERENCE: Final = re.compile(r"\$\{(?:unquoted)?option\.([^\s}]+)\}")


def tell_of_calls(jobs: Sequence[JobDefinition], places: Sequence[Place]) -> None:
    """Warn of each argument of a call into which a secure value is not filled. ``places``: of the jobs, in order."""
    by_uuid = {job.uuid: job for job in jobs}
    by_path = {(job.group, job.name): job for job in jobs}
    for job, place in zip(jobs, places, strict=True):
        secure = {option.name: option for option in job.options if option.secure}
        if not secure:
            continue
        for call in _calls(place):
            parts = {name: part for name, part in call.fields() if isinstance(part.node, yaml.ScalarNode)}
            texts = {name: str(part.node.value).strip() for name, part in parts.items()}
            if "args" not in parts or texts.get("project", job.project) != job.project:
                continue
            by_name = by_path.get((texts.get("group", "").strip("/"), texts.get("name", "")))
            is_named = not texts.get("uuid") or texts.get("useName", "").lower() in _TRUE
            called = by_name if is_named else by_uuid.get(texts["uuid"])
            if called is not None:
                _tell(parts["args"], called, secure)


def _tell(place: Place, called: JobDefinition, secure: dict[str, Option]) -> None:
    options = {option.name: option for option in called.options}
    for name, text in arguments_of(str(place.node.value)):
        target = options.get(name)
        for reference in dict.fromkeys(_REFERENCE.findall(text)):
            given = secure.get(reference)
            if given is not None and (why := _refusal(given, target)):
                place.warn(
                    f"the value of the secure option {quoted(reference)} is not handed on to {quoted(name)} of job "
                    f"{quoted(called.ref.path)}, which gets nothing in its place: {why}"
                )


def _refusal(given: Option, target: Option | None) -> str:
    """Why an option is not given the value; empty: it is."""
    if target is None:
        return "that job has no such option; make it a secure one there"
    if not target.secure:
        return "it is a plain option, whose value anybody can read; make it 'secure' there"
    if target.value_exposed and not given.value_exposed:
        return "scripts see its value, and are not to see this one; make 'valueExposed' the same for both"
    return ""


def _calls(job: Place) -> Iterator[Place]:
    for name, sequence in job.fields():
        if name == "sequence":
            for part, commands in sequence.fields():
                if part == "commands":
                    for step in commands.items():
                        yield from _of_step(step)


def _of_step(step: Place, *, is_handler: bool = False) -> Iterator[Place]:
    for name, place in step.fields():
        if name == "jobref":
            yield place
        elif name == "errorhandler" and not is_handler:
            yield from _of_step(place, is_handler=True)
