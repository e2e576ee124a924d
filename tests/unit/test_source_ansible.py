"""What an Ansible inventory becomes: tags, attributes, and texts for what is no inventory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.plugin import Node, SourceError, SourceFailure
from services.runner.sources.ansible import AnsibleInventory
from services.runner.sources.ansible.config import SECRET_SETTINGS, AnsibleConfig
from services.runner.sources.ansible.interesting import interesting
from services.runner.sources.ansible.listing import nodes_of, read_listing
from services.runner.sources.ansible.nodes import text_of
from services.runner.sources.ansible.program import tail_of, warnings_in
from tests.support.ansibleyaml import nodes_of_yaml

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "node_sources.json"
PLUGIN = "com.batix.rundeck.plugins.AnsibleResourceModelSourceFactory"
INPUT = "ansible_inventory_yaml"
IMPORT = {"ansible-import-inventory-vars": "true"}


def cases() -> list[Any]:
    if not VECTORS.exists():
        return [
            pytest.param({}, marks=pytest.mark.skip(reason=f"no {'/'.join(VECTORS.parts[-3:])} beside the project"))
        ]
    found = [case for case in json.loads(VECTORS.read_text(encoding="utf-8")) if case["plugin"] == PLUGIN]
    return [pytest.param(case, id=case["id"]) for case in found if INPUT in case["input"]]


@pytest.mark.parametrize("case", cases())
def test_every_case_of_the_original(case: dict[str, Any]) -> None:
    nodes = {node.name: node for node in nodes_of_yaml(case["config"], case["input"][INPUT])}
    attributes = {name: {"nodename": name, **node.attributes} for name, node in nodes.items()}
    if "expect" in case:
        shown = {name: {"attributes": attributes[name], "tags": node.tags} for name, node in nodes.items()}
        assert shown == case["expect"]
    for name, present in case.get("expect_attributes_present", {}).items():
        assert attributes[name].items() >= present.items()
    for name, absent in case.get("expect_attributes_absent", {}).items():
        assert not attributes[name].keys() & set(absent)


def from_yaml(text: str, **settings: str) -> dict[str, Node]:
    config = {f"ansible-{name.replace('_', '-')}": value for name, value in settings.items()}
    return {node.name: node for node in nodes_of_yaml(config, text)}


def from_json(listing: Mapping[str, Any] | bytes, **settings: Any) -> dict[str, Node]:
    printed = listing if isinstance(listing, bytes) else json.dumps(listing).encode()
    nodes, _ = nodes_of(read_listing(printed), AnsibleConfig(**settings))
    return {node.name: node for node in nodes}


def one(variables: Mapping[str, Any], **settings: Any) -> Node:
    """The node of an inventory of one host, which is the same from JSON and from YAML."""
    text = json.dumps({"all": {"children": {"ungrouped": {"hosts": {"web1": variables}}}}})
    texts = {name: "true" if value is True else str(value) for name, value in settings.items()}
    (node,) = from_yaml(text, **texts).values()
    listing = {
        "_meta": {"hostvars": {"web1": variables}},
        "all": {"children": ["ungrouped"]},
        "ungrouped": {"hosts": ["web1"]},
    }
    assert from_json(listing, **settings) == {node.name: node}
    return node


NESTED = {
    "_meta": {"hostvars": {"one": {"ansible_host": "10.0.0.1"}, "two": {"ansible_host": "10.0.0.2"}}},
    "all": {"children": ["ungrouped", "west", "prod", "empty"]},
    "west": {"hosts": ["two", "one"]},
    "prod": {"children": ["b", "a"], "hosts": ["direct"]},
    "a": {"hosts": ["one"]},
    "b": {"hosts": ["two"], "children": ["a"]},
}


def test_tags_are_what_the_original_makes_of_groups() -> None:
    nodes = from_json(NESTED)
    # the hosts of 'a' make it forget 'prod' before it comes to 'b'
    assert {name: node.tags for name, node in nodes.items()} == {
        "direct": ["prod"],
        "one": ["a", "b", "west"],
        "two": ["b", "west"],
    }


@pytest.mark.parametrize("settings", [{"parent_tags": True}, {"gather_facts": True}])
def test_every_group_is_a_tag_where_that_is_wanted_and_where_facts_are_gathered(settings: dict[str, Any]) -> None:
    nodes = from_json(NESTED, **settings)
    assert {name: node.tags for name, node in nodes.items()} == {
        "direct": ["prod"],
        "one": ["a", "b", "prod", "west"],
        "two": ["b", "prod", "west"],
    }


def test_a_host_in_two_groups_keeps_its_variables_and_has_both_tags() -> None:
    text = """
all:
  children:
    alpha: {hosts: {web1: {}}}
    beta: {hosts: {web1: {ansible_host: 10.0.0.1}}}
    gamma: {}
    delta: null
"""
    assert from_yaml(text) == {"web1": Node(name="web1", attributes={"hostname": "10.0.0.1"}, tags=["alpha", "beta"])}


def test_tags_with_a_prefix_are_left_out_and_an_extra_one_is_added() -> None:
    tags = from_json(NESTED, ignore_tags_prefix="we", extra_tag=" ansible ")["one"].tags
    assert tags == ["a", "ansible", "b"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"hostname": "web1"}),
        ({"ansible_ssh_host": "c", "ansible_host": "b", "hostname": "a"}, {"hostname": "a"}),
        ({"ansible_ssh_host": "c", "ansible_host": "b", "ansible_port": 2222}, {"hostname": "b"}),
        ({"ansible_ssh_host": "c"}, {"hostname": "c"}),
        ({"hostname": None, "ansible_host": "b"}, {"hostname": "web1"}),
        ({"ansible_host": 1270}, {"hostname": "1270"}),
        (
            {"ansible_user_id": "d", "ansible_ssh_user": "c", "ansible_user": "b"},
            {"hostname": "web1", "username": "b"},
        ),
        ({"ansible_kernel": 6.1}, {"hostname": "web1", "osVersion": "6.1"}),
        ({"ansible_lsb": {"description": "Debian 12"}}, {"hostname": "web1", "description": "Debian 12"}),
        (
            {"ansible_distribution": "Debian", "ansible_distribution_version": 12},
            {"hostname": "web1", "description": "Debian 12"},
        ),
        ({"tags": "x", "osFamily": "unix"}, {"hostname": "web1", "osFamily": "unix"}),
    ],
)
def test_known_variables_become_the_original_s_attributes(variables: Any, expected: dict[str, str]) -> None:
    assert one(variables).attributes == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        (True, "true"),
        (8080, "8080"),
        (123456789012345678901234567890, "123456789012345678901234567890"),
        (2.50, "2.5"),
        (1e20, "1.0E20"),
        ([], "[]"),
        ([1, None, {"b": 1.5, "a": None, "ü": "x"}], '[1,null,{"b":1.5,"ü":"x"}]'),
        ({"cmd": "a='b' && c"}, r'{"cmd":"a\u003d\u0027b\u0027 \u0026\u0026 c"}'),
    ],
)
def test_imported_variables_are_texts_or_json(value: Any, text: str) -> None:
    assert one({"x": value}, import_inventory_vars=True).attributes == {"hostname": "web1", "x": text}


def test_what_has_no_value_is_not_imported() -> None:
    variables = {
        "none": None,
        "vault": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n61"},
        "inner": {"password": {"__ansible_vault": "$ANSIBLE_VAULT"}, "user": "u"},
        "unsafe": {"__ansible_unsafe": "{{ x }}"},
    }
    found = one(variables, import_inventory_vars=True).attributes
    assert found == {"hostname": "web1", "inner": '{"user":"u"}', "unsafe": "{{ x }}"}


def test_ansible_s_own_and_ignored_variables_are_not_imported() -> None:
    own = {"ansible_connection": "local", "group_names": ["a"], "role_path": "/r", "inventory_dir": "/i"}
    variables = {**own, "secret_key": "k", "kept": "v", "nodename": "renamed", "tags": "t"}
    node = one(variables, import_inventory_vars=True, ignore_inventory_vars=" secret_ ,, ")
    assert node == Node(name="renamed", attributes={"hostname": "web1", "kept": "v"}, tags=["ungrouped"])


@pytest.mark.parametrize(
    ("name", "is_host"),
    [('{"a": 1}', False), ("{'a': [1]}", False), ("{}", False), ("{a=b}", False), ("{a}", True), ("{a:b", True)],
)
def test_a_name_that_is_an_object_is_no_host(name: str, is_host: bool) -> None:
    listing = {"all": {"children": ["g"]}, "g": {"hosts": [name, "web1"]}}
    assert (name in from_json(listing)) is is_host
    if not is_host:
        _, warnings = nodes_of(read_listing(json.dumps(listing).encode()), AnsibleConfig())
        assert "its name is an object of JSON" in warnings[0]


def test_keys_that_are_no_texts_are_no_hosts() -> None:
    text = "all: {children: {g: {hosts: {12: {}, yes: {}, null: {}, '13': {}, web1: }}}}"
    assert sorted(from_yaml(text)) == ["13", "web1"]


@pytest.mark.parametrize("text", ["all:", "all: {}", "all: {children: }", "all: {hosts: {x: }}", "other: {}"])
def test_an_inventory_without_groups_has_no_nodes(text: str) -> None:
    assert from_yaml(text) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no map"),
        ("- a", "no map"),
        ("all: [", "line 1"),
        ("all: {children: [a]}", "'all.children' is no map"),
        ("all: {children: {g: x}}", "group 'g' is no map"),
        ("all: {children: {g: {children: {h: {hosts: [x]}}}}}", "'g.h.hosts' is no map"),
        ("all: {children: {g: {hosts: {x: [1]}}}}", "host 'x'"),
    ],
)
def test_what_is_no_inventory_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        from_yaml(text)
    assert caught.value.reason is SourceFailure.MALFORMED


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (b"", "it printed nothing"),
        (b"ERROR", "line 1 column 1"),
        (b"[]", "it: Expected `object`"),
        (b"{}", "no group 'all'"),
        (b'{"all": {"children": [1]}}', r"group 'all': .*\$\.children\[0\]"),
        (b'{"all": {}, "_meta": {"hostvars": []}}', r"_meta: .*\$\.hostvars"),
        (b'{"all": {}, "_meta": {"hostvars": {"x": []}}}', "host 'x': Expected `object`"),
        (b'{"all": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"\xff", "no text in UTF-8"),
    ],
)
def test_output_that_is_no_inventory_is_said_with_its_place(printed: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read_listing(printed)
    assert caught.value.reason is SourceFailure.MALFORMED


def test_groups_that_contain_each_other_end() -> None:
    loop = {"all": {"children": ["a"]}, "a": {"children": ["b"], "hosts": ["x"]}, "b": {"children": ["a"]}}
    assert from_json(loop)["x"].tags == ["a"]
    assert from_json(loop, parent_tags=True)["x"].tags == ["a", "b"]


def test_what_python_prints_and_json_does_not_have_is_read() -> None:
    variables = b'{"n": NaN, "half": "a\\udc80b", "inner": [-Infinity]}'
    printed = b'{"_meta": {"hostvars": {"x": %s}}, "all": {"children": ["g"]}, "g": {"hosts": ["x"]}}' % variables
    attributes = from_json(printed, import_inventory_vars=True)["x"].attributes
    assert attributes == {"hostname": "x", "n": "NaN", "half": "a?b", "inner": '["-Infinity"]'}


@pytest.mark.parametrize(
    ("settings", "text", "said"),
    [
        ({"yaml_data_size": "1"}, "all: {}\n#" + "x" * (1 << 20), "ansible-yaml-data-size"),
        (
            {"yaml_max_aliases": "1"},
            "all: {children: {g: {hosts: {x: {a: &a [1], b: *a, c: *a}}}}}",
            "ansible-yaml-max-aliases",
        ),
    ],
)
def test_bounds_of_yaml_are_kept(settings: dict[str, str], text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        from_yaml(text, **settings)
    assert caught.value.reason is SourceFailure.TOO_LARGE


def test_aliases_of_texts_do_not_count_and_those_of_lists_are_read() -> None:
    text = "all: {children: {g: {hosts: {x: {t: &t v, u: *t, w: *t, a: &a [1], b: *a}}}}}"
    attributes = from_yaml(text, yaml_max_aliases="1", import_inventory_vars="true")["x"].attributes
    assert attributes == {"hostname": "x", "t": "v", "u": "v", "w": "v", "a": "[1]", "b": "[1]"}


def test_aliases_that_make_much_of_little_are_refused() -> None:
    lines = ["a0: &a0 [xxxxxxxxxxxxxxxx]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    variables = ", ".join(lines)
    with pytest.raises(SourceError, match="aliases repeat too much"):
        from_yaml(f"all: {{children: {{g: {{hosts: {{x: {{{variables}}}}}}}}}}}")


def test_a_setting_that_is_not_valid_is_named() -> None:
    with pytest.raises(SourceError, match="ansible-ssh-auth-type"):
        from_yaml("all: {}", ssh_auth_type="kerberos")


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


@given(VALUES)
def test_any_value_is_a_text_or_none(value: Any) -> None:
    text = text_of(value)
    assert text is None or isinstance(text, str)
    if isinstance(value, list | dict) and text is not None:
        json.loads(text)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_output_is_an_inventory_or_an_error(printed: bytes) -> None:
    try:
        read_listing(printed)
    except SourceError as error:
        assert error.reason is SourceFailure.MALFORMED


def test_facts_become_attributes_where_they_are_plain() -> None:
    facts = {
        "ansible_processor": ["0", "AuthenticAMD"],
        "ansible_lsb": {"codename": "bookworm"},
        "ansible_date_time": {"tz": "UTC", "tz_offset": "+0000"},
        "ansible_fips": False,
        "ansible_memtotal_mb": 512,
        "ansible_selinux": {"status": "disabled"},
        "ansible_domain": "",
        "ansible_interfaces": ["lo"],
    }
    assert interesting(facts) == {
        "processor0": "0", "processor1": "AuthenticAMD", "lsb_codename": "bookworm", "tz": "UTC",
        "tz_offset": "+0000", "fips": "false", "memtotal_mb": "512",
    }  # fmt: skip


def test_a_name_that_is_a_template_is_warned_of() -> None:
    listing = {
        "_meta": {"hostvars": {"x": {"ansible_host": "{{ inventory_hostname }}.example.com"}}},
        "all": {"children": ["g"]},
        "g": {"hosts": ["x"]},
    }
    _, warnings = nodes_of(read_listing(json.dumps(listing).encode()), AnsibleConfig())
    assert "'x' the first" in warnings[0]


def test_ansible_s_words_are_shortened() -> None:
    said = (
        "[WARNING]: Failed to parse inventory with 'yaml' plugin: bad.\n\n"
        "Failed to parse inventory with 'yaml' plugin.\n\n<<< caused by >>>\n\nbad.\n"
        "Origin: <inventory plugin 'yaml' with source '/x'>\n[WARNING]: bad.\n"
    )
    assert tail_of(said) == "bad."
    assert warnings_in(said) == ["Ansible: Failed to parse inventory with 'yaml' plugin: bad.", "Ansible: bad."]
    assert len(tail_of("".join(f"line {number}\n" for number in range(1000)))) < 1600
    assert (
        tail_of("usage: x\nansible-playbook: error: no such thing\nhelp") == "ansible-playbook: error: no such thing"
    )


def test_settings_have_the_original_s_names_and_secrets_among_them_are_fields() -> None:
    names = {each.encode_name for each in msgspec.structs.fields(AnsibleInventory.config_type)}
    assert names >= SECRET_SETTINGS | {"ansible-inventory", "ansible-gather-facts", "ansible-ssh-key-storage-path"}
    config = msgspec.convert({"ansible-ssh-password": "a", "ansible-vault-storage-path": "b"}, AnsibleConfig)
    assert sorted(config.secrets) == ["a", "b"]
