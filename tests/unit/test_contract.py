from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from runbus import contract
from schemas import api, catalog, events, keys, runners, sources
from schemas.catalog import FAMILIES, MESSAGES, PARAMETERS, RUNNER_ENDPOINTS, Family, Kind, type_of
from schemas.errors import ErrorCode, ErrorReply
from schemas.subjects import Subjects

ROOT = Path(__file__).parents[2]
ENDPOINTS = (
    *catalog.DISPATCHER_ENDPOINTS,
    *catalog.REGISTRY_ENDPOINTS,
    *catalog.NODESOURCE_ENDPOINTS,
    *catalog.KEYPROXY_ENDPOINTS,
    *RUNNER_ENDPOINTS,
    catalog.RUN_SEALED,
    catalog.SECRETS,
    catalog.DISCOVER,
    catalog.KEY_BROWSE,
    catalog.KEY_LOOK,
)

each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    return contract.asyncapi()


def refs_in(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from refs_in(value)
    elif isinstance(part, list):
        for value in part:
            yield from refs_in(value)


def resolve(document: Any, ref: str) -> Any:
    assert ref.startswith("#/")
    for name in ref[2:].split("/"):
        document = document[name]
    return document


# The catalog


def test_endpoints_are_named_once_and_by_a_constant() -> None:
    constants = [each for each in vars(catalog).values() if isinstance(each, catalog.Endpoint)]
    assert {each.name for each in constants} == {each.name for each in ENDPOINTS}
    assert len(constants) == len(ENDPOINTS) == len({each.name for each in ENDPOINTS})
    assert {each.service for each in catalog.DISPATCHER_ENDPOINTS} == {"dispatcher"}
    assert {each.service for each in catalog.REGISTRY_ENDPOINTS} == {"registry"}


def test_an_endpoint_knows_its_subject() -> None:
    assert catalog.RUN.subject(Subjects(prefix="x")) == "x.api.dispatcher.run"
    assert catalog.PING.subject(Subjects(), "r1") == "rb.runner.r1.ping"


BETWEEN_OUR_PARTS = (
    api.RegisterRequest, api.ConfigureRequest, api.RunnerAbortRequest, api.SecretsRequest, sources.DiscoverRequest,
    keys.KeyBrowseRequest, keys.KeyLookRequest, keys.KeyOpenRequest,
)  # fmt: skip
"""Open, so that parts of different versions understand each other."""


@each_family
def test_requests_are_closed_and_all_else_is_open(family: Family) -> None:
    for message in family.messages:
        closed = message.__struct_config__.forbid_unknown_fields
        asked_by_people = family.kind is Kind.REQUEST and message not in BETWEEN_OUR_PARTS
        assert closed == (asked_by_people or message is api.RunRequest)
    for reply in family.replies:
        assert not reply.__struct_config__.forbid_unknown_fields
    assert (ErrorReply in family.replies) == (family.kind is Kind.REQUEST)


def test_no_two_families_and_no_two_messages_share_a_name() -> None:
    for counted in (
        Counter(family.name for family in FAMILIES),
        Counter(family.subject for family in FAMILIES),
        Counter(map(type_of, MESSAGES)),
    ):
        assert set(counted.values()) == {1}


def test_every_message_with_a_type_is_in_the_catalog() -> None:
    tagged = {
        value
        for module in (api, events, runners)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__struct_config__.tag
    }
    assert tagged <= set(MESSAGES)
    for message in MESSAGES:
        assert re.fullmatch(r"runbus\.[a-z_]+\.v[0-9]+", type_of(message))
        assert message.__struct_config__.frozen
        assert not message.__struct_config__.omit_defaults


# AsyncAPI


def test_all_references_resolve(asyncapi: dict[str, Any]) -> None:
    refs = list(refs_in(asyncapi))
    assert len(refs) > 200
    for ref in refs:
        assert resolve(asyncapi, ref)


def test_every_parameter_is_declared(asyncapi: dict[str, Any]) -> None:
    used = set()
    for channel in asyncapi["channels"].values():
        parameters = set(re.findall(r"{(\w+)}", channel["address"] or ""))
        assert parameters == set(channel.get("parameters", {}))
        used |= parameters
    assert used == set(PARAMETERS)


def test_operations_name_messages_of_their_own_channel(asyncapi: dict[str, Any]) -> None:
    for operation in asyncapi["operations"].values():
        assert operation["action"] in {"send", "receive"}
        for part in (operation, *filter(None, [operation.get("reply")])):
            for message in part["messages"]:
                assert message["$ref"].startswith(part["channel"]["$ref"] + "/messages/")


@each_family
def test_each_family_is_a_channel_with_its_operations(asyncapi: dict[str, Any], family: Family) -> None:
    channel = asyncapi["channels"][family.name]
    assert channel["address"] == family.subject
    assert set(channel["messages"]) == {message.__name__ for message in family.messages}
    if family.kind is Kind.REQUEST:
        operation = asyncapi["operations"][family.name]
        answers = [resolve(asyncapi, each["$ref"])["$ref"] for each in operation["reply"]["messages"]]
        assert answers == [f"#/components/messages/{reply.__name__}" for reply in family.replies]
        queue = operation.get("bindings", {}).get("nats", {}).get("queue", "")
        assert queue == family.queue_group
    else:
        assert {f"{family.name}.send", f"{family.name}.receive"} <= set(asyncapi["operations"])


# JSON Schema


def test_the_schema_holds_every_message_with_its_type() -> None:
    schema = contract.json_schema()
    for ref in refs_in(schema):
        assert resolve(schema, ref)
    for message in MESSAGES:
        described = schema["$defs"][message.__name__]
        assert described["properties"]["type"]["const"] == type_of(message)
        closed = message.__struct_config__.forbid_unknown_fields
        assert ("type" in described.get("required", [])) == (not closed)


def test_fields_carry_what_the_source_says_of_them() -> None:
    run = contract.json_schema()["$defs"]["RunRequest"]["properties"]
    assert run["id"]["description"].startswith("The execution's id, if the requester chooses it")
    queued = contract.json_schema()["$defs"]["ExecutionQueued"]["properties"]
    assert queued["assignments"]["default"] == ["1"]


# docs/subjects.md


def test_the_page_is_not_stale() -> None:
    written = (ROOT / "docs" / "subjects.md").read_text(encoding="utf-8")
    assert written == contract.subjects_markdown(), "run: python -m runbus.contract subjects > docs/subjects.md"


def test_the_page_names_everything() -> None:
    page = contract.subjects_markdown()
    for family in FAMILIES:
        subject = re.sub(r"{(\w+)}", r"<\1>", family.subject)
        assert f"| `{subject}` |" in page
    for message in MESSAGES:
        assert f"### {message.__name__}\n\n`{type_of(message)}`: " in page
    headings = {heading.lower() for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= headings


def test_every_error_code_says_what_it_means() -> None:
    page = contract.subjects_markdown()
    for code in ErrorCode:
        assert re.search(rf"^\| `{code}` \| \S.*\|$", page, re.MULTILINE), code


# Printing


@pytest.mark.parametrize("name", contract.DOCUMENTS)
def test_a_document_is_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert contract.main([name]) == 0
    printed = capsys.readouterr().out
    if name == "asyncapi":
        assert yaml.load(printed, yaml.CSafeLoader) == json.loads(json.dumps(contract.asyncapi()))
    elif name == "schema":
        assert json.loads(printed) == json.loads(json.dumps(contract.json_schema()))
    else:
        assert printed == contract.subjects_markdown()


def test_an_unknown_document_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert contract.main(["poem"]) == 2
    assert "asyncapi|schema|subjects" in capsys.readouterr().err


def test_the_documents_are_the_same_in_every_process() -> None:
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-m", "runbus.contract", "schema"],
        env={"PYTHONHASHSEED": "7"},
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    assert printed.decode() == contract.DOCUMENTS["schema"]()
