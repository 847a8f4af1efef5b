"""`edged ask` without a network: it works, and nothing is even tried."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.e2e.program import EDGED, Home, require_namespaces

ASK = ("ask", "--json", "--max-tokens", "4", "hello")
COUNTED = """
ip link set lo up && ip route add default dev lo && "$@" && awk '/lo:/ {print "packets", $3}' /proc/net/dev
"""
"""Every packet that anything tries to send, wherever it is meant to go, is routed to the loopback and counted there."""
SEND = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))"


def require_ip() -> None:
    if not shutil.which("ip"):
        pytest.skip("ip is not installed (package iproute2)")


def test_ask_works_with_even_loopback_down(home: Home) -> None:
    require_namespaces("-rn")
    done = home.run(*ASK, prefix=("unshare", "-rn"))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["text"]
    assert answer["finish_reason"] == "length"


def test_ask_sends_no_packet_at_all(home: Home) -> None:
    require_namespaces("-rn")
    require_ip()
    done = home.run(*ASK, prefix=("unshare", "-rn", "sh", "-c", COUNTED, "sh"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "packets 0"


def test_the_count_would_show_one(home: Home) -> None:
    require_namespaces("-rn")
    require_ip()
    command = ["unshare", "-rn", "sh", "-c", COUNTED, "sh", "python3", "-c", SEND]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "packets 1\n"


@pytest.mark.system
def test_ask_in_a_namespace_of_the_administrator(home: Home) -> None:
    """As `ip netns` sets it up: loopback is down, and root stays root."""
    require_ip()
    if os.getuid():
        pytest.skip("needs root")
    name = f"edged-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        done = subprocess.run(
            ["ip", "netns", "exec", name, *EDGED, *ASK], env=home.environ, capture_output=True, text=True, check=False
        )
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finish_reason"] == "length"
