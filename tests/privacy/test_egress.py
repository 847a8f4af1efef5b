"""What may be reached, as pure decisions."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config import load_config
from edged.privacy.egress import Egress, egress_of

EGRESS = Egress(bind_ports=frozenset())


@pytest.mark.parametrize(
    ("family", "address", "allowed"),
    [
        (socket.AF_UNIX, "/run/edged/x.sock", True),
        (socket.AF_UNIX, b"\0abstract", True),
        (socket.AF_NETLINK, (0, 0), True),
        (socket.AF_INET, ("127.0.0.1", 80), True),
        (socket.AF_INET, ("127.255.3.1", 80), True),
        (socket.AF_INET6, ("::1", 80, 0, 0), True),
        (socket.AF_INET, ("0.0.0.0", 80), False),
        (socket.AF_INET, ("192.168.1.1", 80), False),
        (socket.AF_INET, ("example.org", 443), False),
        (socket.AF_INET, ("localhost", 443), False),
        (socket.AF_INET, ("", 443), False),
        (socket.AF_INET6, ("fe80::1%eth0", 80, 0, 2), False),
        (socket.AF_INET6, ("::ffff:8.8.8.8", 53, 0, 0), False),
        (socket.AF_PACKET, ("eth0", 0), False),
        (socket.AF_INET, (), False),
        (socket.AF_INET, None, False),
    ],
)
def test_connections(family: int, address: object, allowed: bool) -> None:
    assert EGRESS.may_connect(family, address) is allowed


@given(st.ip_addresses())
def test_of_all_addresses_only_loopback_is_allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    mapped = getattr(address, "ipv4_mapped", None)
    assert EGRESS.may_connect(family, (str(address), 80)) is bool(
        address.is_loopback or (mapped and mapped.is_loopback)
    )


@given(st.text())
def test_no_name_is_ever_looked_up(host: str) -> None:
    if EGRESS.may_resolve(host):
        assert ipaddress.ip_address(host).is_loopback


@pytest.mark.parametrize(
    ("environ", "ports"),
    [
        ({}, set()),
        ({"EDGED_DAEMON__TCP": "127.0.0.1:50051"}, {50051}),
        ({"EDGED_WYOMING__LISTEN": "[::1]:10300", "EDGED_WYOMING__SATELLITE": "localhost:10700"}, {10300, 10700}),
    ],
)
def test_only_configured_ports_may_be_bound(environ: dict[str, str], ports: set[int]) -> None:
    assert egress_of(load_config({"HOME": "/x", **environ})).bind_ports == ports


ANNOUNCING = Egress(bind_ports=frozenset({50051, 8443}), announces=True)


@pytest.mark.parametrize(
    ("port", "address", "allowed"),
    [
        (5353, ("224.0.0.251", 5353), True),
        (5353, ("ff02::fb", 5353, 0, 2), True),
        (5353, ("192.168.1.7", 5353), True),
        (5353, ("10.0.0.7", 40000), True),
        (5353, ("fe80::1%eth0", 5353, 0, 2), True),
        (5353, ("8.8.8.8", 53), False),
        (5353, ("2001:4860:4860::8888", 5353, 0, 0), False),
        (5353, ("239.255.255.250", 1900), False),
        (5353, ("example.org", 5353), False),
        (5353, (), False),
        (5353, None, False),
        (40000, ("224.0.0.251", 5353), False),
    ],
)
def test_announcements(port: int, address: object, allowed: bool) -> None:
    assert ANNOUNCING.may_announce(port, address) is allowed
    assert not EGRESS.may_announce(port, address)


@pytest.mark.parametrize(
    ("family", "kind", "allowed", "allowed_with_mdns"),
    [
        (socket.AF_UNIX, socket.SOCK_DGRAM, True, True),
        (socket.AF_NETLINK, socket.SOCK_RAW, True, True),
        (-1, -1, True, True),
        (socket.AF_INET6, socket.SOCK_STREAM, True, True),
        (socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, True, True),
        (socket.AF_INET, socket.SOCK_DGRAM, False, True),
        (socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, False, True),
        (socket.AF_INET, socket.SOCK_RAW, False, False),
        (socket.AF_PACKET, socket.SOCK_RAW, False, False),
        (socket.AF_VSOCK, socket.SOCK_STREAM, False, False),
    ],
)
def test_sockets(family: int, kind: int, allowed: bool, allowed_with_mdns: bool) -> None:
    assert EGRESS.may_open(family, kind) is allowed
    assert ANNOUNCING.may_open(family, kind) is allowed_with_mdns


SEEING = Egress(bind_ports=frozenset(), connect_to=frozenset({("192.168.1.20", 8081)}))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        (("192.168.1.20", 8081), True),
        (("127.0.0.1", 80), True),
        (("192.168.1.20", 80), False),
        (("192.168.1.21", 8081), False),
        (("8.8.8.8", 8081), False),
        (([], 8081), False),
    ],
)
def test_the_camera_is_one_address_and_one_port(address: object, allowed: bool) -> None:
    assert SEEING.may_connect(socket.AF_INET, address) is allowed


def test_only_a_camera_on_the_network_is_reached() -> None:
    for source, reached in (
        ("http://192.168.1.20:8081/live", {("192.168.1.20", 8081)}),
        ("http://127.0.0.1/", {("127.0.0.1", 80)}),
        ("/dev/video0", set()),
    ):
        assert egress_of(load_config({"HOME": "/x", "EDGED_CAMERA__SOURCE": source})).connect_to == reached
    assert SEEING.may_resolve("192.168.1.20") and not SEEING.may_resolve("192.168.1.21")


def test_the_lan_opens_its_two_ports_and_no_connection() -> None:
    closed, lan = load_config({}), load_config({"EDGED_LAN__ENABLED": "true"})
    assert egress_of(closed) == EGRESS
    assert egress_of(lan) == ANNOUNCING
    assert not egress_of(lan).may_connect(socket.AF_INET, ("192.168.1.7", 8443))
    assert not egress_of(load_config({"EDGED_LAN__ENABLED": "true", "EDGED_LAN__ANNOUNCE": "false"})).announces
