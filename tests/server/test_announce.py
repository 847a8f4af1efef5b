"""mDNS as others on the network hear it; in a namespace whose only network is loopback, so that nobody else does."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.e2e.program import require_namespaces

SCRIPT = """
import asyncio, json, sys
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf
from edged.server.announce import SERVICE, Announcer

async def main():
    name, addresses = sys.argv[1], ["192.168.7.3", "fe80::1%eth0"]
    announcer = Announcer(name=name, host="edged-1", addresses=addresses, grpc_port=50051, web_port=8443)
    other = Announcer(name=name, host="edged-2", addresses=["192.168.7.4"], grpc_port=50052, web_port=8444)
    is_heard = await announcer.start()
    listener, changes = AsyncZeroconf(), []
    seen = lambda zeroconf, service_type, name, state_change: changes.append((state_change.name, name))
    browser = AsyncServiceBrowser(listener.zeroconf, SERVICE, handlers=[seen])
    async with asyncio.timeout(45):
        while not changes:
            await asyncio.sleep(0.05)
        info = AsyncServiceInfo(SERVICE, changes[0][1])
        await info.async_request(listener.zeroconf, 5000)
        await other.start()
        while len(changes) < 2:
            await asyncio.sleep(0.05)
        await announcer.close()
        while len(changes) < 3:
            await asyncio.sleep(0.05)
    await announcer.close()
    await other.close()
    await browser.async_cancel()
    await listener.async_close()
    properties = {key.decode(): value.decode() for key, value in info.properties.items()}
    print(json.dumps([is_heard, changes, info.parsed_addresses(), info.port, info.server, properties]))

asyncio.run(main())
"""


def announced(name: str) -> list[object]:
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable, "-c", SCRIPT, name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_daemon_is_found_and_says_nothing_but_where_it_is() -> None:
    require_namespaces("-rn")
    is_heard, changes, addresses, port, host, properties = announced("kitchen.edge 厨房")
    first, second = "kitchen edge 厨房._edged._tcp.local.", "kitchen edge 厨房-2._edged._tcp.local."
    assert is_heard
    assert changes[:3] == [["Added", first], ["Added", second], ["Removed", first]]
    assert (addresses, port, host) == (["192.168.7.3"], 8443, "edged-1.local.")
    assert properties == {"grpc": "50051", "web": "8443", "v": "1"}


def test_a_name_too_long_for_dns_is_cut() -> None:
    require_namespaces("-rn")
    changes = announced("厨" * 40)[1]
    assert changes[0] == ["Added", "厨" * 20 + "._edged._tcp.local."]
