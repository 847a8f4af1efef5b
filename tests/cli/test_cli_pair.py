"""Pairing at two terminals: `edged pair` on the daemon's machine, `edged join` on another."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.client.discovery import Found
from edged.records import Device, DeviceKind, Scope
from tests.cli.conftest import Edged
from tests.cli.lan_daemon import LanDaemon
from tests.e2e.program import EDGED, SECONDS, short_folder


@pytest.fixture
def lan(home: Path) -> Iterator[LanDaemon]:
    daemon = LanDaemon(home, home / "socket")
    yield daemon
    daemon.end()


@pytest.fixture
def desktop() -> Iterator[dict[str, str]]:
    """The environment of another machine."""
    with short_folder() as folder:
        yield {"HOME": str(folder), "PATH": os.environ["PATH"], "EDGED_STATE_DIR": str(folder / "state")}


def join(desktop: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*EDGED, "join", *arguments],
        env=desktop,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def elsewhere(desktop: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EDGED, *arguments],
        env=desktop,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def shown(joining: subprocess.Popen[str]) -> str:
    """What the other machine shows."""
    line = joining.stdout.readline()
    found = re.search(r"shows (\d{4}-\d{4}):", line)
    assert found, line + joining.stderr.read()
    return found[1]


def test_by_script_and_what_the_other_machine_may_then(lan: LanDaemon, edged: Edged, desktop: dict[str, str]) -> None:
    (line,) = edged("pair", "--json", "--scope", "history", "--person", "Anna", "--days", "30").stdout.splitlines()
    offer = json.loads(line)
    assert set(offer) == {"pairing_id", "code", "secret", "link", "fingerprint", "addresses", "expires_at"}
    assert offer["addresses"] == [lan.web_address] and re.fullmatch(r"\d{6}", offer["code"])
    with join(desktop, lan.web_address, "--code", offer["code"], "--name", "Desk", "--as", "kitchen") as joining:
        confirmed = edged("pair", "--confirm", shown(joining).replace("-", ""), "--json")
        assert joining.wait(SECONDS) == 0
        assert joining.stdout.read() == "Paired with kitchen; this machine may history.\n"
    device = json.loads(confirmed.stdout)
    assert (device["name"], device["kind"], device["person"]) == ("Desk", "program", "Anna")
    assert device["scopes"] == ["history"]
    assert 29 <= (datetime.fromisoformat(device["expires_at"]) - datetime.now(UTC)).days <= 30

    (known,) = json.loads(elsewhere(desktop, "daemons", "list", "--json").stdout)
    assert (known["name"], known["device_id"], known["scopes"]) == ("kitchen", device["id"], ["history"])
    desktop["EDGED_CLIENT__DAEMON"] = "kitchen"
    done = elsewhere(desktop, "devices", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("edged: this device lacks the scope admin") and done.stderr.count("\n") == 1
    assert edged("devices", "update", "Desk", "--scope", "admin").exit_code == 0
    assert "Desk" in elsewhere(desktop, "devices", "list").stdout
    assert edged("devices", "revoke", "Desk", "--yes").stdout == "Revoked Desk.\n"
    done = elsewhere(desktop, "devices", "list")
    assert (done.returncode, done.stderr) == (1, "edged: this device is not paired: pair it again\n")
    assert elsewhere(desktop, "daemons", "forget", "kitchen", "--yes").stdout == "Forgot kitchen.\n"
    assert elsewhere(desktop, "daemons", "list").stdout == "Paired with no daemon: `edged join` does.\n"


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, *command: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen([*EDGED, *command], stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.text = ""

    def until(self, pattern: str) -> re.Match[str]:
        while not (found := re.search(pattern, self.text)):
            try:
                self.text += os.read(self._ours, 4096).decode(errors="replace")
            except OSError:
                raise AssertionError(self.text) from None
        return found

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        code = self.process.wait(SECONDS)
        os.close(self._ours)
        return code


def test_at_two_terminals(lan: LanDaemon, desktop: dict[str, str]) -> None:
    operator = Terminal("pair")
    link = operator.until(r"link +(https://\S+)")[1]
    code = operator.until(r"code +(\d{3} \d{3}), for `edged join 127\.0\.0\.1:\d+`")[1]
    operator.until(r"fingerprint +([0-9A-F]{2}:){31}[0-9A-F]{2}")
    assert "\x1b[38;5;231;48;5;16m" in operator.text and "█" in operator.text
    with join(desktop, lan.web_address, "--code", code, "--name", "Stranger") as joining:
        assert shown(joining) == operator.until(r"Stranger \(program, 127\.0\.0\.1\) knows[^?]*show (\S+)\?")[1]
        operator.type("n\n")
        assert joining.wait(SECONDS) == 1
        assert joining.stderr.read() == "edged: the daemon's operator refused this device\n"
    with join(desktop, link, "--name", "Desk") as joining:
        assert shown(joining) == operator.until(r"Desk \(program[^?]*show (\S+)\?")[1]
        operator.type("y\n")
        assert joining.wait(SECONDS) == 0
    operator.until(r"Let in: Desk \([0-9a-f]+\) may chat, voice, history\.")
    assert operator.end() == 0
    (device,) = lan.devices.list()
    assert (device.name, device.kind) == ("Desk", DeviceKind.PROGRAM)


def test_a_device_that_shows_other_digits_is_told_of_at_once(
    lan: LanDaemon, edged: Edged, desktop: dict[str, str]
) -> None:
    offer = json.loads(edged("pair", "--json").stdout)
    with join(desktop, lan.web_address, "--code", offer["code"], "--name", "Desk") as joining:
        digits = shown(joining)
        mistaken = digits.translate(str.maketrans("0123456789", "1234567890"))
        confirming = [*EDGED, "pair", "--confirm", mistaken]
        with subprocess.Popen(confirming, stderr=subprocess.PIPE, text=True) as operator:
            said = operator.stderr.readline()
            assert said.startswith("edged: Desk (program, 127.0.0.1) shows other digits") and digits not in said
            assert edged("pair", "--confirm", digits).exit_code == 0
            assert operator.wait(SECONDS) == 1
            assert operator.stderr.read() == f"edged: no device that shows {mistaken} came: another did\n"
        assert joining.wait(SECONDS) == 0


def test_whoever_knows_the_code_is_let_in_with_yes(lan: LanDaemon, desktop: dict[str, str]) -> None:
    with subprocess.Popen([*EDGED, "pair", "--yes"], stdout=subprocess.PIPE, text=True) as operator:
        lines = iter(operator.stdout.readline, "")
        link = next(line.split()[1] for line in lines if line.startswith("link"))
        with join(desktop, link) as joining:
            assert joining.wait(SECONDS) == 0
        assert operator.wait(SECONDS) == 0
    assert len(lan.devices.devices) == 1


def test_who_leaves_the_pairing_closes_it(lan: LanDaemon, desktop: dict[str, str]) -> None:
    operator = Terminal("pair")
    link = operator.until(r"link +(https://\S+)")[1]
    operator.until("only where it has this fingerprint")
    time.sleep(0.5)  # until it watches
    operator.process.send_signal(signal.SIGINT)
    assert operator.end() == 130
    with join(desktop, link) as joining:
        assert joining.wait(SECONDS) == 1
        assert "no pairing is open" in joining.stderr.read()
    assert not lan.devices.devices


def test_who_joins_again_is_told_what_became_of_the_first_pairing(lan: LanDaemon, desktop: dict[str, str]) -> None:
    said = []
    for _ in range(2):
        with subprocess.Popen([*EDGED, "pair", "--yes"], stdout=subprocess.PIPE, text=True) as operator:
            link = next(line.split()[1] for line in iter(operator.stdout.readline, "") if line.startswith("link"))
            with join(desktop, link, "--as", "kitchen") as joining:
                assert joining.wait(SECONDS) == 0
                said.append(joining.stderr.read())
    first = min(lan.devices.list(), key=lambda device: device.created_at)
    assert "earlier pairing" not in said[0] and f"`edged devices revoke {first.id}` ends it" in said[1]


def test_a_daemon_that_is_not_on_the_lan(home: Path, edged: Edged) -> None:
    daemon = LanDaemon(home, home / "socket", lan=False)
    try:
        done = edged("pair", "--json")
    finally:
        daemon.end()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("edged: the daemon does not listen on the LAN: end it and start `edged serve --lan`")


def test_no_daemon(home: Path, edged: Edged) -> None:
    done = edged("pair", "--json")
    assert done.exit_code == 1 and "`edged serve` starts one" in done.stderr


def test_without_a_terminal_it_has_to_be_said_how(lan: LanDaemon, edged: Edged) -> None:
    assert edged("pair").exit_code == 2 and "--json" in edged("pair").stderr
    assert edged("pair", "--confirm", "123").exit_code == 2
    assert edged("pair", "--json", "--scope", "everything").exit_code == 2


def test_what_cannot_be_joined_is_one_line(lan: LanDaemon, edged: Edged, desktop: dict[str, str]) -> None:
    offer = json.loads(edged("pair", "--json").stdout)
    wrong = f"{(int(offer['code']) + 1) % 10**6:06d}"
    with join(desktop, lan.web_address, "--code", wrong) as joining:
        assert joining.wait(SECONDS) == 1
        assert joining.stderr.read() == "edged: the code is wrong: look at it again\n"
    done = elsewhere(desktop, "join", "--code", "12", "127.0.0.1:1")
    assert (done.returncode, done.stderr) == (1, "edged: the code of `edged pair` has six digits\n")
    done = elsewhere(desktop, "join", "127.0.0.1:1")
    assert done.returncode == 2 and "--code" in done.stderr
    done = elsewhere(desktop, "join", "127.0.0.1:1", "--code", "123456", "--as", "../x")
    assert done.returncode == 1 and "cannot name a daemon" in done.stderr


def test_a_daemon_in_this_network_is_picked(home: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Found(name=f"\x1b[31m{name}", addresses=("127.0.0.1",), web_port=1, grpc_port=2) for name in "ab"]

    async def discover(seconds: float) -> tuple[Found, ...]:
        return tuple(found)

    monkeypatch.setattr("edged.client.discovery.discover", discover)
    done = edged("join")
    assert done.stdout == "  1  [31ma  127.0.0.1:1\n  2  [31mb  127.0.0.1:1\n"
    assert done.exit_code == 2 and "name one of these addresses" in done.stderr
    found.clear()
    done = edged("join")
    assert done.exit_code == 1 and "name the address that `edged pair` shows" in done.stderr


def test_a_daemon_that_is_not_paired(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_CLIENT__DAEMON", "attic")
    for command in (["ask", "Hello"], ["status"], ["pair", "--json"], ["devices", "list"], ["mute"]):
        done = edged(*command)
        assert (done.exit_code, done.stdout) == (1, "")
        assert (
            done.stderr == "edged: no daemon named 'attic' is paired with this machine: `edged join` pairs with one\n"
        )


def test_devices(lan: LanDaemon, edged: Edged) -> None:
    assert edged("devices", "list").stdout == "No device is paired: `edged pair` lets one in.\n"
    assert edged("devices", "log").stdout == "Nothing happened yet.\n"
    for number, name in enumerate(["Phone", "Phone", "Desk"]):
        lan.devices.devices[f"d{number}"] = device(f"d{number}", name)
    done = edged("devices", "update", "Phone", "--name", "X")
    assert done.stderr == "edged: 2 devices are called 'Phone': name one by its ID (`edged devices list`)\n"
    done = edged("devices", "revoke", "Desc", "--yes")
    assert done.stderr == "edged: no device is called 'Desc' (did you mean \"Desk\"?)\n"
    done = edged("devices", "update", "d0", "--name", "Tablet", "--scope", "voice", "--scope", "chat", "--days", "3")
    assert re.fullmatch(r"Tablet \(d0\) may chat, voice until 20\d\d-\S+ \S+\n", done.stdout)
    assert edged("devices", "update", "d0", "--no-expiry", "--person", "Anna").stdout == (
        "Tablet (d0, Anna's) may chat, voice\n"
    )
    assert edged("devices", "update", "d0").exit_code == 2
    assert edged("devices", "update", "d0", "--days", "1", "--no-expiry").exit_code == 2
    asked = edged("devices", "revoke", "Desk")
    assert asked.exit_code == 2 and "--yes" in asked.stderr and "d2" in lan.devices.devices
    assert [one["id"] for one in json.loads(edged("devices", "list", "--json").stdout)] == ["d2", "d1", "d0"]
    assert edged("devices", "list").stdout.splitlines()[0].split()[:4] == ["NAME", "ID", "KIND", "PERSON"]


def test_a_key_for_a_program(lan: LanDaemon, edged: Edged) -> None:
    made = edged("devices", "key", "robot", "--person", "Anna", "--days", "9")
    shown = dict(re.split(" {2,}", line) for line in made.stdout.splitlines()[:-1])
    assert shown["base URL"] == f"https://{lan.web_address}/v1" and shown["or"] == "https://kitchen:8443/v1"
    assert shown["to trust"] == f"https://{lan.web_address}/ca.crt"
    assert "robot" in made.stdout.splitlines()[-1] and "may chat, voice until" in made.stdout
    digest = hashlib.sha256(shown["key"].encode()).digest()
    assert digest in lan.devices.credentials.values()
    whole = json.loads(edged("devices", "key", "robot", "--scope", "chat", "--json").stdout)
    assert whole["device"]["scopes"] == ["chat"] and whole["key"].startswith("edged-")
    assert edged("devices", "revoke", whole["device"]["id"], "--yes").exit_code == 0


def test_the_log_page_by_page(lan: LanDaemon, edged: Edged) -> None:
    for _ in range(5):
        edged("pair", "--json")
    assert edged("devices", "log").stdout.count("pairing opened") == 5
    assert len(json.loads(edged("devices", "log", "--limit", "3", "--json").stdout)) == 3


def device(device_id: str, name: str) -> Device:
    return Device(
        id=device_id,
        name=name,
        kind=DeviceKind.BROWSER,
        person="",
        scopes=frozenset({Scope.CHAT}),
        created_at=datetime.now(UTC),
    )
