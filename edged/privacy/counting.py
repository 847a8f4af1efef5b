"""A network that leads nowhere and counts what tries to leave: the proof that a daemon reaches nothing.

A namespace of its own has one interface with a route to everywhere; what is sent into it arrives at the other end of
a cable, and nobody is there. So a packet that would have left the machine is seen, whatever language it was sent from.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edged.errors import EdgedError

LINK = "way-out"
_ETH_P_ALL = 0x0003
_IPV4, _IPV6 = 0x0800, 0x86DD
_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}
_GATEWAYS = ("198.51.100.1", "2001:db8::1")
"""Of networks that exist in documentation only (RFC 5737, RFC 3849); neighbours without being asked for."""
_SETTLE_SECONDS = 20.0
"""The kernel greets a new IPv6 link; those packets are nobody's, and have come by then."""
_QUIET_SECONDS = 1.5
_PLANT = ("203.0.113.7", 9)
"""Where the planted packet goes: nobody's, either."""
_COMMANDS = (
    "link set lo up",
    f"link add {LINK} type veth peer name nowhere",
    "link set nowhere up",
    f"link set {LINK} up",
    f"address add 198.51.100.2/24 dev {LINK}",
    f"neighbour add 198.51.100.1 lladdr 02:00:00:00:00:01 dev {LINK}",
    f"route add default via 198.51.100.1 dev {LINK}",
)
_COMMANDS_IPV6 = (
    f"-6 address add 2001:db8::2/64 dev {LINK} nodad",
    f"-6 neighbour add 2001:db8::1 lladdr 02:00:00:00:00:01 dev {LINK}",
    f"-6 route add default via 2001:db8::1 dev {LINK}",
)


def in_namespace(command: list[str]) -> list[str]:
    """The command, to be run in a network of its own as far as this user may. Raises EdgedError saying what to do."""
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if not shutil.which(program):
            raise EdgedError(f"{program} is not installed, which makes the network to count in: package {package}")
    tried = subprocess.run(["unshare", "-rn", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise EdgedError(
            f"this user may not make a network namespace ({tried.stderr.strip() or 'refused'}): run it as root, "
            "or allow it (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
        )
    return ["unshare", "-rn", *command]


class WayOut:
    """What was sent out of this namespace since `reset`."""

    def __init__(self) -> None:
        self._packets: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.bind((LINK, 0))
        self._thread = threading.Thread(target=self._count, name="edged-way-out", daemon=True)
        self._thread.start()

    @property
    def packets(self) -> dict[str, int]:
        """How many of each kind, e.g. {"UDP to 192.0.2.1 port 53": 2}."""
        with self._lock:
            return dict(self._packets)

    def reset(self) -> None:
        """Begin again at zero."""
        with self._lock:
            self._packets.clear()

    def close(self) -> None:
        """Stop counting."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _count(self) -> None:
        with suppress(OSError):
            while True:
                frame, (_, _, kind, *_) = self._socket.recvfrom(2048)
                if kind == socket.PACKET_OUTGOING:
                    with self._lock:
                        self._packets[_described(frame)] += 1


@contextmanager
def counting() -> Iterator[WayOut]:
    """The way out of this process's namespace, which must be a new one, counted from here on.

    Raises EdgedError where it cannot be made, or where a packet that is sent on purpose is not counted.
    """
    _make_way_out()
    way_out = WayOut()
    try:
        _settle(way_out)
        _see_planted(way_out)
        yield way_out
    finally:
        way_out.close()


def _make_way_out() -> None:
    for arguments in _COMMANDS:
        _ip(arguments)
    with suppress(EdgedError):  # a kernel without IPv6 sends none
        for arguments in _COMMANDS_IPV6:
            _ip(arguments)
    for name, value in (("router_solicitations", "0"), ("accept_ra", "0")):
        with suppress(OSError):
            Path(f"/proc/sys/net/ipv6/conf/{LINK}/{name}").write_text(value)


def _ip(arguments: str) -> None:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise EdgedError(f"ip {arguments}: {done.stderr.strip() or 'failed'}: this kernel cannot make that network")


def _settle(way_out: WayOut) -> None:
    """Until the kernel has been quiet for a while."""
    deadline, seen, quiet_since = time.monotonic() + _SETTLE_SECONDS, -1, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - quiet_since < _QUIET_SECONDS:
        count = sum(way_out.packets.values())
        if count != seen:
            seen, quiet_since = count, time.monotonic()
        time.sleep(0.05)
    way_out.reset()


def _see_planted(way_out: WayOut) -> None:
    """A counter that counts nothing would prove everything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"counted?", _PLANT)
    deadline = time.monotonic() + 5
    expected = f"UDP to {_PLANT[0]} port {_PLANT[1]}"
    while expected not in way_out.packets:
        if time.monotonic() > deadline:
            raise EdgedError("a packet sent on purpose was not counted: nothing can be proved on this machine")
        time.sleep(0.02)
    way_out.reset()


def _described(frame: bytes) -> str:
    """Where an Ethernet frame was to go, in a few words."""
    kind, packet = int.from_bytes(frame[12:14]), frame[14:]
    if kind == _IPV4 and len(packet) >= 20:
        protocol, destination, rest = packet[9], packet[16:20], packet[4 * (packet[0] & 15) :]
    elif kind == _IPV6 and len(packet) >= 40:
        protocol, destination, rest = packet[6], packet[24:40], packet[40:]
    else:
        return f"Ethernet frame of type {kind:#06x}"
    name = _PROTOCOLS.get(protocol, f"IP protocol {protocol}")
    port = f" port {int.from_bytes(rest[2:4])}" if name in ("TCP", "UDP") and len(rest) >= 4 else ""
    return f"{name} to {ipaddress.ip_address(destination)}{port}"
