"""Daemons found by mDNS; in a namespace whose only network is loopback, so that nobody else hears of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edged.client.discovery import _port
from tests.e2e.program import require_namespaces

SCRIPT = """
import asyncio, json
from ipaddress import ip_address
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
from edged.client.discovery import SERVICE, discover
from edged.server.announce import Announcer

def announcer(name, number):
    return Announcer(
        name=name, host=f"edged-{number}", addresses=[f"192.168.7.{number}"], grpc_port=50051, web_port=8443
    )

async def main():
    daemons = [announcer("kitchen", 3), announcer("Attic", 4)]
    for daemon in daemons:
        assert await daemon.start()
    strange = AsyncZeroconf()
    good = {"web": "1", "grpc": "1", "v": "1"}
    for number, properties in enumerate([{}, {**good, "web": "x"}, {**good, "v": "2"}, good]):
        name = f"strange{number}.{SERVICE}"
        addresses = [ip_address("8.8.8.8" if properties is good else "192.168.7.9").packed]
        server = f"strange{number}.local."
        await strange.async_register_service(
            AsyncServiceInfo(SERVICE, name, addresses=addresses, port=1, properties=properties, server=server)
        )
    found = await discover(8)
    for daemon in daemons:
        await daemon.close()
    await strange.async_unregister_all_services()
    await strange.async_close()
    print(json.dumps([[one.name, one.web_address, one.grpc_addresses] for one in found]))

asyncio.run(main())
"""


def test_daemons_are_found_and_what_is_none_is_not() -> None:
    require_namespaces("-rn")
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        ["Attic", "192.168.7.4:8443", ["192.168.7.4:50051"]],
        ["kitchen", "192.168.7.3:8443", ["192.168.7.3:50051"]],
    ]


def test_without_a_network_it_is_one_line() -> None:
    require_namespaces("-rn")
    program = "import asyncio; from edged.client.discovery import discover; print(asyncio.run(discover(1)))"
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.splitlines()[-1].startswith("edged.errors.Unavailable: this network cannot be searched")


@pytest.mark.parametrize(
    ("told", "port"),
    [(b"1", 1), (b"65535", 65535), (b"0", 0), (b"65536", 0), (b"", 0), (None, 0), (b"-1", 0), (b"1" * 6, 0)],
)
def test_ports(told: bytes | None, port: int) -> None:
    assert _port(told) == port
