"""The daemon, a phone and a stranger on a network of their own (namespaces), by the commands that people type."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.lan import DAEMON_TO_PHONE, DAEMON_TO_STRANGER, Lan, Machine, network
from tests.e2e.program import EDGED, SECONDS, DaemonProcess, Home, short_folder

SCAN = """
import socket, sys
found = []
for port in range(1, 65536):
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((sys.argv[1], port)) == 0:
            found.append(port)
print(found)
"""
TALK = """
import socket, ssl, sys
host, port, low, high, certificate = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:]
hello = b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes(3) + b"\\x04" + bytes(5)
try:
    with socket.create_connection((host, port), 5) as sock:
        if low != "plain":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version, context.maximum_version = ssl.TLSVersion[low], ssl.TLSVersion[high]
            context.set_alpn_protocols(["h2"])
            if certificate:
                context.load_cert_chain(certificate[0])
            sock = context.wrap_socket(sock)
        sock.settimeout(5)
        sock.sendall(hello)
        print(len(sock.recv(64)))
except OSError:
    print(0)
"""
"""How many bytes come back to the beginning of HTTP/2."""
PROGRAM = """
import ssl, sys
import httpx2, openai
address, key, certificate = sys.argv[1:]
over_tls = httpx2.Client(verify=ssl.create_default_context(cadata=bytes.fromhex(certificate)))
client = openai.OpenAI(base_url=f"https://{address}/v1", api_key=key, max_retries=0, http_client=over_tls)
try:
    hello = [{"role": "user", "content": "Hello"}]
    answer = client.chat.completions.create(model="tiny", messages=hello, max_tokens=4)
    print(answer.usage.completion_tokens)
except openai.APIStatusError as exc:
    print(exc.status_code)
"""
"""What OpenAI's client is answered, or the status that refuses it."""
GUESS = """
import asyncio, sys
from edged.client.pairing import pair
from edged.errors import EdgedError

async def main():
    seen = set()
    for number in range(int(sys.argv[2])):
        try:
            async for _ in pair(address=sys.argv[1], code=f"{number:06d}", device_name="guess"):
                seen.add("LET IN")
        except EdgedError as exc:
            seen.add(exc.reason)
    print(sorted(seen))

asyncio.run(main())
"""


@pytest.fixture
def lan() -> Iterator[Lan]:
    with network() as lan:
        yield lan


@dataclass
class Phone:
    """Another machine's edged, which computes nothing."""

    home: Home
    machine: Machine

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.home.run(*arguments, prefix=self.machine.prefix, **environ)

    def join(self, operator: Home, *options: str) -> str:
        """Pair, with the operator's word; the id of the device."""
        offer = json.loads(operator.run("pair", "--json", *options).stdout)
        with subprocess.Popen(
            [*self.machine.prefix, *EDGED, "join", f"{DAEMON_TO_PHONE}:8443", "--code", offer["code"], "--as", "home"],
            env=self.home.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as joining:
            assert joining.stdout
            shown = re.search(r"\d{4}-\d{4}", joining.stdout.readline())
            assert shown
            said = operator.run("pair", "--confirm", shown[0], "--json")
            assert said.returncode == 0, said.stderr
            rest = joining.stdout.read()
            assert joining.wait(SECONDS) == 0, rest
        return str(json.loads(said.stdout)["id"])

    def ask(self, text: str = "Hello") -> subprocess.CompletedProcess[str]:
        return self.run("ask", "--json", "--max-tokens", "4", text, EDGED_CLIENT__DAEMON="home")


@contextmanager
def paired_phone(home: Home, lan: Lan) -> Iterator[tuple[Phone, DaemonProcess]]:
    with short_folder() as folder, home.daemon("--lan", prefix=lan.daemon.prefix) as daemon:
        yield Phone(Home(folder, folder / "none"), lan.phone), daemon


def script(machine: Machine, text: str, *arguments: str) -> str:
    return machine.must(sys.executable, "-P", "-c", text, *arguments).strip()


def test_a_stranger_finds_no_port_but_those_that_were_asked_for(home: Home, lan: Lan) -> None:
    with home.daemon(prefix=lan.daemon.prefix):
        assert script(lan.stranger, SCAN, DAEMON_TO_STRANGER) == "[]"
    with home.daemon("--lan", prefix=lan.daemon.prefix):
        assert script(lan.stranger, SCAN, DAEMON_TO_STRANGER) == "[8443, 50051]"


def test_a_phone_is_paired_asks_and_is_revoked(home: Home, lan: Lan) -> None:
    with paired_phone(home, lan) as (phone, daemon):
        device = phone.join(home, "--scope", "chat", "--scope", "history")
        answer = phone.ask()
        assert answer.returncode == 0, answer.stderr
        mine = json.loads(answer.stdout)["conversation_id"]
        others = json.loads(home.run("ask", "--json", "--max-tokens", "4", "Hello").stdout)["conversation_id"]
        listed = phone.run("conversations", "list", "--json", EDGED_CLIENT__DAEMON="home").stdout
        assert mine in listed and others not in listed
        not_mine = phone.run("conversations", "show", others, EDGED_CLIENT__DAEMON="home")
        assert not_mine.returncode == 1 and "no conversation" in not_mine.stderr
        refused = phone.run("devices", "list", EDGED_CLIENT__DAEMON="home")
        assert refused.returncode == 1 and "scope admin" in refused.stderr

        assert home.run("devices", "revoke", device, "--yes").returncode == 0
        after = phone.ask()
        assert after.returncode == 1 and len(after.stderr.splitlines()) == 1 and "pair" in after.stderr
        log = home.run("devices", "log").stdout
        assert "paired" in log and "revoked" in log and DAEMON_TO_PHONE.rpartition(".")[0] in log
        assert "Handshake" not in daemon.log.read_text()


def test_a_program_asks_over_http_with_a_key_of_its_own(home: Home, lan: Lan) -> None:
    with home.daemon("--lan", prefix=lan.daemon.prefix, EDGED_HTTP__LAN="true") as daemon:
        made = json.loads(home.run("devices", "key", "robot", "--json").stdout)
        certificate = next((home.state / "trust").rglob("ca.crt")).read_bytes()
        trusted = x509.load_pem_x509_certificate(certificate).public_bytes(serialization.Encoding.DER).hex()
        address = f"{DAEMON_TO_PHONE}:8443"
        assert address in made["addresses"]
        assert script(lan.phone, PROGRAM, address, made["key"], trusted) == "4"
        assert script(lan.phone, PROGRAM, address, "EMPTY", trusted) == "401"
        assert "robot" in home.run("devices", "list").stdout
        assert home.run("devices", "revoke", "robot", "--yes").returncode == 0
        assert script(lan.phone, PROGRAM, address, made["key"], trusted) == "401"
        files = [file for file in home.folder.rglob("*") if file.is_file()]
        assert daemon.log in files and not any(made["key"].encode() in file.read_bytes() for file in files)


def test_without_a_certificate_of_this_daemon_there_is_no_grpc(home: Home, lan: Lan, tmp_path: Path) -> None:
    with paired_phone(home, lan) as (phone, _):
        phone.join(home)
        ours = next((phone.home.folder).rglob("identity.pem"))
        own, expired = tmp_path / "own.pem", tmp_path / "expired.pem"
        own.write_bytes(made_by(None, timedelta(days=1)))
        expired.write_bytes(made_by(home.state / "trust", timedelta(hours=-1)))

        def bytes_back(machine: Machine, host: str, port: int, *how: str) -> int:
            return int(script(machine, TALK, host, str(port), *how))

        grpc = (lan.stranger, DAEMON_TO_STRANGER, 50051)
        for versions in (("TLSv1_2", "TLSv1_2"), ("TLSv1_3", "TLSv1_3")):
            assert bytes_back(*grpc, *versions) == 0
            assert bytes_back(*grpc, *versions, str(own)) == 0
            assert bytes_back(*grpc, *versions, str(expired)) == 0
            assert bytes_back(lan.phone, DAEMON_TO_PHONE, 50051, *versions, str(ours)) > 0
        assert bytes_back(*grpc, "plain", "") == 0
        web = (lan.stranger, DAEMON_TO_STRANGER, 8443)
        assert bytes_back(*web, "TLSv1_2", "TLSv1_2") == 0
        plain = lan.stranger.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{web[1]}:8443/")
        assert plain.stdout == "000"
        page = lan.stranger.must("curl", "-sk", f"https://{DAEMON_TO_STRANGER}:8443/")
        assert "<html" in page  # the app itself is nobody's secret


@pytest.mark.slow
def test_hundreds_of_wrong_codes_let_nobody_in(home: Home, lan: Lan) -> None:
    with paired_phone(home, lan) as (phone, daemon):
        offer = json.loads(home.run("pair", "--json").stdout)
        before = memory_of(daemon)
        seen = script(
            lan.stranger,
            GUESS.replace("{number:06d}", "{(number + 1) % 10**6:06d}"),
            f"{DAEMON_TO_STRANGER}:8443",
            "300",
        )
        assert "LET IN" not in seen and "PAIRING_LOCKED" in seen
        assert memory_of(daemon) - before < 20_000_000
        late = phone.run("join", f"{DAEMON_TO_PHONE}:8443", "--code", offer["code"], "--as", "home")
        assert late.returncode == 1 and "link" in late.stderr  # the right code is dead, too
        assert phone.ask().returncode == 1
        assert "locked out" in home.run("devices", "log").stdout
        assert phone.join(home)  # the operator opens another one


def memory_of(daemon: DaemonProcess) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]


def made_by(trust: Path | None, lifetime: timedelta) -> bytes:
    """A certificate of a client and its key, by that authority or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "d1")])
    issuer, signer = name, key
    if trust:
        issuer = x509.load_pem_x509_certificate((trust / "ca.crt").read_bytes()).subject
        loaded = serialization.load_pem_private_key((trust / "ca.key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer = loaded
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + lifetime)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(pem)
