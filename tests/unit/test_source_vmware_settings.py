"""The VMware source without a server: its settings, and what is read of an answer."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any
from xml.etree.ElementTree import ParseError

import msgspec
import pytest

from runbus.plugin import SourceError, SourceFailure
from services.runner.sources.vmware import VmwareConfig, VmwareMachines
from services.runner.sources.vmware.answers import page_of
from services.runner.sources.vmware.config import Query, query_of
from services.runner.sources.vmware.entities import Entity, Kind
from services.runner.sources.vmware.paths import ADDRESSES, BASE, GROUPS, paths_of


def _query(**settings: str) -> Query:
    given = {"url": "https://vc", "username": "u", "password": "p"}
    given.update({name.replace("_", "-"): value for name, value in settings.items()})
    return query_of(msgspec.convert(given, VmwareConfig, strict=False))


class TestSettings:
    def test_what_is_not_given(self) -> None:
        query = _query()
        assert str(query.address) == "https://vc/sdk"
        assert query.is_verified
        assert query.groups == {"guest", "config", "runtime"}
        assert query.ip_patterns == ()

    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("vc.example.com", "https://vc.example.com/sdk"),
            ("vc.example.com:8443", "https://vc.example.com:8443/sdk"),
            ("https://vc.example.com/", "https://vc.example.com/sdk"),
            ("https://vc.example.com:443/sdk/", "https://vc.example.com/sdk"),
            ("http://127.0.0.1:8989/other", "http://127.0.0.1:8989/other"),
            ("https://[fd00::1]:8443", "https://[fd00::1]:8443/sdk"),
        ],
    )
    def test_addresses(self, url: str, address: str) -> None:
        assert str(_query(url=url).address) == address

    @pytest.mark.parametrize("url", ["ftp://vc", "https://", "https://vc:port", "https://[::1", "https://a..b"])
    def test_no_addresses(self, url: str) -> None:
        with pytest.raises(SourceError, match="url is not an address") as caught:
            _query(url=url)
        assert caught.value.reason is SourceFailure.CONFIGURATION

    def test_a_password_in_the_address_is_refused_and_not_repeated(self) -> None:
        with pytest.raises(SourceError, match="url holds a user") as caught:
            _query(url="https://root:hunter2@vc/sdk")
        assert "hunter2" not in caught.value.message

    def test_without_a_password(self) -> None:
        with pytest.raises(SourceError, match="there is no password: say password-storage-path"):
            query_of(VmwareConfig(url="vc", username="u"))

    def test_the_storage_path_holds_over_the_other_name(self) -> None:
        assert _query(password_storage_path="q").password == "q"

    @pytest.mark.parametrize(
        ("settings", "verified"),
        [({"ignore_ssl": "true"}, False), ({"verify_ssl": "false"}, False), ({"verify_ssl": "true"}, True)],
    )
    def test_verification(self, settings: dict[str, str], verified: bool) -> None:
        assert _query(**settings).is_verified is verified

    def test_groups(self) -> None:
        assert _query(attribute_groups="Guest, Summary").groups == {"guest", "summary"}
        assert _query(attribute_groups="none").groups == frozenset()
        with pytest.raises(SourceError, match="names 'guests': there are guest, config, runtime, summary"):
            _query(attribute_groups="guests")

    def test_a_mapping_that_cannot_be_read(self) -> None:
        with pytest.raises(SourceError, match="mapping") as caught:
            _query(mapping="vm.name")
        assert caught.value.reason is SourceFailure.CONFIGURATION

    def test_both_settings_of_the_password_name_keys(self) -> None:
        names = {each.encode_name for each in msgspec.structs.fields(VmwareConfig)}
        assert VmwareMachines.secret_settings == {"password", "password-storage-path"}
        assert names >= VmwareMachines.secret_settings


class TestPaths:
    def test_groups_and_what_every_node_is_made_of(self) -> None:
        assert set(paths_of([], [], with_addresses=False)) == set(BASE)
        assert "guest.guestState" in paths_of(["guest"], [], with_addresses=False)
        assert ADDRESSES in paths_of([], [], with_addresses=True)

    def test_facts_that_settings_name_are_read_too(self) -> None:
        named = ["summary.quickStats.uptimeSeconds", "vm.name", "config", "guest.", "guest.a-b", "osFamily", "x.y"]
        assert set(paths_of([], named, with_addresses=False)) - set(BASE) == {"summary.quickStats.uptimeSeconds"}

    def test_no_path_is_listed_twice(self) -> None:
        assert all(len(set(names)) == len(names) for names in GROUPS.values())


def _answer(objects: str, *, token: str = "", response: str = "RetrievePropertiesExResponse") -> Any:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><s:Body>'
        f'<{response} xmlns="urn:vim25"><returnval>{token and f"<token>{token}</token>"}{objects}</returnval>'
        f"</{response}></s:Body></s:Envelope>"
    )
    return io.BytesIO(text.encode())


class TestAnswers:
    def test_values_references_addresses_and_what_is_kept_back(self) -> None:
        page = page_of(
            _answer(
                '<objects><obj type="VirtualMachine">vm-42</obj>'
                '<propSet><name>name</name><val xsi:type="xsd:string">wéb &amp; co</val></propSet>'
                '<propSet><name>parent</name><val type="Folder" xsi:type="ManagedObjectReference">group-v1</val>'
                '</propSet><propSet><name>config.annotation</name><val xsi:type="xsd:string"></val></propSet>'
                "<propSet><name>runtime.bootTime</name></propSet>"
                '<propSet><name>guest.net</name><val xsi:type="ArrayOfGuestNicInfo"><GuestNicInfo>'
                "<network>n</network><ipAddress>10.0.0.1</ipAddress><ipAddress>fe80::1</ipAddress><ipConfig><ipAddress><ipAddress>x"
                "</ipAddress></ipAddress></ipConfig></GuestNicInfo></val></propSet>"
                '<propSet><name>config.tools</name><val xsi:type="ToolsConfigInfo"><token>no</token></val></propSet>'
                '<missingSet><path>config.uuid</path><fault><fault xsi:type="NoPermission"/>'
                "<localizedMessage/></fault></missingSet>"
                '<missingSet><path>config.x</path><fault><fault xsi:type="InvalidProperty"/></fault></missingSet>'
                "</objects>",
                token="t1",
            )
        )
        assert page.token == "t1"
        assert page.entities == [
            Entity(
                Kind.MACHINE, "vm-42", {"name": "wéb & co", "parent": "group-v1"}, ("10.0.0.1", "fe80::1"),
                ("config.uuid",),
            )
        ]  # fmt: skip

    def test_kinds(self) -> None:
        page = page_of(
            _answer(
                '<objects><obj type="ClusterComputeResource">c</obj></objects>'
                '<objects><obj type="StoragePod">s</obj></objects><objects><obj type="Datacenter">d</obj></objects>',
                response="ContinueRetrievePropertiesExResponse",
            )
        )
        assert [(each.kind, each.id) for each in page.entities] == [(Kind.CLUSTER, "c"), (Kind.DATACENTER, "d")]
        assert page.token == ""

    def test_nothing_found(self) -> None:
        assert page_of(_answer("")).entities == []

    def test_another_answer(self) -> None:
        with pytest.raises(ValueError, match="no answer of a property collector"):
            page_of(io.BytesIO(b"<html><body>Welcome</body></html>"))

    @pytest.mark.parametrize("text", [b"", b"<html><p>", b"Welcome"])
    def test_no_xml(self, text: bytes) -> None:
        with pytest.raises(ParseError):
            page_of(io.BytesIO(text))

    def test_entities_that_swell(self) -> None:
        levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
        bomb = f'<!DOCTYPE x [<!ENTITY l0 "swell">{levels}]><x>&l11;</x>'
        with pytest.raises(ParseError):
            page_of(io.BytesIO(bomb.encode()))


def test_the_library_is_not_loaded_before_it_is_used() -> None:
    """In a process of its own: others may have loaded it here."""
    code = "import sys, services.runner.sources.vmware; print([m for m in sys.modules if m.startswith('pyV')])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
