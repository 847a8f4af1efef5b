"""The audit hook for real, in a process without Landlock, and the switches of dependencies."""

from __future__ import annotations

import importlib.util
import json
import socket
from pathlib import Path

from edged.privacy import telemetry
from tests.privacy.guarded import run_guarded

ATTEMPTS = """
import json, socket, sys
from edged.privacy.audit import AuditHook
from edged.privacy.egress import Egress
hook = AuditHook(Egress(bind_ports=frozenset()))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp = socket.socket()
hook.install()
attempts = {
    "a datagram socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "a raw socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
    "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM),
    "a virtual machine's host": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "connect": lambda: tcp.connect(("192.0.2.1", 80)),
    "connect_ex": lambda: tcp.connect_ex(("192.0.2.1", 80)),
    "sendto": lambda: udp.sendto(b"x", ("192.0.2.1", 53)),
    "sendmsg": lambda: udp.sendmsg([b"x"], [], 0, ("192.0.2.1", 53)),
    "getaddrinfo": lambda: socket.getaddrinfo("secret-name.example", 80),
    "gethostbyname": lambda: socket.gethostbyname("secret-name.example"),
    "gethostbyname_ex": lambda: socket.gethostbyname_ex("secret-name.example"),
    "gethostbyaddr": lambda: socket.gethostbyaddr("192.0.2.1"),
    "getnameinfo": lambda: socket.getnameinfo(("192.0.2.1", 80), 0),
    "localhost by name": lambda: socket.create_connection(("localhost", 80)),
}
refused = []
for name, attempt in attempts.items():
    try:
        attempt()
    except PermissionError as exc:
        refused.append(name)
        assert "secret" not in str(exc) and "192" not in str(exc), str(exc)
fqdn = socket.getfqdn("secret-name.example")  # Libraries that catch OSError carry on.
print(json.dumps([refused == list(attempts), {one.call: one.count for one in hook.refusals}, fqdn]))
"""

ALLOWED = """
import asyncio, json, socket, sys
from edged.privacy.audit import AuditHook
from edged.privacy.egress import Egress
hook = AuditHook(Egress(bind_ports=frozenset()))
hook.install()
socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5).close()
left, right = socket.socketpair()
left.sendmsg([b"x"])
socket.getaddrinfo(None, 0)
async def loop(): await asyncio.sleep(0)
asyncio.run(loop())
print(json.dumps([right.recv(1).decode(), hook.refusals]))
"""

SEEING = """
import json, socket
from edged.privacy.audit import AuditHook
from edged.privacy.egress import Egress
hook = AuditHook(Egress(bind_ports=frozenset(), connect_to=frozenset({("192.0.2.1", 8081)})))
hook.install()
def attempt(host, port):
    with socket.socket() as sock:
        sock.setblocking(False)
        try:
            sock.connect((host, port))
        except PermissionError:
            return False
        except OSError:
            return True  # under way, or no way there from this machine
        return True
attempts = [attempt("192.0.2.1", 8081), attempt("192.0.2.1", 80), attempt("192.0.2.2", 8081)]
print(json.dumps([*attempts, hook.refusals[0].count]))
"""

ANNOUNCING = """
import json, socket
from edged.privacy.audit import AuditHook
from edged.privacy.egress import Egress
hook = AuditHook(Egress(bind_ports=frozenset(), announces=True))
hook.install()
def attempt(kind, port, address):
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    try:
        sock.sendto(b"x", address)
    except PermissionError:
        return False
    except OSError:
        return True  # no way there from this machine, which is not the hook's doing
    return True
mdns, dns = ("224.0.0.251", 5353), ("8.8.8.8", 53)
print(json.dumps([
    attempt(socket.SOCK_DGRAM, 5353, mdns), attempt(socket.SOCK_DGRAM, 5353, dns),
    attempt(socket.SOCK_DGRAM, 0, mdns), attempt(socket.SOCK_STREAM, 5353, mdns),
]))
"""

GUARD = """
import json, logging, os, sys
from edged.config import load_config
from edged.privacy.guard import put_in_force
import resource
guard = put_in_force(load_config())
import numpy, onnxruntime, grpc, socket
try:
    socket.create_connection(("192.0.2.1", 80))
except OSError:
    pass
status = guard.status()
print(json.dumps([
    {item.name: item.active for item in status.enforcements},
    status.refused_connections,
    [os.environ.get(name) for name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "https_proxy", "ALL_PROXY")],
    resource.getrlimit(resource.RLIMIT_CORE),
]))
"""

LATE = """
import sys
import numpy
from edged.config import load_config
from edged.privacy.guard import put_in_force
try:
    put_in_force(load_config())
except RuntimeError as exc:
    print(exc)
"""


ALWAYS = ("telemetry off", "no core files")
RESTRICTIONS = ("landlock", "landlock files", "seccomp", "audit hook")


def test_python_code_is_refused_and_counted_and_addresses_are_not_told() -> None:
    are_all_refused, counts, name = json.loads(run_guarded(ATTEMPTS))
    assert are_all_refused and name == "secret-name.example"
    looked_up = {"getaddrinfo": 2, "gethostbyname": 2, "gethostbyaddr": 2, "getnameinfo": 1}
    assert counts == {"socket": 4, "connect": 2, "sendto": 1, "sendmsg": 1, **looked_up}
    assert next(iter(counts)) == "socket", "the most frequent first"


def test_loopback_and_unix_sockets_work_as_before() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert json.loads(run_guarded(ALLOWED, str(listener.getsockname()[1]))) == ["x", []]


def test_announcing_is_mdns_and_nothing_else() -> None:
    assert json.loads(run_guarded(ANNOUNCING)) == [True, False, False, False]


def test_a_camera_on_the_lan_is_the_one_address_beside_loopback() -> None:
    assert json.loads(run_guarded(SEEING)) == [True, False, False, 2]


def test_the_guard_comes_first_and_reports() -> None:
    controls, refused, environ, core_limit = json.loads(
        run_guarded(GUARD, https_proxy="http://192.0.2.1:3128", ALL_PROXY="socks://192.0.2.1:1080")
    )
    assert list(controls) == [*ALWAYS, *RESTRICTIONS]
    assert controls["audit hook"]
    assert core_limit == [0, 0]
    assert refused == 1
    assert environ == ["1", "1", None, None]


def test_a_guard_that_comes_too_late_does_not_pretend() -> None:
    assert "must come before the import of numpy" in run_guarded(LATE)


def test_a_guard_switched_off_says_so() -> None:
    controls, refused, *_ = json.loads(
        run_guarded(GUARD.replace("192.0.2.1", "127.0.0.1"), EDGED_PRIVACY__SANDBOX="false")
    )
    assert controls == {**dict.fromkeys(ALWAYS, True), **dict.fromkeys(RESTRICTIONS, False)}
    assert refused == 0


def test_switches_overrule_what_was_set_before() -> None:
    environ = {"ORT_DISABLE_TELEMETRY": "0", "HTTPS_PROXY": "x", "grpc_proxy": "x", "OTHER": "kept"}
    telemetry.switch_off(environ)
    assert environ == {**telemetry.SWITCHES, "OTHER": "kept"}


def test_opencv_has_nothing_to_switch_off() -> None:
    """Names of what a library calls stand in it; without one of these nobody is reached."""
    spec = importlib.util.find_spec("cv2")
    assert spec is not None and spec.origin is not None
    (library,) = Path(spec.origin).parent.glob("cv2*.so")
    content = library.read_bytes()
    assert b"pthread_create" in content, "names of functions are not found this way"
    assert [name for name in (b"getaddrinfo", b"gethostbyname", b"sendto", b"curl_easy") if name in content] == []


def test_whoever_imports_onnx_runtime_through_us_has_its_telemetry_off() -> None:
    for package in ("edged.engine", "edged.speech", "edged.vision", "engines"):
        said = run_guarded(f"import os, {package}; print(os.environ.get('ORT_DISABLE_TELEMETRY'))")
        assert said == "1\n", package
