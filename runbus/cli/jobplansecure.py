"""What a dry run tells of secure options: where their values come from, and which references never have one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from domain.planning import Plan
from schemas.jobs import JobDefinition
from schemas.options import Option

_OPTION: Final = re.compile(r"(?:\$\{(?:unquoted)?option\.|@option\.)(?P<name>[^\s}@]+)[}@]")


def lenient(job: JobDefinition, values: Mapping[str, object]) -> JobDefinition:
    """The job as a dry run plans it: a required secure option may be left out, as its value is not looked at."""
    options = [
        msgspec.structs.replace(option, required=False) if _is_to_be_given(option, values) else option
        for option in job.options
    ]
    return msgspec.structs.replace(job, options=options)


def secure_options(job: JobDefinition, planned: Plan) -> dict[str, str]:
    """Each secure option, and where its value comes from."""
    return {option.name: f"secure, {_source(option, planned)}" for option in job.options if option.secure}


def marked(unresolved: Iterable[str], job: JobDefinition) -> list[str]:
    """References without a value, with the reason where it is that the option is not for steps at all."""
    hidden = {option.name for option in job.options if option.secure and not option.value_exposed}
    return [
        f"{reference} (secure without valueExposed: no step is given it)" if _name(reference) in hidden else reference
        for reference in unresolved
    ]


def _is_to_be_given(option: Option, values: Mapping[str, object]) -> bool:
    return option.secure and not option.is_stored and option.name not in values


def _source(option: Option, planned: Plan) -> str:
    values = planned.options
    if option.name in values.stored:
        return f"from {values.stored[option.name].path.removeprefix('/')}"
    if option.name in values.exposed or option.name in values.private:
        return "given"
    return f"to be given{' (required)' if option.required else ''}: --secure-option {option.name}"


def _name(reference: str) -> str:
    match = _OPTION.fullmatch(reference)
    return match["name"] if match else ""
