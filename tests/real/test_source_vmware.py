"""The machines of a vCenter, by govmomi's simulator of one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from runbus.plugin import Discovered, Node, SourceError, SourceFailure
from schemas.errors import ErrorCode, RunbusError
from schemas.sources import SourceDefinition
from services.runner.discovery import Discoverer, Question
from services.runner.inventory import PluginInventory
from services.runner.sources.vmware import VmwareConfig, VmwareMachines
from tests.integration.test_node_sources import LAB, here_on, listed, put, refresh, with_lab
from tests.support.keydirs import own_keys
from tests.support.system import System
from tests.support.waiting import eventually

from .vcsim import PASSWORD, USER, Vcsim, simulator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    """Two datacenters with four machines each, one of them in a folder: only read in these tests."""
    with simulator(tmp_path_factory.mktemp("vcsim"), "-dc", "2", "-folder", "1") as started:
        yield started


@pytest.fixture
def own_vcenter(tmp_path: Path) -> Iterator[Vcsim]:
    """One datacenter with four machines, for one test."""
    with simulator(tmp_path) as started:
        yield started


async def _discover(config: VmwareConfig) -> Discovered:
    return await VmwareMachines().discover(config, _NO_CONTEXT)


_NO_CONTEXT: Any = None
"""This source asks nothing of its runner."""


def _by_name(found: Discovered) -> dict[str, Node]:
    return {node.name: node for node in found.nodes}


def _machine(content: Any, name: str) -> Any:
    found = content.searchIndex.FindByInventoryPath(f"DC0/vm/{name}")
    assert found is not None
    return found


async def _done(task: Any) -> None:
    await eventually(lambda: task.info.state == "success", what="the task's end")


class TestListing:
    async def test_machines_of_all_datacenters(self, vcenter: Vcsim) -> None:
        before = len(vcenter.calls())
        found = await _discover(vcenter.config())
        assert len(found.nodes) == 8
        assert not found.warnings
        node = _by_name(found)["DC1_C0_RP0_VM1"]
        assert node.tags == ["vmware"]
        own = node.attributes
        assert own["hostname"] == own["vm.name"] == own["config.name"] == "DC1_C0_RP0_VM1"
        assert (own["vm.dataCenter"], own["vm.folder"], own["vm.cluster"]) == ("DC1", "/F0/DC1/vm/F0", "DC1_C0")
        assert own["vm.host"] == own["runtime.host"]
        assert own["vm.host"].startswith("DC1_C0_H")
        assert own["vm.powerState"] == own["runtime.powerState"] == "poweredOn"
        assert own["vm.id"].startswith("vm-")
        assert own["vm.uuid"] == own["config.uuid"]
        assert own["config.template"] == "false"
        assert not any(name.startswith("summary.") for name in own)
        assert vcenter.calls()[before:] == [
            "RetrieveServiceContent", "Login", "CreateContainerView", "RetrievePropertiesEx", "CreateContainerView",
            "RetrievePropertiesEx", "Logout",
        ]  # fmt: skip

    async def test_all_groups_and_a_value_that_none_of_them_has(self, vcenter: Vcsim) -> None:
        mapping = "shares.selector=config.cpuAllocation.shares.level,disks.selector=config.nosuch"
        config = vcenter.config(attribute_groups="summary", mapping=mapping)
        own = (await _discover(config)).nodes[0].attributes
        assert own["summary.overallStatus"] == "green"
        assert own["summary.config.numVirtualDisks"] == "1"
        assert int(own["summary.storage.committed"]) >= 0
        assert own["shares"] == "normal"
        assert "disks" not in own

    async def test_one_datacenter(self, vcenter: Vcsim) -> None:
        for datacenter in ("DC1", "/F0/DC1"):
            found = await _discover(vcenter.config(datacenter=datacenter))
            assert {node.attributes["vm.dataCenter"] for node in found.nodes} == {"DC1"}
            assert len(found.nodes) == 4

    async def test_a_datacenter_that_is_not_there(self, vcenter: Vcsim) -> None:
        with pytest.raises(SourceError, match=r"no datacenter 'DC9': there are /DC0, /F0/DC1\. Correct") as caught:
            await _discover(vcenter.config(datacenter="DC9"))
        assert caught.value.reason is SourceFailure.NOT_FOUND
        assert vcenter.calls()[-1] == "Logout"

    async def test_mapping_attributes_and_tags(self, vcenter: Vcsim) -> None:
        config = vcenter.config(
            mapping="where.selector=vm.dataCenter,tags.selector=vm.cluster,guest.toolsRunningStatus",
            attributes="username=ops",
            tags="lab",
            attribute_groups="none",
        )
        node = _by_name(await _discover(config))["DC0_C0_RP0_VM0"]
        assert node.tags == ["DC0_C0", "guestToolsNotRunning", "lab", "vmware"]
        assert node.attributes["where"] == "DC0"
        assert node.attributes["username"] == "ops"
        assert not any(name.startswith(("guest.", "config.", "runtime.")) for name in node.attributes)

    async def test_one_esxi_host(self, tmp_path: Path) -> None:
        with simulator(tmp_path, "-esx") as esxi:
            found = await _discover(esxi.config())
        assert {node.name: node.attributes["vm.dataCenter"] for node in found.nodes} == {
            "ha-host_VM0": "ha-datacenter", "ha-host_VM1": "ha-datacenter",
        }  # fmt: skip


class TestChanges:
    async def test_addresses_of_guests(self, own_vcenter: Vcsim) -> None:
        from services.runner.sources.vmware.api import vim  # noqa: PLC0415

        with own_vcenter.administrator() as content:
            options = {"SET.guest.ipAddress": "192.168.7.9", "SET.guest.hostName": "vm0.example.com"}
            spec = vim.vm.ConfigSpec(
                extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
            )
            await _done(_machine(content, "DC0_H0_VM0").ReconfigVM_Task(spec))
        for selector, hostname in {
            "": "192.168.7.9", "192.168.7.*": "192.168.7.9", "10.*": "vm0.example.com",
        }.items():  # fmt: skip
            nodes = _by_name(await _discover(own_vcenter.config(ip_selector=selector)))
            assert nodes["DC0_H0_VM0"].attributes["hostname"] == hostname
            assert nodes["DC0_H0_VM1"].attributes["hostname"] == "DC0_H0_VM1"

    async def test_only_what_runs(self, own_vcenter: Vcsim) -> None:
        with own_vcenter.administrator() as content:
            await _done(_machine(content, "DC0_H0_VM0").PowerOffVM_Task())
        everything = _by_name(await _discover(own_vcenter.config()))
        running = _by_name(await _discover(own_vcenter.config(running="true")))
        assert everything.keys() - running.keys() == {"DC0_H0_VM0"}
        assert everything["DC0_H0_VM0"].attributes["vm.powerState"] == "poweredOff"

    async def test_templates_are_left_out(self, own_vcenter: Vcsim) -> None:
        with own_vcenter.administrator() as content:
            machine = _machine(content, "DC0_H0_VM0")
            await _done(machine.PowerOffVM_Task())
            machine.MarkAsTemplate()
        assert "DC0_H0_VM0" not in _by_name(await _discover(own_vcenter.config()))

    async def test_two_machines_of_one_name_and_a_name_with_a_slash(self, tmp_path: Path) -> None:
        with simulator(tmp_path, "-dc", "2", "-cluster", "0", "-vm", "1") as vcenter:
            with vcenter.administrator() as content:
                for datacenter in (0, 1):
                    path = f"DC{datacenter}/vm/DC{datacenter}_H0_VM0"
                    machine = content.searchIndex.FindByInventoryPath(path)
                    await _done(machine.Rename_Task("web%2f1"))
            found = await _discover(vcenter.config())
        assert sorted(_by_name(found)) == ["web/1@DC0", "web/1@DC1"]
        assert found.warnings == ["2 virtual machines are named web/1: their nodes are web/1@DC0, web/1@DC1"]


class TestPages:
    async def test_a_page_for_every_so_many_objects(self, vcenter: Vcsim, monkeypatch: pytest.MonkeyPatch) -> None:
        from services.runner.sources.vmware import session  # noqa: PLC0415

        whole = await _discover(vcenter.config())
        monkeypatch.setattr(session, "PAGE_OBJECTS", 3)
        before = len(vcenter.calls())
        assert await _discover(vcenter.config(datacenter="DC0")) != whole
        assert await _discover(vcenter.config()) == whole
        # 8 machines are 3 pages, 4 are 2; the places are a dozen more each time.
        assert Counter(vcenter.calls()[before:])["ContinueRetrievePropertiesEx"] >= 3
        assert vcenter.calls()[-1] == "Logout"

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    async def test_two_thousand_machines(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with simulator(tmp_path, "-vm", "1000") as vcenter:
            started_s, used_s = time.monotonic(), time.process_time()
            found = await _discover(vcenter.config())
            took_s, used_s = time.monotonic() - started_s, time.process_time() - used_s
            calls = Counter(vcenter.calls())
        assert len({node.name for node in found.nodes}) == 2000
        assert calls == {
            "RetrieveServiceContent": 1, "Login": 1, "CreateContainerView": 2, "RetrievePropertiesEx": 2,
            "ContinueRetrievePropertiesEx": 3, "Logout": 1,
        }  # fmt: skip
        with capsys.disabled():
            print(f"\n2,000 machines: {took_s:.1f} s, {used_s:.1f} s of it here; {calls.total()} calls")
        assert used_s < 20


class TestByTheRunner:
    """With everything that a runner does around a plugin."""

    async def _ask(self, vcenter: Vcsim, directory: Path, password: str) -> Discovered:
        key = directory / "keys" / "vmware" / "password"
        key.parent.mkdir(parents=True)
        key.write_text(f"{password}\n")
        key.chmod(0o600)
        value = "services.runner.sources.vmware:VmwareMachines"
        plugins = PluginInventory("r1", [EntryPoint("node-source/vmware", value, "runbus.plugins")])
        plugins.load()
        config = {
            "url": vcenter.url, "username": USER, "password-storage-path": "keys/vmware/password",
            "ssl-ca-cert": str(vcenter.tls / "ca.pem"), "running": "true",
        }  # fmt: skip
        keys = own_keys(directory / "keys", "r1")
        discoverer = Discoverer(runner="r1", plugins=plugins, keys=keys, env={})
        return await discoverer.discover(
            Question(project="p", source="lab", type="vmware", config=config, timeout_s=60)
        )

    async def test_the_key_of_the_storage_opens_it(self, vcenter: Vcsim, tmp_path: Path) -> None:
        assert len((await self._ask(vcenter, tmp_path, PASSWORD)).nodes) == 8

    async def test_a_wrong_key_is_not_told(self, vcenter: Vcsim, tmp_path: Path) -> None:
        with pytest.raises(RunbusError) as caught:
            await self._ask(vcenter, tmp_path, "wrong-and-secret")
        assert caught.value.code is ErrorCode.DISCOVERY_FAILED
        assert caught.value.details["reason"] == SourceFailure.AUTHENTICATION
        assert "wrong-and-secret" not in caught.value.message


async def test_the_loop_goes_on_meanwhile(vcenter: Vcsim) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn())
    await _discover(vcenter.config())
    turning.cancel()
    assert turns > 10


async def test_from_the_vcenter_to_a_job_on_a_machine(vcenter: Vcsim, system: System, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    key = tmp_path / "keys" / "vcenter"
    key.write_text(PASSWORD)
    key.chmod(0o600)
    await with_lab(system, keys_dir=str(tmp_path / "keys"))
    config = {
        "url": vcenter.url, "username": USER, "password-storage-path": "runner/vcenter",
        "ssl-ca-cert": str(vcenter.tls / "ca.pem"), "attributes": "node-executor=local",
    }  # fmt: skip
    await put(system, SourceDefinition(name="vms", type="vmware", config=config, runner=LAB, interval_s=0.0))
    state = await refresh(system, "vms")
    assert state.error is None
    node = (await listed(system, "tags: vmware")).nodes[0].name
    await here_on(system, f"name: {node}", node)
