"""Real job files: every fact that is known of them, also after they were written in each format and read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain.jobfile import FORMATS, Format, read_job_file, write_job_file
from schemas.jobs import JobDefinition, NodeDispatch, RunnerSelector, Step

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "job_yaml.json"


def cases() -> list[Any]:
    if not VECTORS.exists():
        return [
            pytest.param({}, marks=pytest.mark.skip(reason=f"no {'/'.join(VECTORS.parts[-3:])} beside the project"))
        ]
    found = json.loads(VECTORS.read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["id"]) for case in found]


def step_type(step: Step) -> str:
    built_in = {"exec", "script", "scriptfile", "scripturl", "jobref"}
    return step.plugin if step.plugin in built_in else f"plugin:{step.plugin}"


def dispatch(nodes: NodeDispatch) -> dict[str, Any]:
    return {
        "threadcount": nodes.threadcount,
        "keepgoing": nodes.keepgoing,
        "excludePrecedence": nodes.exclude_precedence,
        "rankOrder": nodes.rank_order,
        "rankAttribute": nodes.rank_attribute,
        "successOnEmptyNodeFilter": nodes.success_on_empty_node_filter,
    }


def retry(job: JobDefinition) -> Any:
    if job.retry is None:
        return None
    return {"retry": job.retry.count, "delay": job.retry.delay} if job.retry.delay else job.retry.count


def selector(runner: RunnerSelector) -> dict[str, str]:
    types = {"LOCAL": "LOCAL_RUNNER"}
    said = {"runnerFilterMode": runner.mode.value, "runnerFilterType": types.get(runner.mode, "TAG_FILTER_AND")}
    return {"filter": runner.filter, **said} if runner.filter else said


FACTS: dict[str, Callable[[JobDefinition], Any]] = {
    "name": lambda job: job.name,
    "group": lambda job: job.group or None,
    "loglevel": lambda job: job.log_level,
    "keepgoing": lambda job: job.flow.keepgoing,
    "strategy": lambda job: job.flow.strategy.value,
    "steps": lambda job: len(job.steps),
    "step_types": lambda job: [step_type(step) for step in job.steps],
    "steps_with_errorhandler": lambda job: [n for n, step in enumerate(job.steps) if step.error_handler],
    "jobrefs": lambda job: [step.call.name for step in job.steps if step.call],
    "node_filter": lambda job: job.nodes and job.nodes.filter,
    "node_filter_exclude": lambda job: job.nodes and job.nodes.filter_exclude,
    "nodeFilterEditable": lambda job: job.node_filter_editable,
    "nodesSelectedByDefault": lambda job: job.nodes_selected_by_default,
    "executionEnabled": lambda job: job.execution_enabled,
    "scheduleEnabled": lambda job: job.schedule_enabled,
    "multipleExecutions": lambda job: job.multiple_executions,
    "has_schedule": lambda job: job.schedule is not None,
    "timeout": lambda job: job.timeout,
    "retry": retry,
    "runner_selector": lambda job: job.runner and selector(job.runner),
    "notification_triggers": lambda job: sorted({each.trigger.value for each in job.notifications}),
    "options": lambda job: [option.name for option in job.options],
    "option_defaults": lambda job: {option.name: option.value for option in job.options if option.value},
    "required_options": lambda job: [option.name for option in job.options if option.required],
    "enforced_options": lambda job: [option.name for option in job.options if option.enforced],
    "secure_options": lambda job: [option.name for option in job.options if option.secure],
    "multivalued_options": lambda job: [option.name for option in job.options if option.multivalued],
}


def check(job: JobDefinition, facts: dict[str, Any]) -> None:
    known = dict(facts)
    uuid = known.pop("uuid")
    assert job.uuid == uuid or not uuid, "a file that gives none may still have an id, which is taken for one"
    for name, value in known.pop("dispatch", {}).items():
        assert job.nodes
        assert dispatch(job.nodes)[name] == value, name
    for step, flag in zip(job.steps, known.pop("node_step_flags", []), strict=False):
        assert step.node_step == flag or flag is None
    assert {name: FACTS[name](job) for name in known} == known


@pytest.mark.parametrize("case", cases())
def test_the_facts_of_a_real_file(case: dict[str, Any]) -> None:
    jobs = read_job_file(case["text"], project="p").jobs
    for job, facts in zip(jobs, case["expect"], strict=True):
        check(job, facts)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", cases())
def test_a_real_file_loses_nothing(case: dict[str, Any], form: Format) -> None:
    jobs = read_job_file(case["text"], project="p").jobs
    again = read_job_file(write_job_file(jobs, form), project="p")
    assert again.jobs == jobs
