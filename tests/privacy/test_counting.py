"""The network that counts: whatever is sent, in Python or C, by TCP, UDP or IPv6, is seen, and loopback is not."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from edged.errors import EdgedError
from edged.privacy import counting
from tests.e2e.program import require_namespaces

BEGIN = """
import ctypes, json, socket, struct, time
from edged.privacy.counting import counting

def python_tcp():
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(("192.0.2.9", 443))

def python_udp6():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("2001:db8:1::9", 53))

def c_udp():
    libc = ctypes.CDLL(None)
    sock = libc.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 4444) + socket.inet_aton("192.0.2.10") + bytes(8)
    assert libc.sendto(sock, b"x", 1, 0, address, len(address)) == 1

def loopback():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()

def sent(*ways):
    with counting() as way_out:
        for way in ways:
            way()
        time.sleep(1)
        return way_out.packets
"""


def counted(script: str) -> dict[str, int]:
    require_namespaces("-rn")
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-P", "-c", BEGIN + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_sent_is_counted_and_named() -> None:
    found = counted("print(json.dumps(sent(python_tcp, python_udp6, c_udp, loopback)))")
    assert found.keys() == {
        "TCP to 192.0.2.9 port 443",
        "UDP to 2001:db8:1::9 port 53",
        "UDP to 192.0.2.10 port 4444",
    }
    assert found["UDP to 192.0.2.10 port 4444"] == 1


def test_nothing_sent_is_nothing_counted() -> None:
    assert counted("print(json.dumps(sent(loopback)))") == {}


def test_a_counter_that_does_not_count_is_found_out() -> None:
    said = counted("""
        import edged.privacy.counting as module
        module._described = lambda frame: "something"
        try:
            sent()
        except Exception as exc:
            print(json.dumps(str(exc)))
    """)
    assert said == "a packet sent on purpose was not counted: nothing can be proved on this machine"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EdgedError, match="util-linux"):
        counting.in_namespace(["true"])
