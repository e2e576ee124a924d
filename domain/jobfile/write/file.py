"""The one way to write a job file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from domain.jobfile.write.maps import job_map
from domain.jobfile.write.xmltext import xml_text
from domain.jobfile.write.yamltext import yaml_text
from schemas.jobs import JobDefinition

Format: TypeAlias = Literal["yaml", "json", "xml"]


def write_job_file(jobs: Sequence[JobDefinition], format: Format) -> str:  # noqa: A002  (the word of the command line)
    """A job file of these jobs; read again, it gives equal definitions.

    A uuid that the job's own file did not give is left out: it is made again. Raises ``invalid_job`` for a character
    that XML cannot hold, in that format.
    """
    return _WRITERS[format]([job_map(job) for job in jobs])


def _json_text(jobs: list[dict[str, Any]]) -> str:
    return json.dumps(jobs, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


_WRITERS: Final[Mapping[Format, Callable[[list[dict[str, Any]]], str]]] = {
    "yaml": yaml_text,
    "json": _json_text,
    "xml": xml_text,
}
FORMATS: Final[tuple[Format, ...]] = tuple(_WRITERS)
