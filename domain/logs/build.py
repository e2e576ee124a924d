"""From the log filters of a job to filters that can be opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from domain.logs.capture import key_value_data, key_value_data_multilines
from domain.logs.chain import BuiltFilter
from domain.logs.display import highlight_output, quiet_output, render_datatype
from domain.logs.jsonmapper import NotAPathError, json_mapper
from domain.logs.masks import mask_log_output_regex, mask_passwords
from domain.logs.settings import Settings
from schemas.jobs import LogFilter

BUILDERS: Final[Mapping[str, Callable[[Settings], BuiltFilter]]] = MappingProxyType(
    {
        "key-value-data": key_value_data,
        "key-value-data-multilines": key_value_data_multilines,
        "mask-passwords": mask_passwords,
        "mask-log-output-regex": mask_log_output_regex,
        "quiet-output": quiet_output,
        "highlight-output": highlight_output,
        "render-datatype": render_datatype,
        "json-mapper": json_mapper,
    }
)
"""By the original's names of the plugins."""


def build_filters(filters: Sequence[LogFilter]) -> tuple[list[BuiltFilter], list[str]]:
    """The filters that there are, in order (a workflow's stand before a step's), and a warning for each other one.

    Raises ``invalid_job`` where settings are wrong, a regex above all.
    """
    built: list[BuiltFilter] = []
    warnings: list[str] = []
    for each in filters:
        builder = BUILDERS.get(each.type)
        if builder is None:
            warnings.append(f"the log filter {each.type} is not supported: what it does is left out.")
            continue
        settings = Settings(each.type, each.config)
        try:
            built.append(builder(settings))
        except NotAPathError as error:
            warnings.append(
                f"the log filter {each.type} is left out: of jq only paths are supported (.a.b[0]), and not "
                f"{str(error)!r}."
            )
    return built, warnings
