"""Which keys a run reads, told from its plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from domain.calls import arguments_of
from domain.keys.needs import KeyNeed
from domain.planning import Plan
from domain.workflow.plugins import placed_steps
from schemas.events import CalledJob
from schemas.jobs import JobDefinition, Step
from schemas.options import Option


def needs_of(plan: Plan, steps: Sequence[Step]) -> list[KeyNeed]:
    """Every key that a run's options, and those of the jobs that it calls, are read from; ``steps`` are its own.

    An option with a value of its own is not among them, nor one of a called job that its call may give a value to.
    """
    own = [
        KeyNeed(option=name, path=key.path.removeprefix("/"), required=key.required)
        for name, key in plan.stored.items()
    ]
    return [*own, *_of_calls(steps, "", plan.calls)]


def needs_of_job(job: JobDefinition) -> list[KeyNeed]:
    """The keys that its own options name, where a run gives them no values; references in paths are not filled in."""
    return [
        KeyNeed(option=option.name, path=_path_of(option), required=option.required)
        for option in job.options
        if option.is_stored
    ]


def _of_calls(steps: Sequence[Step], prefix: str, calls: Mapping[str, CalledJob]) -> Iterator[KeyNeed]:
    for place, step in placed_steps(steps):
        called = calls.get(f"{prefix}{place}")
        if called is None or step.call is None or not called.enabled:
            continue
        given = {name for name, _ in arguments_of(step.call.args)}
        for option in called.options:
            if option.is_stored and option.name not in given and not step.call.import_options:
                yield KeyNeed(
                    option=option.name, path=_path_of(option), required=option.required, place=f"{prefix}{place}",
                    job=called.ref.path,
                )  # fmt: skip
        yield from _of_calls(called.steps, f"{prefix}{place}/", calls)


def _path_of(option: Option) -> str:
    return (option.storage_path or "").strip().removeprefix("/")
