"""From XML elements to the nodes that the same job has in YAML, with names, lists and maps as in the original."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import yaml

from domain.jobfile.jsonsource import NotJsonError, json_node
from domain.jobfile.read.values import XML_TEXT
from domain.jobfile.xml.elements import Element, NotXmlError

Pair: TypeAlias = tuple[str, yaml.Node]
"""A field's name and value; the name's place is that of the value."""

_TEXT: Final = "<text>"
_PREFIX: Final = "tag:yaml.org,2002:"


def job_nodes(root: Element) -> yaml.SequenceNode:
    """The jobs of a ``joblist``. Raises NotXmlError for another root, and where there is no job."""
    if root.name != "joblist":
        raise NotXmlError(root.mark, f"the root element is <{root.name[:40]}>; write <joblist>")
    strangers = [child for child in root.children if child.name != "job"]
    if strangers:
        raise NotXmlError(strangers[0].mark, f"<{strangers[0].name[:40]}> is no <job>; remove it")
    if not root.children:
        raise NotXmlError(root.mark, "no <job> in it; write one")
    return _list([_map(_pairs(child, _JOB), child) for child in root.children], root)


def _pairs(element: Element, table: Mapping[str, Callable[[Element], Iterator[Pair]]]) -> list[Pair]:
    """The attributes of an element, and its children: those of the table as it says, the others as they are."""
    pairs = _attributes(element)
    for child in element.children:
        if child.name in table:
            pairs += table[child.name](child)
        else:
            pairs.append(_named(child))
    return pairs


def _attributes(element: Element) -> list[Pair]:
    return [(name, _scalar(value, element)) for name, value in element.attributes.items()]


def plain(element: Element) -> yaml.Node:
    """A text, or a map of attributes and children, in which what is repeated is a list."""
    if element.is_json:
        return _json("".join(element.texts), element)
    if element.attributes.get("data") == "true" and len(element.children) == 1:
        return _data(element.children[0])
    if not element.attributes and not element.children:
        return _scalar(element.text, element)
    pairs = _attributes(element)
    repeated: dict[str, list[yaml.Node]] = {}
    for child in element.children:
        name, value = _named(child)
        repeated.setdefault(name, []).append(value)
    pairs += [(name, nodes[0] if len(nodes) == 1 else _list(nodes, element)) for name, nodes in repeated.items()]
    if not element.children and element.text is not None:
        pairs.append((_TEXT, _scalar(element.text, element)))
    return _map(pairs, element)


def _named(child: Element) -> Pair:
    """A name that cannot name an element stands in the attribute ``name`` of an ``element``."""
    if child.name != "element" or "name" not in child.attributes:
        return child.name, plain(child)
    rest = {name: value for name, value in child.attributes.items() if name != "name"}
    bare = Element("element", child.mark, rest, child.children, child.texts, child.is_given, child.is_json)
    return child.attributes["name"], plain(bare)


def _data(element: Element) -> yaml.Node:
    """The original's generic data: ``map``, ``list``, ``set``, and ``value`` or ``string``."""
    if element.name == "map":
        return _map([(child.attributes.get("key", ""), _data(child)) for child in element.children], element)
    if element.name in ("list", "set"):
        return _list([_data(child) for child in element.children], element)
    return _scalar(element.text, element)


def _context(element: Element) -> Iterator[Pair]:
    for child in element.children:
        yield (child.name, _options(child)) if child.name == "options" else (child.name, plain(child))


def _options(element: Element) -> yaml.Node:
    """A list where their order is to be kept; else a map, which is read in the order of their names."""
    found = [_map(_option(child), child) for child in element.children]
    names = [child.attributes.get("name", "") for child in element.children]
    ordered = element.attributes.get("preserveOrder", "").lower() == "true"
    if ordered or not all(names) or len(set(names)) < len(names):
        return _list(found, element)
    return _map(list(zip(names, found, strict=True)), element)


def _option(element: Element) -> list[Pair]:
    delimiter = element.attributes.get("valuesListDelimiter") or ","
    pairs: list[Pair] = []
    for name, node in _pairs(element, {"config": _entries}):
        if name == "enforcedvalues":
            pairs.append(("enforced", node))
        elif name == "values" and isinstance(node, yaml.ScalarNode):
            texts = [_scalar(text, element) for text in node.value.split(delimiter) if text]
            pairs.append((name, _list(texts, element)))
        else:
            pairs.append((name, node))
    return pairs


def _logging(element: Element) -> Iterator[Pair]:
    names = {"limit": "loglimit", "limitAction": "loglimitAction", "status": "loglimitStatus"}
    for name, node in _pairs(element, {}):
        yield names.get(name, name), node


def _retry(element: Element) -> Iterator[Pair]:
    node = plain(element)
    if isinstance(node, yaml.MappingNode):
        node = _map([("retry" if key.value == _TEXT else key.value, value) for key, value in node.value], element)
    yield element.name, node


def _schedule(element: Element) -> Iterator[Pair]:
    yield element.name, _map(_pairs(element, {"month": _month, "year": _year}), element)


def _month(element: Element) -> Iterator[Pair]:
    if element.text is not None:
        yield "month", _scalar(element.text, element)
    for name, node in _attributes(element):
        yield ("dayofmonth", _map([(name, node)], element)) if name == "day" else (name, node)


def _year(element: Element) -> Iterator[Pair]:
    if element.text is not None:
        yield "year", _scalar(element.text, element)
    yield from _attributes(element)


def _notification(element: Element) -> Iterator[Pair]:
    triggers = [(child.name, _trigger(child)) for child in element.children]
    yield element.name, _map(_attributes(element) + triggers, element)


def _trigger(element: Element) -> yaml.Node:
    """A list of what is sent; ``format`` and ``httpMethod`` may stand beside the one webhook they belong to."""
    beside = [(child.name, plain(child)) for child in element.children if child.name in ("format", "httpMethod")]
    sent: list[yaml.Node] = []
    for child in element.children:
        if child.name == "webhook" and not child.is_json:
            sent.append(
                _map(_attributes(child) + [pair for pair in beside if pair[0] not in child.attributes], child)
            )
        elif child.name == "plugin":
            plugin = _map(_pairs(child, {"configuration": _entries}), child)
            sent.append(_map([(child.name, plugin)], child))
        elif child.name not in ("format", "httpMethod"):
            sent.append(_map([(child.name, plain(child))], child))
    return _list(sent, element) if sent else plain(element)


def _entries(element: Element) -> Iterator[Pair]:
    """``<entry key='' value=''/>``, each one a field; with ``type='json'`` the value is JSON."""
    if not any(child.name == "entry" for child in element.children):
        yield element.name, plain(element)
        return
    pairs: list[Pair] = []
    for child in element.children:
        value = child.attributes.get("value", child.text)
        is_json = child.attributes.get("type") == "json"
        pairs.append(
            (child.attributes.get("key", ""), _json(value or "", child) if is_json else _scalar(value, child))
        )
    yield element.name, _map(pairs, element)


def _plugins(element: Element) -> Iterator[Pair]:
    """Each child is one provider of a service."""
    services: dict[str, list[Pair]] = {}
    for child in element.children:
        pairs = dict(_pairs(child, {"configuration": _entries}))
        provider = pairs.get("type", _scalar("", child))
        services.setdefault(child.name, []).append((str(provider.value), pairs.get("configuration", _map([], child))))
    yield element.name, _map([(name, _map(pairs, element)) for name, pairs in services.items()], element)


def _sequence(element: Element) -> Iterator[Pair]:
    pairs = _pairs(element, {"command": _no_pairs})
    commands = [child for child in element.children if child.name == "command"]
    steps: list[yaml.Node] = [_map(_pairs(child, _COMMAND), child) for child in commands]
    yield element.name, _map([*pairs, ("commands", _list(steps, element))], element)


def _no_pairs(_element: Element) -> Iterator[Pair]:
    return iter(())


def _handler(element: Element) -> Iterator[Pair]:
    yield element.name, _map(_pairs(element, _COMMAND), element)


def _arguments(element: Element) -> Iterator[Pair]:
    yield "args", plain(element)


def _interpreter(element: Element) -> Iterator[Pair]:
    yield "scriptInterpreter", _scalar(element.text, element)
    for name, node in _attributes(element):
        yield ("interpreterArgsQuoted" if name.lower() == "argsquoted" else name), node


def _plugin_step(*, node_step: bool) -> Callable[[Element], Iterator[Pair]]:
    def convert(element: Element) -> Iterator[Pair]:
        yield from _pairs(element, {"configuration": _entries})
        yield "nodeStep", _scalar(str(node_step).lower(), element)

    return convert


def _jobref(element: Element) -> Iterator[Pair]:
    yield element.name, _map(_pairs(element, {"arg": _argument_line}), element)


def _argument_line(element: Element) -> Iterator[Pair]:
    yield "args", _scalar(element.attributes.get("line", element.text), element)


_COMMAND: Final[Mapping[str, Callable[[Element], Iterator[Pair]]]] = {
    "scriptargs": _arguments,
    "scriptinterpreter": _interpreter,
    "node-step-plugin": _plugin_step(node_step=True),
    "step-plugin": _plugin_step(node_step=False),
    "jobref": _jobref,
    "errorhandler": _handler,
}
_JOB: Final[Mapping[str, Callable[[Element], Iterator[Pair]]]] = {
    "context": _context,
    "logging": _logging,
    "retry": _retry,
    "schedule": _schedule,
    "sequence": _sequence,
    "notification": _notification,
    "plugins": _plugins,
}


def _scalar(value: str | None, element: Element) -> yaml.ScalarNode:
    tag = f"{_PREFIX}null" if value is None else XML_TEXT
    return yaml.ScalarNode(tag, value or "", element.mark, element.mark)


def _list(nodes: Sequence[yaml.Node], element: Element) -> yaml.SequenceNode:
    return yaml.SequenceNode(f"{_PREFIX}seq", list(nodes), element.mark, element.mark)


def _map(pairs: list[Pair], element: Element) -> yaml.MappingNode:
    """A map; a name stands where its value does."""
    keyed = [
        (yaml.ScalarNode(f"{_PREFIX}str", name, value.start_mark, value.start_mark), value) for name, value in pairs
    ]
    return yaml.MappingNode(f"{_PREFIX}map", keyed, element.mark, element.mark)


def _json(text: str, element: Element) -> yaml.Node:
    try:
        return json_node(text, lambda _: element.mark)
    except NotJsonError as error:
        raise NotXmlError(element.mark, f"its text is marked as JSON and is none: {error}; correct it") from None
