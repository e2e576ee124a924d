"""Nodes as an inventory for Ansible: the form, and what Ansible itself makes of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from domain.nodes.ansibleform import ansible_inventory
from schemas.nodes import Node

NODES = [
    Node(name="web1", tags=["all", "prod", "web-1"], attributes={
        "hostname": "10.0.0.1:2222", "username": "ops", "os-name": "Linux", "motd": "{{ 7 * 7 }}",
    }),
    Node(name="db1", tags=["9th"], attributes={"hostname": "db.example.org"}),
]  # fmt: skip


def test_hosts_variables_and_groups() -> None:
    assert json.loads(ansible_inventory(NODES)) == {
        "all": {
            "hosts": {
                "db1": {"ansible_host": "db.example.org"},
                "web1": {
                    "ansible_host": "10.0.0.1", "ansible_port": 2222, "ansible_user": "ops", "os_name": "Linux",
                    "motd": {"__ansible_unsafe": "{{ 7 * 7 }}"},
                },
            },
            "children": {
                "_9th": {"hosts": {"db1": {}}}, "prod": {"hosts": {"web1": {}}}, "tag_all": {"hosts": {"web1": {}}},
                "web_1": {"hosts": {"web1": {}}},
            },
        }
    }  # fmt: skip


@pytest.mark.slow
def test_ansible_reads_it(tmp_path: Path) -> None:
    program = shutil.which("ansible-inventory", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("ansible-core is not installed")
    inventory = tmp_path / "nodes.json"
    inventory.write_text(ansible_inventory(NODES), encoding="utf-8")
    done = subprocess.run([program, "-i", str(inventory), "--list"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["_meta"]["hostvars"]["web1"]["ansible_port"] == 2222
    assert found["prod"]["hosts"] == ["web1"]
