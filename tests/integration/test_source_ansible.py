"""Inventories asked from the real Ansible, in every form it reads, and hosts asked for facts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runbus.plugin import Discovered, Node, SourceError, SourceFailure
from services.runner.discovery import Asked, Question
from services.runner.sources.ansible import AnsibleInventory
from services.runner.sources.ansible.config import AnsibleConfig
from tests.support.ansibleyaml import nodes_of_yaml
from tests.support.sshd import Sshd, make_key

BINARIES = Path(sys.executable).parent
VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "node_sources.json"
LOCAL = f"ansible_connection=local ansible_python_interpreter={sys.executable}"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),  # each start of Ansible takes seconds where the machine is busy
    pytest.mark.skipif(not (BINARIES / "ansible-inventory").exists(), reason="ansible-core is not installed"),
]

YAML = """
web:
  hosts:
    web1: {ansible_host: 10.0.0.1, ansible_user: deploy, ports: [{port: 22, note: null}], day: 2001-01-01}
    web2: {big: 123456789012345678901234567890, unsafe: !unsafe "{{ x }}", share: 1.50}
  vars: {region: eu}
prod:
  hosts: {direct: }
  children:
    zone-b: {hosts: {web2: }}
    zone-a: {hosts: {web1: , "007": }}
also:
  children: {prod: , empty: }
empty:
"""


class Site:
    """A directory with inventories, and a runner's way to ask."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.work = directory / "work"
        # as in a bare container: no locale, nothing that Ansible is told from outside
        outside = ("ANSIBLE_", "LANG", "LC_")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
        self.env |= {"PATH": f"{BINARIES}:{self.env['PATH']}", "HOME": str(directory / "home")}

    def write(self, name: str, text: str, mode: int = 0o644) -> str:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    async def ask(self, settings: Mapping[str, str] | None = None, /, **more: str) -> Discovered:
        given = {f"ansible-{name.replace('_', '-')}": value for name, value in more.items()}
        config = msgspec.convert({**(settings or {}), **given}, AnsibleConfig, strict=False)
        question = Question(project="default", source="lab", type="ansible", config={}, timeout_s=50)
        self.work.mkdir(mode=0o700)
        try:
            return await AnsibleInventory().discover(config, Asked("r1", question, self.work, self.env, None))
        finally:
            shutil.rmtree(self.work)

    async def nodes(self, settings: Mapping[str, str] | None = None, /, **more: str) -> dict[str, Node]:
        found = await self.ask(settings, **more)
        return {node.name: node for node in found.nodes}

    async def fails(self, **more: str) -> SourceError:
        with pytest.raises(SourceError) as caught:
            await self.ask(**more)
        assert "Traceback" not in caught.value.message
        return caught.value

    def run(self, *argv: str) -> str:
        return subprocess.run(argv, env=self.env, check=True, capture_output=True, text=True).stdout

    def vault(self, text: str, password: str) -> str:
        """An encrypted inventory."""
        inventory = self.write("vaulted.yaml", text)
        key = self.write("made-with", password)
        self.run("ansible-vault", "encrypt", f"--vault-password-file={key}", inventory)
        Path(key).unlink()
        return inventory


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "home").mkdir()
    return Site(tmp_path)


INI = "[web]\nweb1 ansible_host=10.0.0.1 http_port=8080\nweb2\n[web:vars]\nregion=eu\n[prod:children]\nweb\n"
SCRIPT = """#!/bin/sh
echo '{"web": {"hosts": ["web1", "web2"], "vars": {"region": "eu"}}, "prod": {"children": ["web"]},
"_meta": {"hostvars": {"web1": {"ansible_host": "10.0.0.1", "http_port": 8080}}}}'
"""
EXPECTED = {
    "web1": Node(
        name="web1", attributes={"hostname": "10.0.0.1", "http_port": "8080", "region": "eu"}, tags=["prod", "web"]
    ),
    "web2": Node(name="web2", attributes={"hostname": "web2", "region": "eu"}, tags=["prod", "web"]),
}


@pytest.mark.parametrize("form", ["ini", "script", "directory", "config", "config-directory"])
async def test_every_form_gives_the_same_nodes(site: Site, form: str) -> None:
    settings = {"ansible-import-inventory-vars": "true"}
    if form == "script":
        settings["ansible-inventory"] = site.write("hosts.sh", SCRIPT, 0o755)
    elif form == "directory":
        site.write("many/hosts.ini", INI.replace("web2\n", ""))
        site.write("many/more.yaml", "web: {hosts: {web2: }}")
        settings["ansible-inventory"] = str(site.directory / "many")
    elif form.startswith("config"):
        site.write("etc/inventory.ini", INI)
        config = site.write("etc/ansible.cfg", "[defaults]\ninventory = inventory.ini\n")
        settings["ansible-config-file-path"] = config if form == "config" else str(site.directory / "etc")
    else:
        settings["ansible-inventory"] = site.write("hosts.ini", INI)
    assert await site.nodes(settings) == EXPECTED


async def test_hosts_may_stand_in_the_setting_and_a_limit_holds(site: Site) -> None:
    assert sorted(await site.nodes(inventory="a,b,c", limit="a:b:!b")) == ["a"]
    assert sorted(await site.nodes(inventory="a,", limit="none", disable_limit="true")) == ["a"]
    nothing = await site.ask(inventory="a,", limit="none")
    assert not nothing.nodes
    assert nothing.warnings[-1] == "the inventory holds no hosts"


async def test_its_json_and_its_yaml_give_the_same_nodes(site: Site) -> None:
    inventory = site.write("hosts.yaml", YAML)
    settings = {"ansible-import-inventory-vars": "true"}
    text = site.run("ansible-inventory", f"--inventory={inventory}", "--list", "--yaml")
    from_json = await site.nodes(settings, inventory=inventory)
    assert from_json == {node.name: node for node in nodes_of_yaml(settings, text)}
    assert from_json["web1"].attributes["ports"] == '[{"port":22}]'
    assert from_json["direct"].tags == ["also", "prod"]
    settings["ansible-parent-tags"] = "true"
    from_json = await site.nodes(settings, inventory=inventory)
    assert from_json == {node.name: node for node in nodes_of_yaml(settings, text)}
    assert from_json["web2"].tags == ["also", "prod", "web", "zone-b"]


def cases() -> list[Any]:
    if not VECTORS.exists():
        return [
            pytest.param({}, marks=pytest.mark.skip(reason=f"no {'/'.join(VECTORS.parts[-3:])} beside the project"))
        ]
    found = json.loads(VECTORS.read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["id"]) for case in found if "ansible_inventory_file_yaml" in case["input"]]


@pytest.mark.parametrize("case", cases())
async def test_inventory_files_of_the_original(site: Site, case: dict[str, Any]) -> None:
    inventory = site.write("hosts.yaml", case["input"]["ansible_inventory_file_yaml"])
    nodes = await site.nodes(case["config"], inventory=inventory)
    # the count is of the original's project, which has its server as a node besides
    assert len(nodes) == case["expect_node_count"] - 1
    for name, present in case["expect_attributes_present"].items():
        assert {"nodename": name, **nodes[name].attributes}.items() >= present.items()
    assert {name: nodes[name].tags for name in case["expect_tags"]} == case["expect_tags"]


async def test_an_encrypted_inventory_opens_with_its_password(site: Site) -> None:
    inventory = site.vault(INI, "s3cret-of-vault")
    assert sorted(await site.nodes(inventory=inventory, vault_storage_path="s3cret-of-vault")) == ["web1", "web2"]
    assert sorted(await site.nodes(inventory=inventory, vault_password="s3cret-of-vault")) == ["web1", "web2"]
    path = site.write("password", "s3cret-of-vault\n", 0o600)
    assert sorted(await site.nodes(inventory=inventory, vault_path=path)) == ["web1", "web2"]


@pytest.mark.parametrize("password", ["wrong-password", ""])
async def test_an_encrypted_inventory_stays_shut_without_it(site: Site, password: str) -> None:
    failed = await site.fails(inventory=site.vault(INI, "s3cret-of-vault"), vault_storage_path=password)
    assert failed.reason is SourceFailure.AUTHENTICATION
    assert "the vault's password is missing or wrong" in failed.message
    assert password == "" or password not in failed.message


@pytest.mark.parametrize(
    "setting", ["inventory", "config_file_path", "binaries_dir_path", "vault_path", "ssh_keypath"]
)
async def test_a_path_that_is_not_there_is_named(site: Site, setting: str) -> None:
    failed = await site.fails(**{"inventory": "a,", "gather_facts": "true", setting: "/nonexistent/x"})
    assert failed.reason is SourceFailure.NOT_FOUND
    assert "/nonexistent/x is not there" in failed.message
    assert f"ansible-{setting.replace('_', '-')}" in failed.message


async def test_without_ansible_the_text_says_what_is_missing(site: Site) -> None:
    site.env["PATH"] = "/usr/bin:/bin" if not Path("/usr/bin/ansible-inventory").exists() else "/nonexistent"
    failed = await site.fails(inventory="a,")
    assert failed.reason is SourceFailure.NOT_FOUND
    assert "'ansible-inventory'" in failed.message
    assert "ansible-binaries-dir-path" in failed.message
    assert sorted(await site.nodes(inventory="a,", binaries_dir_path=str(BINARIES))) == ["a"]


@pytest.mark.parametrize(
    ("text", "mode", "reason", "said"),
    [
        ("#!/bin/sh\necho no database >&2\nexit 3\n", 0o755, SourceFailure.FAILED, "no database"),
        ("#!/bin/sh\necho '{nonsense'\n", 0o755, SourceFailure.FAILED, "the inventory's script failed"),
        ("all:\n  hosts: [\n", 0o644, SourceFailure.MALFORMED, "While parsing a flow node"),
    ],
)
async def test_an_inventory_that_fails(site: Site, text: str, mode: int, reason: SourceFailure, said: str) -> None:
    failed = await site.fails(inventory=site.write("hosts", text, mode))
    assert failed.reason is reason
    assert said in failed.message


async def test_no_inventory_anywhere_is_a_fault_of_the_settings(site: Site) -> None:
    config = site.write("ansible.cfg", f"[defaults]\ninventory = {site.directory}/none\n")
    failed = await site.fails(config_file_path=config)
    assert failed.reason in (SourceFailure.CONFIGURATION, SourceFailure.MALFORMED)
    assert "ended with exit code 1" in failed.message


async def test_part_of_an_inventory_passes_for_the_whole_only_where_errors_are_ignored(site: Site) -> None:
    site.write("many/good.ini", "web1\n")
    site.write("many/bad.sh", "#!/bin/sh\necho no database >&2\nexit 3\n", 0o755)
    inventory = str(site.directory / "many")
    assert "no database" in (await site.fails(inventory=inventory)).message
    found = await site.ask(inventory=inventory, ignore_errors="true")
    assert [node.name for node in found.nodes] == ["web1"]
    assert any("bad.sh" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("script", "reason", "said"),
    [
        ("echo '{'", SourceFailure.MALFORMED, "is no inventory"),
        ("echo oops top-secret >&2; exit 7", SourceFailure.FAILED, "exit code 7.*oops"),
        ("kill -9 $$", SourceFailure.FAILED, "SIGKILL"),
    ],
)
async def test_a_program_that_misbehaves(site: Site, script: str, reason: SourceFailure, said: str) -> None:
    site.write("bin/ansible-inventory", f"#!/bin/sh\n{script}\n", 0o755)
    failed = await site.fails(
        inventory="a,", binaries_dir_path=str(site.directory / "bin"), vault_storage_path="top-secret"
    )
    assert failed.reason is reason
    assert re.search(said, failed.message)
    assert "top-secret" not in failed.message


SPY = """#!/bin/sh
printf '%s\\n' "$@" > "$SEEN/arguments"
env > "$SEEN/environment"
for file in "$PWD"/*; do stat -c '%a %n' "$file"; done > "$SEEN/files"
cat "$PWD"/vault-password > "$SEEN/content"
echo '{"all": {"children": ["ungrouped"]}, "ungrouped": {"hosts": ["a"]}}'
"""


async def test_secrets_are_in_files_of_the_runner_s_user_alone(site: Site) -> None:
    site.write("bin/ansible-inventory", SPY, 0o755)
    site.env["SEEN"] = str(site.directory)
    await site.ask(inventory="a,", binaries_dir_path=str(site.directory / "bin"), vault_storage_path="top-secret")
    seen = {name: (site.directory / name).read_text() for name in ("arguments", "environment", "files", "content")}
    assert seen["content"] == "top-secret\n"
    assert "top-secret" not in seen["arguments"] + seen["environment"]
    assert f"600 {site.work}/vault-password" in seen["files"]
    assert seen["arguments"].splitlines()[0] == "--list"


async def test_hosts_tell_their_facts_and_one_without_an_answer_is_an_error_or_left_out(site: Site) -> None:
    inventory = site.write(
        "hosts.ini",
        f"[prod:children]\nweb\ndb\n[web]\nhere {LOCAL} ansible_host='{{{{ inventory_hostname }}}}.lan' role=x\n"
        f"[db]\nthere {LOCAL}\ngone ansible_host=127.0.0.1 ansible_port=9\n",
    )
    failed = await site.fails(inventory=inventory, gather_facts="true")
    assert failed.reason is SourceFailure.UNREACHABLE
    assert "1 of 3 hosts did not answer" in failed.message
    assert "'gone'" in failed.message
    found = await site.ask(
        inventory=inventory, gather_facts="true", ignore_errors="true", import_inventory_vars="true"
    )
    here, there = sorted(found.nodes, key=lambda node: node.name)
    assert [here.name, here.tags, there.name, there.tags] == ["here", ["prod", "web"], "there", ["db", "prod"]]
    assert here.attributes["hostname"] == "here.lan"
    assert here.attributes["role"] == "x"
    assert here.attributes["osVersion"] == os.uname().release
    assert here.attributes["osArch"] == os.uname().machine
    assert here.attributes.keys() >= {"username", "osFamily", "description", "memtotal_mb", "processor_vcpus"}
    assert not [name for name in here.attributes if name.startswith("ansible_")]
    assert [warning for warning in found.warnings if "'gone' was left out" in warning]


async def test_where_no_host_answers_there_are_no_nodes_to_report(site: Site) -> None:
    inventory = site.write("hosts.ini", "gone ansible_host=127.0.0.1 ansible_port=9\n")
    failed = await site.fails(inventory=inventory, gather_facts="true", ignore_errors="true")
    assert failed.reason is SourceFailure.UNREACHABLE
    assert "none of 1 hosts answered" in failed.message


async def test_arguments_that_ansible_does_not_know_are_said(site: Site) -> None:
    failed = await site.fails(inventory="a,", gather_facts="true", extra_param="--no-such 1")
    assert "unrecognized arguments: --no-such" in failed.message
    failed = await site.fails(inventory="a,", gather_facts="true", extra_param="'")
    assert failed.reason is SourceFailure.CONFIGURATION


@pytest.fixture
def far(site: Site, sshd: Sshd) -> dict[str, str]:
    """Settings for the one host of an inventory that is reached by SSH."""
    options = f"-o ControlMaster=no -o UserKnownHostsFile={sshd.known_hosts} -o GlobalKnownHostsFile=/dev/null"
    options += " -o StrictHostKeyChecking=yes -o IdentityAgent=SSH_AUTH_SOCK"
    config = site.write("ansible.cfg", f"[ssh_connection]\nssh_args = {options}\n")
    inventory = site.write(
        "hosts.ini",
        f"web1 ansible_host=127.0.0.1 ansible_port={sshd.port} ansible_python_interpreter={sys.executable}\n",
    )
    site.env.pop("SSH_AUTH_SOCK", None)
    return {
        "ansible-config-file-path": config,
        "ansible-inventory": inventory,
        "ansible-gather-facts": "true",
        "ansible-ssh-user": sshd.user,
    }


@pytest.mark.sshd
class TestBySsh:
    async def test_a_key_of_the_key_storage(self, site: Site, far: dict[str, str], sshd: Sshd) -> None:
        nodes = await site.nodes(far, ssh_key_storage_path=sshd.key.read_text().rstrip("\n"))
        assert nodes["web1"].attributes["hostname"] == "127.0.0.1"
        assert nodes["web1"].attributes["osVersion"] == os.uname().release
        assert sorted(await site.nodes(far, ssh_keypath=str(sshd.key))) == ["web1"]

    async def test_a_key_with_a_passphrase_is_given_to_an_agent(
        self, site: Site, far: dict[str, str], sshd: Sshd
    ) -> None:
        locked = site.directory / "locked"
        shutil.copy(sshd.key, locked)
        self.lock(locked)
        settings = {**far, "ansible-ssh-use-agent": "true", "ansible-ssh-key-storage-path": locked.read_text()}
        nodes = await site.nodes(settings, ssh_passphrase_storage_path="open sesame")
        assert sorted(nodes) == ["web1"]
        for passphrase in ("wrong", ""):
            with pytest.raises(SourceError, match="passphrase is missing or wrong") as caught:
                await site.ask(settings, ssh_passphrase_storage_path=passphrase)
            assert caught.value.reason is SourceFailure.AUTHENTICATION

    async def test_a_key_that_is_refused(self, site: Site, far: dict[str, str]) -> None:
        stranger = make_key(site.directory / "stranger")
        with pytest.raises(SourceError, match="Permission denied") as caught:
            await site.ask(far, ssh_keypath=str(stranger))
        assert caught.value.reason is SourceFailure.AUTHENTICATION

    async def test_a_host_whose_key_is_not_known(self, site: Site, far: dict[str, str], sshd: Sshd) -> None:
        config = Path(far["ansible-config-file-path"])
        config.write_text(config.read_text().replace(str(sshd.known_hosts), "/dev/null"))
        with pytest.raises(SourceError, match="Host key verification failed") as caught:
            await site.ask(far, ssh_keypath=str(sshd.key))
        assert caught.value.reason is SourceFailure.CERTIFICATE

    def lock(self, key: Path) -> None:
        key.chmod(0o600)
        subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", str(key)], check=True)
