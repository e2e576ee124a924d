"""The contract as documents: AsyncAPI, JSON Schema and ``docs/subjects.md``, made from the catalog and the types.

``python -m runbus.contract asyncapi|schema|subjects`` prints one of them.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Final

import msgspec
import yaml

from runbus import subjects_page
from runbus.subjects_page import PLACEHOLDER, Json
from schemas import (
    api,
    catalog,
    errors,
    events,
    jobs,
    keys,
    nodes,
    notices,
    options,
    runners,
    schedules,
    sources,
    states,
)
from schemas.catalog import (
    ERROR_CODE_HEADER,
    ERROR_TEXT_HEADER,
    FAMILIES,
    MESSAGES,
    PARAMETERS,
    Family,
    Kind,
    Message,
    type_of,
)
from schemas.errors import ErrorReply

CONTRACT_VERSION: Final = "1.0.0"
_MODULES: Final[tuple[ModuleType, ...]] = (
    api,
    catalog,
    errors,
    events,
    jobs,
    keys,
    nodes,
    notices,
    options,
    runners,
    schedules,
    sources,
    states,
)
_NATS_BINDING: Final = "0.1.0"


# Types and what their sources say of them


@cache
def _types() -> dict[str, type]:
    """Every type of the contract by its name."""
    return {
        name: value
        for module in _MODULES
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }


@cache
def _attribute_docs() -> dict[tuple[str, str], str]:
    """What stands under each attribute in the source; at run time it is not to be had."""
    trees = (ast.parse(inspect.getsource(module)) for module in _MODULES)
    classes = (node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))
    return {(each.name, name): doc for each in classes for name, doc in _documented(each.body)}


def _documented(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, below in pairwise(body):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, _prose(text)


def _prose(text: str) -> str:
    """A docstring as Markdown."""
    return inspect.cleandoc(text).replace("``", "`")


def _components(ref_template: str) -> dict[str, Json]:
    """The JSON Schema of every message and of its parts, by name, with what the sources say of each field."""
    _, found = msgspec.json.schema_components(MESSAGES, ref_template=ref_template)
    for name, schema in found.items():
        schema["description"] = _prose(str(schema["description"]))
        properties = schema.get("properties", {})
        for field, encoded in _field_names(_types()[name]):
            if doc := _attribute_docs().get((name, field)):
                properties[encoded]["description"] = doc
        if "enum" in properties.get("type", {}):
            _constant_type(schema)
        _made_defaults(_types()[name], properties)
    return dict(sorted(found.items()))


def _field_names(described: type) -> Iterator[tuple[str, str]]:
    """Each field's name in the source, and as it is written."""
    if issubclass(described, msgspec.Struct):
        for field in msgspec.structs.fields(described):
            yield field.name, field.encode_name


def _constant_type(schema: Json) -> None:
    """``type`` is constant, and may be left out of requests: those are the messages that refuse unknown fields."""
    (constant,) = schema["properties"]["type"]["enum"]
    schema["properties"]["type"] = {"const": constant, "type": "string"}
    if schema.get("additionalProperties") is False:
        schema["required"] = [name for name in schema["required"] if name != "type"]
        if not schema["required"]:
            del schema["required"]


def _made_defaults(described: type, properties: Json) -> None:
    """Name the defaults that a factory makes, which msgspec leaves out."""
    if issubclass(described, msgspec.Struct):
        for field in msgspec.structs.fields(described):
            if callable(field.default_factory):
                properties[field.encode_name]["default"] = msgspec.to_builtins(field.default_factory())


# JSON Schema and AsyncAPI


def json_schema() -> Json:
    """One JSON Schema (2020-12) with every message in ``$defs``; as a whole it accepts any message of the bus."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:runbus:contract:v1",
        "title": "Runbus messages",
        "description": "Every message of Runbus, by its `type`.",
        "anyOf": [{"$ref": f"#/$defs/{message.__name__}"} for message in MESSAGES],
        "$defs": _components("#/$defs/{name}"),
    }


def asyncapi() -> Json:
    """The contract as an AsyncAPI 3.0.0 document; the operations are those of Runbus's own parts."""
    channels = {family.name: _channel(family) for family in FAMILIES}
    channels["reply"] = {
        "address": None,
        "description": "The inbox that the request names as its reply subject.",
        "messages": _refs_by_name(reply for family in FAMILIES for reply in family.replies),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Runbus",
            "version": CONTRACT_VERSION,
            "description": "Runs jobs inside networks that nothing can dial into, over a NATS bus.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {"host": "localhost:4222", "protocol": "nats"}},
        "channels": channels,
        "operations": dict(each for family in FAMILIES for each in _operations(family)),
        "components": {
            "messages": {message.__name__: _message(message) for message in MESSAGES},
            "schemas": _components("#/components/schemas/{name}"),
        },
    }


def _refs_by_name(messages: Iterator[Message] | Sequence[Message]) -> Json:
    return {each.__name__: {"$ref": f"#/components/messages/{each.__name__}"} for each in messages}


def _channel(family: Family) -> Json:
    channel: Json = {
        "address": family.subject,
        "summary": family.summary,
        "description": f"{family.kind}{f' {family.store}' if family.store else ''}: "
        f"{family.sender} to {family.receiver}.",
        "messages": _refs_by_name(family.messages),
    }
    if names := PLACEHOLDER.findall(family.subject):
        channel["parameters"] = {name: {"description": PARAMETERS[name]} for name in names}
    return channel


def _operations(family: Family) -> Iterator[tuple[str, Json]]:
    """A request is received and answered; anything else is sent by one part and received by another."""
    if family.kind is not Kind.REQUEST:
        yield f"{family.name}.send", {"action": "send", **_operation(family)}
        yield f"{family.name}.receive", {"action": "receive", **_operation(family)}
        return
    answered: Json = {"action": "receive", **_operation(family)}
    answered["reply"] = {
        "channel": {"$ref": "#/channels/reply"},
        "messages": [{"$ref": f"#/channels/reply/messages/{each.__name__}"} for each in family.replies],
    }
    if family.queue_group:
        answered["bindings"] = {"nats": {"queue": family.queue_group, "bindingVersion": _NATS_BINDING}}
    yield family.name, answered


def _operation(family: Family) -> Json:
    return {
        "channel": {"$ref": f"#/channels/{family.name}"},
        "summary": family.summary,
        "messages": [{"$ref": f"#/channels/{family.name}/messages/{each.__name__}"} for each in family.messages],
    }


def _message(message: Message) -> Json:
    described: Json = {
        "name": type_of(message),
        "title": message.__name__,
        "summary": _prose(message.__doc__ or "").partition("\n\n")[0].replace("\n", " "),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
    }
    if message is ErrorReply:
        described["headers"] = {
            "type": "object",
            "properties": {
                ERROR_CODE_HEADER: {"type": "string", "description": "The code."},
                ERROR_TEXT_HEADER: {"type": "string", "description": "The first line of the text, as ASCII."},
            },
            "required": [ERROR_CODE_HEADER, ERROR_TEXT_HEADER],
        }
    return described


def subjects_markdown() -> str:
    """``docs/subjects.md``: the families, how to follow an execution, the errors, each message."""
    values = {
        name: [(str(each.value), _attribute_docs().get((name, each.name), "")) for each in described]
        for name, described in _types().items()
        if issubclass(described, Enum)
    }
    return subjects_page.render(_components("{name}"), values)


# Printing


def _as_yaml(document: Json) -> str:
    plain = json.loads(json.dumps(document))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)


def _as_json(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


DOCUMENTS: Final[dict[str, Callable[[], str]]] = {
    "asyncapi": lambda: _as_yaml(asyncapi()),
    "schema": lambda: _as_json(json_schema()),
    "subjects": subjects_markdown,
}
"""What can be printed, by name."""


def main(arguments: Sequence[str]) -> int:
    """Print one document; 2 if it is not known."""
    if len(arguments) != 1 or arguments[0] not in DOCUMENTS:
        sys.stderr.write(f"usage: python -m runbus.contract {'|'.join(DOCUMENTS)}\n")
        return 2
    sys.stdout.write(DOCUMENTS[arguments[0]]())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
