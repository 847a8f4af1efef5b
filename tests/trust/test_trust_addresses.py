"""Where this machine is reached: the address that works comes first."""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

import ifaddr
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ifaddr import IP, Adapter

from edged.trust import addresses as addresses_module
from edged.trust.addresses import InterfaceAddress, endpoint, host_name, most_likely_first, own_addresses


def found(*pairs: tuple[str, str]) -> list[InterfaceAddress]:
    return [InterfaceAddress(interface=interface, ip=ip) for interface, ip in pairs]


def test_the_lan_comes_before_all_that_is_not_reached_from_it() -> None:
    machine = found(
        ("lo", "127.0.0.1"),
        ("lo", "::1"),
        ("docker0", "172.17.0.1"),
        ("wlan0", "fe80::9"),
        ("wlan0", "fd00::9"),
        ("wlan0", "2001:db8::9"),
        ("usb0", "169.254.3.4"),
        ("ppp0", "8.8.4.4"),
        ("wlan0", "192.168.7.1"),
    )
    assert most_likely_first(machine, {"wlan0"}) == (
        "192.168.7.1",
        "172.17.0.1",
        "fd00::9",
        "2001:db8::9",
        "8.8.4.4",
        "fe80::9%wlan0",
        "169.254.3.4",
        "127.0.0.1",
        "::1",
    )


@given(st.lists(st.tuples(st.sampled_from(["lo", "eth0", "wlan0"]), st.ip_addresses().map(str)), max_size=20))
def test_none_is_lost_and_loopback_is_last(pairs: list[tuple[str, str]]) -> None:
    ranked = most_likely_first(found(*pairs), {"eth0"})
    bare = [address.partition("%")[0] for address in ranked]
    assert set(bare) == {ip for _, ip in pairs}
    is_loopback = [ipaddress.ip_address(ip).is_loopback for ip in bare]
    assert is_loopback == sorted(is_loopback)


def test_this_machine_has_what_the_system_says() -> None:
    ours = own_addresses()
    assert "127.0.0.1" in ours
    assert len(ours) == len(set(ours))
    told = subprocess.run(["hostname"], capture_output=True, text=True, check=True).stdout.strip()
    assert host_name() == told.partition(".")[0]


def test_what_changes_each_day_is_no_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lines of a laptop's kernel; 01 are the flags of a temporary address."""
    table = tmp_path / "if_inet6"
    table.write_text(
        "fd000000000000000000000000000009 02 40 00 00    wlan0\n"
        "fd00000000000000a1b2c3d4e5f60718 02 40 00 01    wlan0\n"
        "00000000000000000000000000000001 01 80 10 80       lo\n"
    )
    addresses = ("fd00::9", "fd00::a1b2:c3d4:e5f6:718", "::1", "192.168.7.1")
    ips = [IP(ip if "." in ip else (ip, 0, 2), 64, "wlan0") for ip in addresses]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [Adapter("wlan0", "wlan0", ips)])
    monkeypatch.setattr(addresses_module, "IPV6_ADDRESSES", table)
    assert own_addresses() == ("192.168.7.1", "fd00::9", "::1")
    monkeypatch.setattr(addresses_module, "IPV6_ADDRESSES", tmp_path / "none")
    assert set(own_addresses()) == set(addresses)


@pytest.mark.parametrize(
    ("host", "expected"), [("192.168.7.1", "192.168.7.1:8443"), ("fd00::1", "[fd00::1]:8443"), ("study", "study:8443")]
)
def test_endpoints(host: str, expected: str) -> None:
    assert endpoint(host, 8443) == expected
