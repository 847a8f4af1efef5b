"""The unit under a systemd that runs: it starts with every layer in force, and systemd alone stops what phones home."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.privacy.guarded import require_landlock
from tests.systemd.booted import Booted, booted, install
from tests.systemd.debian import bootstrap, require

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1500)]

PLANT = """
import socket

def attempt(kind, way):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.setblocking(False)
        try:
            way(sock)
        except BlockingIOError:
            return "under way"
        except OSError as exc:
            return exc.strerror
        return "sent"

udp = attempt(socket.SOCK_DGRAM, lambda sock: sock.sendto(b"said", ("192.0.2.9", 53)))
tcp = attempt(socket.SOCK_STREAM, lambda sock: sock.connect(("192.0.2.9", 443)))
print("plant:", udp, "|", tcp, flush=True)
"""
WITHOUT_OUR_OWN = """[Service]
Environment=EDGED_PRIVACY__SANDBOX=false
ExecStartPost=/usr/bin/python3 /opt/plant.py
"""
WITHOUT_SYSTEMDS = "IPAddressDeny=\nIPAddressAllow=\n"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    require("debootstrap", "systemd-nspawn")
    folder = bootstrap(tmp_path_factory.mktemp("booted") / "debian", "python3,systemd,systemd-sysv,dbus")
    install(folder)
    (folder / "opt/plant.py").write_text(PLANT)
    with booted(folder) as system:
        system.open_a_way_out()
        system.restart()
        yield system


def test_the_hardened_service_starts_answers_and_has_all_layers(system: Booted) -> None:
    require_landlock()
    assert system.run("systemctl", "is-active", "edged").strip() == "active"
    answer = json.loads(system.run("edged", "ask", "--json", "--max-tokens", "4", "Hello"))
    assert answer["usage"]["completion_tokens"] == 4
    told = json.loads(system.run("edged", "privacy", "report", "--json"))
    assert [item["name"] for item in told["enforcements"] if not item["active"]] == []
    assert told["store"]["encrypted"]


def test_the_service_is_held_to_what_doctor_computes(system: Booted) -> None:
    environ = ("EDGED_ENGINES_DIR=/opt/engines", "EDGED_ENGINE__DEFAULT=tiny")
    checks = json.loads(system.run("env", *environ, "sh", "-c", "edged doctor --json || true"))["checks"]
    (memory,) = (check["detail"] for check in checks if check["name"] == "memory")
    command = memory.rpartition("as a service: ")[2]
    system.run(*command.split())
    system.restart()
    limit = int(system.run("systemctl", "show", "--value", "--property=MemoryMax", "edged"))
    assert limit == int(command.rpartition("=")[2].removesuffix("M")) * 1024**2


@pytest.mark.parametrize("is_filtered", [True, False])
def test_systemd_alone_stops_what_phones_home(system: Booted, is_filtered: bool) -> None:
    """The plant runs in the service's control group, without our own layers; then without systemd's as well."""
    drop_in = system.drop_ins / "plant.conf"
    drop_in.write_text(WITHOUT_OUR_OWN + ("" if is_filtered else WITHOUT_SYSTEMDS))
    before = system.packets_out()
    try:
        system.restart()
        left = system.packets_out() - before
        said = system.run("journalctl", "--no-pager", "--unit", "edged", "--output", "cat", "--grep", "plant:")
    finally:
        drop_in.unlink()
    attempts = said.splitlines()[-1]
    if is_filtered:
        assert left == 0 and attempts == "plant: Operation not permitted | under way"
    else:
        assert left == 2 and attempts == "plant: sent | under way"
