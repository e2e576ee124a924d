"""What the VMware source makes of machines; no server is needed."""

from __future__ import annotations

import msgspec
import pytest

from runbus.plugin import Discovered, Node
from services.runner.sources.vmware import VmwareConfig
from services.runner.sources.vmware.config import Query, query_of
from services.runner.sources.vmware.entities import Entity, Inventory, Kind
from services.runner.sources.vmware.guests import system_of
from services.runner.sources.vmware.machines import nodes_of
from services.runner.sources.vmware.places import Places, name_of

_PLACES = [
    Entity(Kind.FOLDER, "group-1", {"name": "Europe", "parent": "group-d1"}),
    Entity(Kind.DATACENTER, "dc-1", {"name": "DC1", "parent": "group-1"}),
    Entity(Kind.FOLDER, "group-v1", {"name": "vm", "parent": "dc-1"}),
    Entity(Kind.FOLDER, "group-v2", {"name": "web%2fold", "parent": "group-v1"}),
    Entity(Kind.DATACENTER, "dc-2", {"name": "DC2", "parent": "group-d1"}),
    Entity(Kind.FOLDER, "group-v3", {"name": "vm", "parent": "dc-2"}),
    Entity(Kind.VAPP, "vapp-1", {"name": "shop", "parent": "resgroup-1", "parentFolder": "group-v3"}),
    Entity(Kind.VAPP, "vapp-2", {"name": "inner", "parentVApp": "vapp-1"}),
    Entity(Kind.CLUSTER, "domain-c1", {"name": "C1"}),
    Entity(Kind.HOST, "host-1", {"name": "esx1.example.com", "parent": "domain-c1"}),
]


def _query(**settings: str) -> Query:
    given = {"url": "https://vc", "username": "u", "password": "p"}
    given.update({name.replace("_", "-"): value for name, value in settings.items()})
    return query_of(msgspec.convert(given, VmwareConfig, strict=False))


def _machine(name: str, id_: str = "vm-1", *, addresses: tuple[str, ...] = (), **values: str) -> Entity:
    given = {path.replace("__", "."): value for path, value in values.items()}
    return Entity(Kind.MACHINE, id_, {"name": name, "parent": "group-v1", **given}, addresses)


def _discovered(*machines: Entity, **settings: str) -> Discovered:
    return nodes_of(Inventory(machines=list(machines), places=_PLACES), _query(**settings))


def _only(machine: Entity, **settings: str) -> Node:
    (node,) = _discovered(machine, **settings).nodes
    return node


class TestNodes:
    def test_a_machine(self) -> None:
        node = _only(
            _machine(
                "web1", "vm-7", runtime__host="host-1", runtime__powerState="poweredOn", config__uuid="42-uuid",
                guest__ipAddress="10.0.0.7", config__guestId="debian12_64Guest", guest__guestState="running",
                summary__overallStatus="green", config__guestFullName="Debian GNU/Linux 12 (64-bit)",
            )
        )  # fmt: skip
        assert node == Node(
            name="web1",
            attributes={
                "hostname": "10.0.0.7", "osFamily": "unix", "osName": "Debian GNU/Linux 12 (64-bit)",
                "osArch": "amd64", "vm.name": "web1", "vm.id": "vm-7", "vm.uuid": "42-uuid", "vm.dataCenter": "DC1",
                "vm.folder": "/Europe/DC1/vm", "vm.cluster": "C1", "vm.host": "esx1.example.com",
                "vm.powerState": "poweredOn", "guest.ipAddress": "10.0.0.7", "guest.guestState": "running",
                "config.uuid": "42-uuid", "config.guestId": "debian12_64Guest",
                "config.guestFullName": "Debian GNU/Linux 12 (64-bit)", "runtime.host": "esx1.example.com",
                "runtime.powerState": "poweredOn",
            },
            tags=["vmware"],
        )  # fmt: skip

    def test_a_machine_that_vsphere_has_lost_has_a_name_yet(self) -> None:
        node = _only(Entity(Kind.MACHINE, "vm-9", {"name": "gone"}))
        assert node.attributes == {"hostname": "gone", "vm.name": "gone", "vm.id": "vm-9"}

    def test_the_groups_that_are_asked_for(self) -> None:
        machine = _machine("web1", guest__guestState="running", summary__overallStatus="green")
        assert "guest.guestState" not in _only(machine, attribute_groups="summary").attributes
        assert _only(machine, attribute_groups="summary").attributes["summary.overallStatus"] == "green"

    def test_mapping_attributes_and_tags(self) -> None:
        node = _only(
            _machine("web1", guest__guestState="running", config__guestId="ubuntu64Guest", summary__x="deep"),
            mapping="dc.selector=vm.dataCenter,username.default=nobody,username.<unix>.default=root,"
            "deep.selector=summary.x,tags.selector=guest.guestState,vm.cluster",
            attributes="ssh-port=22 note='a b'",
            tags="prod,tag.selector=vm.dataCenter",
            attribute_groups="none",
        )
        wanted = {"dc": "DC1", "username": "root", "deep": "deep", "ssh-port": "22", "note": "a b"}
        assert node.attributes.items() >= wanted.items()
        assert not any(name.startswith(("guest.", "summary.")) for name in node.attributes)
        assert node.tags == ["DC1", "prod", "running", "vmware"]

    def test_a_mapping_without_effect_is_warned_of(self) -> None:
        (warning,) = _discovered(_machine("web1"), mapping="hostname=vm.name").warnings
        assert "'hostname'" in warning

    def test_the_name_by_mapping(self) -> None:
        assert _only(_machine("web1"), mapping="nodename.selector=vm.id").name == "vm-1"

    def test_templates_are_no_nodes(self) -> None:
        assert not _discovered(_machine("golden", config__template="true")).nodes

    def test_only_what_runs(self) -> None:
        machines = [
            _machine("on", "vm-1", runtime__powerState="poweredOn"),
            _machine("off", "vm-2", runtime__powerState="poweredOff"),
            _machine("asleep", "vm-3", runtime__powerState="suspended"),
        ]
        assert [node.name for node in _discovered(*machines, running="true").nodes] == ["on"]
        assert len(_discovered(*machines).nodes) == 3

    def test_what_may_not_be_read_is_warned_of(self) -> None:
        found = _discovered(
            Entity(Kind.MACHINE, "vm-1", {}),
            Entity(Kind.MACHINE, "vm-2", {"name": "web1"}, (), ("config.annotation",)),
        )
        assert [node.name for node in found.nodes] == ["web1"]
        assert found.warnings == [
            "1 virtual machines are left out: u may not read their names",
            "u may not read config.annotation of 1 virtual machines",
        ]


class TestAddresses:
    _MACHINE = _machine(
        "web1", addresses=("10.0.0.7", "fe80::1", "192.168.0.7", "192.168.1.7"), guest__ipAddress="10.0.0.7",
        guest__hostName="web1.example.com",
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("selector", "hostname"),
        [
            ("", "10.0.0.7"),
            ("192.168.0.*", "192.168.0.7"),
            ("192.168.*", "192.168.0.7"),
            ("172.*,192.168.1.*,10.*", "192.168.1.7"),
            ("fe80:*", "fe80::1"),
            ("192.168.0", "web1.example.com"),
            ("172.16.*", "web1.example.com"),
        ],
    )
    def test_the_selector(self, selector: str, hostname: str) -> None:
        assert _only(self._MACHINE, ip_selector=selector).attributes["hostname"] == hostname

    def test_the_address_counts_that_has_no_card(self) -> None:
        machine = _machine("web1", guest__ipAddress="10.0.0.7")
        assert _only(machine, ip_selector="10.*").attributes["hostname"] == "10.0.0.7"

    def test_a_guest_without_address(self) -> None:
        assert _only(_machine("web1", guest__hostName="w")).attributes["hostname"] == "w"
        assert _only(_machine("web1")).attributes["hostname"] == "web1"


class TestNames:
    def test_machines_of_one_name_have_their_datacenters_with_it(self) -> None:
        found = _discovered(_machine("web", "vm-1"), _machine("web", "vm-2", parent="vapp-2"), _machine("db", "vm-3"))
        assert [node.name for node in found.nodes] == ["web@DC1", "web@DC2", "db"]
        assert found.warnings == ["2 virtual machines are named web: their nodes are web@DC1, web@DC2"]

    def test_or_their_uuids(self) -> None:
        machines = [_machine("web", f"vm-{n}", config__instanceUuid=f"uuid-{n}") for n in (1, 2)]
        other = _machine("web", "vm-3", parent="group-v3")
        names = [node.name for node in _discovered(*machines, other).nodes]
        assert names == ["web@uuid-1", "web@uuid-2", "web@DC2"]

    def test_or_their_ids(self) -> None:
        machines = [_machine("web", f"vm-{n}", config__instanceUuid="copied") for n in (1, 2)]
        assert [node.name for node in _discovered(*machines, _machine("web", "vm-3")).nodes] == [
            "web@vm-1", "web@vm-2", "web@vm-3",
        ]  # fmt: skip

    def test_a_name_that_looks_like_one_of_these_is_kept(self) -> None:
        machines = [_machine("web", "vm-1"), _machine("web", "vm-2", parent="group-v3"), _machine("web@DC1", "vm-3")]
        names = [node.name for node in _discovered(*machines).nodes]
        assert names == ["web@vm-1", "web@DC2", "web@DC1"]

    def test_a_template_takes_no_name(self) -> None:
        machines = [_machine("web", "vm-1"), _machine("web", "vm-2", config__template="true")]
        assert [node.name for node in _discovered(*machines).nodes] == ["web"]

    def test_a_hundred_of_one_name_are_one_warning(self) -> None:
        found = _discovered(*(_machine("web", f"vm-{n:03}") for n in range(100)))
        assert len({node.name for node in found.nodes}) == 100
        assert len(found.warnings) == 1
        assert found.warnings[0].endswith("web@vm-004 and 95 more")

    def test_escapes(self) -> None:
        assert name_of(_machine("a%2fb%5Cc%25d%20")) == "a/b\\c%d%20"


class TestPlaces:
    _TREE = Places(_PLACES)

    def test_datacenters_by_name_and_by_path(self) -> None:
        assert self._TREE.matching("DC1") == ["dc-1"]
        assert self._TREE.matching("/Europe/DC1") == ["dc-1"]
        assert self._TREE.matching("Europe") == []
        assert self._TREE.datacenters() == {"dc-1": "/Europe/DC1", "dc-2": "/DC2"}

    def test_paths(self) -> None:
        assert self._TREE.path("group-v2") == "/Europe/DC1/vm/web/old"
        assert self._TREE.path("vapp-2") == "/DC2/vm/shop/inner"
        assert self._TREE.path("nowhere") == ""

    def test_a_circle_ends(self) -> None:
        tree = Places([Entity(Kind.FOLDER, "a", {"name": "a", "parent": "a"})])
        assert tree.path("a") == "/a"

    def test_a_host_that_is_not_seen(self) -> None:
        assert self._TREE.host(_machine("web", runtime__host="host-9")) == ("", "")


@pytest.mark.parametrize(
    ("kind", "name", "family", "arch"),
    [
        ("rhel9_64Guest", "Red Hat Enterprise Linux 9 (64-bit)", "unix", "amd64"),
        ("centosGuest", "CentOS 4/5 (32-bit)", "unix", "x86"),
        ("windows2022srvNext_64Guest", "Microsoft Windows Server 2022 (64-bit)", "windows", "amd64"),
        ("winNetStandardGuest", "Microsoft Windows Server 2003 (32-bit)", "windows", "x86"),
        ("windowsHyperVGuest", "", "windows", "amd64"),
        ("darwin23_64Guest", "Apple macOS 14 (64-bit)", "unix", "amd64"),
        ("vmkernel7Guest", "VMware ESXi 7.x", "unix", "amd64"),
        ("freebsd14_64Guest", "", "unix", "amd64"),
        ("other5xLinux64Guest", "Other 5.x or later Linux (64-bit)", "unix", "amd64"),
        ("otherLinux64Guest", "Other Linux (64-bit) on ARM", "unix", "aarch64"),
        ("otherGuest64", "Other (64-bit)", None, "amd64"),
        ("otherGuest", "Other (32-bit)", None, "x86"),
        ("otherGuest", "Alpine Linux v3.20", "unix", "x86"),
        ("dosGuest", "Microsoft MS-DOS", None, "x86"),
        ("netware6Guest", "Novell NetWare 6.x", None, "x86"),
        ("", "", None, None),
    ],
)
def test_systems(kind: str, name: str, family: str | None, arch: str | None) -> None:
    found = system_of({"config.guestId": kind, "config.guestFullName": name})
    assert (found.get("osFamily"), found.get("osName"), found.get("osArch")) == (family, name or None, arch)


def test_what_a_guest_reports_holds_over_what_it_was_made_for() -> None:
    values = {"config.guestId": "otherGuest", "guest.guestId": "win10_64Guest", "guest.guestFamily": "windowsGuest"}
    assert system_of(values) == {"osFamily": "windows", "osArch": "amd64"}
    assert system_of({"config.guestId": "otherGuest", "guest.guestFamily": "linuxGuest"})["osFamily"] == "unix"
