"""From what a run gives to the option values of an execution, with every problem at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, TypeAlias

from domain.context.references import Missing, expand
from domain.context.scopes import DataContext, View
from domain.options.checks import problem_of
from domain.options.order import in_order
from schemas.errors import ErrorCode, RunbusError
from schemas.options import Option

Given: TypeAlias = Mapping[str, str | Sequence[str]]
"""What a run says: one value, or several of a multivalued option."""

MAX_PROBLEMS: Final = 100
_MAX_NAME_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A secure option whose value is a key: whoever reaches the key storage reads it."""

    path: str
    """``${option.}`` and ``${job.}`` are filled in, ``${node.}`` is not: each node may have its own key."""
    exposed: bool
    required: bool

    @property
    def depends_on_node(self) -> bool:
        """Whether the path is known only once the node is."""
        return "${node." in self.path


@dataclass(frozen=True, slots=True)
class OptionValues:
    """The values of a job's options for one execution, by who may see them."""

    plain: Mapping[str, str]
    exposed: Mapping[str, str] = field(repr=False)
    """Secure values that scripts see, and logs must not show."""
    private: Mapping[str, str] = field(repr=False)
    """Secure values for authentication only: in no group that a script or a command can refer to."""
    stored: Mapping[str, StoredValue]
    delimiters: Mapping[str, str]
    """``NAME.delimiter`` of every multivalued option."""

    def groups(self) -> dict[str, dict[str, str]]:
        """The groups of the data context ("Options"): ``secureOption`` repeats what is exposed of ``option``."""
        groups = {"option": {**self.plain, **self.exposed, **self.delimiters}}
        if self.exposed:
            groups["secureOption"] = dict(self.exposed)
        return groups

    def secrets(self) -> list[str]:
        """Every value that a log must not show."""
        return [value for value in (*self.exposed.values(), *self.private.values()) if value]


def resolve_options(
    options: Sequence[Option],
    given: Given,
    *,
    job: Mapping[str, str] | None = None,
    global_values: Mapping[str, str] | None = None,
    remote_values: Mapping[str, Sequence[str]] | None = None,
) -> OptionValues:
    """The values that an execution runs with: given, else the default, else the stored key's reference.

    ``job`` is the job context, for storage paths; ``global_values`` fill ``${globals.x}`` in values;
    ``remote_values`` are what the ``values_url`` of an option has given, by its name.
    Raises ``unknown_option`` where all that is wrong are names, else ``invalid_option``;
    ``details.problems`` lists everything: ``option``, ``problem``, and ``secure`` where the option is.
    """
    ordered = sorted(options, key=in_order)
    unknown = _unknown(ordered, given)
    problems = []
    for option in ordered:
        allowed = option.values or tuple((remote_values or {}).get(option.name, ()))
        if problem := problem_of(option, _given(option, given), allowed):
            problems.append((option.name, problem))
    if unknown or problems:
        raise _refused(unknown, problems, secure={option.name for option in ordered if option.secure})
    return _sorted_values(ordered, given, DataContext.of({"globals": global_values or {}}), job or {})


def _given(option: Option, given: Given) -> str | Sequence[str] | None:
    """What is given, else the default. An empty value counts as given, but for a secure option with a key."""
    value = given.get(option.name)
    if value is None or (not value and option.is_stored):
        return option.default
    return value


def _sorted_values(
    options: Sequence[Option], given: Given, global_data: DataContext, job: Mapping[str, str]
) -> OptionValues:
    plain: dict[str, str] = {}
    exposed: dict[str, str] = {}
    private: dict[str, str] = {}
    stored: dict[str, StoredValue] = {}
    for option in options:
        value = _given(option, given)
        if value is None:
            continue
        text = value if isinstance(value, str) else option.separator.join(value)
        if option.secure and not option.value_exposed:
            private[option.name] = text
        else:
            shown = exposed if option.secure else plain
            shown[option.name] = expand(text, global_data, View(), Missing.LITERAL)
    for option in options:
        if option.is_stored and option.name not in exposed and option.name not in private:
            path = _storage_path(option.storage_path or "", plain, job)
            stored[option.name] = StoredValue(path, exposed=option.value_exposed, required=option.required)
    delimiters = {f"{option.name}.delimiter": option.separator for option in options if option.multivalued}
    return OptionValues(plain, exposed, private, stored, delimiters)


def _storage_path(path: str, plain: Mapping[str, str], job: Mapping[str, str]) -> str:
    """Only plain options and the job fill in a path; what is not known stays, so that an error can name it."""
    return expand(path, DataContext.of({"option": plain, "job": job}), View(), Missing.LITERAL).strip()


def _unknown(options: Sequence[Option], given: Given) -> list[tuple[str, str]]:
    known = {option.name for option in options}
    return [(name, _hint(name, known)) for name in given if name not in known]


def _hint(name: str, known: set[str]) -> str:
    if not known:
        return "is unknown: the job has no options"
    near = get_close_matches(name[:_MAX_NAME_CHARS], sorted(known), n=1)
    if near:
        return f"is unknown: did you mean {near[0]!r}?"
    return f"is unknown: the job has {', '.join(map(_sendable, sorted(known)))}"


def _refused(unknown: list[tuple[str, str]], problems: list[tuple[str, str]], *, secure: set[str]) -> RunbusError:
    found = [*unknown, *problems]
    told: list[dict[str, str | bool]] = [
        {"option": _sendable(name), "problem": problem, **({"secure": True} if name in secure else {})}
        for name, problem in found[:MAX_PROBLEMS]
    ]
    lines = [f"option {each['option']!r} {each['problem']}" for each in told]
    if len(found) > MAX_PROBLEMS:
        lines.append(f"... and {len(found) - MAX_PROBLEMS} more problems")
    code = ErrorCode.INVALID_OPTION if problems else ErrorCode.UNKNOWN_OPTION
    return RunbusError(code, "\n".join(lines), details={"problems": told})


def _sendable(name: str) -> str:
    """A name as an error can carry it: short, and without the lone surrogates that no message takes."""
    return name[:_MAX_NAME_CHARS].encode("utf-8", "backslashreplace").decode()
