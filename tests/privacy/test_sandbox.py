"""Landlock for real: C code and Python code of a restricted process, against a listener that does answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from edged.privacy.sandbox import refuse_tcp
from tests.privacy.guarded import require_landlock, run_guarded

CONNECT_IN_C = """
import ctypes, errno, json, socket, struct, sys
from edged.privacy.sandbox import refuse_tcp
libc = ctypes.CDLL(None, use_errno=True)

def connect(port):
    # struct sockaddr_in in network order, past everything that Python could refuse.
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, bytes([127, 0, 0, 1]))
    descriptor = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    failed = libc.connect(descriptor, address, len(address)) != 0
    return errno.errorcode[ctypes.get_errno()] if failed else "connected"

port = int(sys.argv[1])
before = connect(port)
enforcement = refuse_tcp(bind_ports=[])
print(json.dumps([before, enforcement.active, connect(port)]))
"""

BIND = """
import json, socket, sys
from edged.privacy.sandbox import refuse_tcp
allowed, other = int(sys.argv[1]), int(sys.argv[2])
enforcement = refuse_tcp(bind_ports=[allowed])
def bind(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except PermissionError:
            return "refused"
        return "bound"
print(json.dumps([bind(allowed), bind(other), bind(0), enforcement.detail]))
"""

CONNECT = """
import json, socket, sys
from edged.privacy.sandbox import refuse_tcp
allowed, other = int(sys.argv[1]), int(sys.argv[2])
enforcement = refuse_tcp(bind_ports=[], connect_ports=[allowed])
def connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except PermissionError:
        return "refused"
    return "connected"
print(json.dumps([connect(allowed), connect(other), enforcement.detail]))
"""

UNIX_AND_THREADS = """
import json, socket, sys, threading
from edged.privacy.sandbox import refuse_tcp
refuse_tcp(bind_ports=[])
left, right = socket.socketpair()
left.sendall(b"x")
seen = []
def later():
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
        seen.append("connected")
    except PermissionError:
        seen.append("refused")
thread = threading.Thread(target=later)
thread.start()
thread.join()
print(json.dumps([right.recv(1).decode(), *seen]))
"""

TOO_LATE = """
import json, threading
from edged.privacy.sandbox import refuse_tcp
done = threading.Event()
thread = threading.Thread(target=done.wait)
thread.start()
enforcement = refuse_tcp(bind_ports=[])
done.set()
thread.join()
print(json.dumps([enforcement.active, enforcement.detail]))
"""


@pytest.fixture
def listening_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_c_code_connects_before_and_not_after(listening_port: int) -> None:
    require_landlock()
    assert json.loads(run_guarded(CONNECT_IN_C, str(listening_port))) == ["connected", True, "EACCES"]


def test_only_configured_ports_can_be_bound() -> None:
    require_landlock()
    allowed, other = free_port(), free_port()
    *results, detail = json.loads(run_guarded(BIND, str(allowed), str(other)))
    assert results == ["bound", "refused", "refused"]
    assert f"bind only on port {allowed}" in detail


def test_only_the_port_of_the_camera_can_be_reached(listening_port: int) -> None:
    require_landlock()
    with socket.create_server(("127.0.0.1", 0)) as other:
        said = run_guarded(CONNECT, str(listening_port), str(other.getsockname()[1]))
    *results, detail = json.loads(said)
    assert results == ["connected", "refused"]
    assert f"TCP connect only to port {listening_port} (camera.source)" in detail


def test_unix_sockets_stay_and_later_threads_are_bound_too(listening_port: int) -> None:
    require_landlock()
    assert json.loads(run_guarded(UNIX_AND_THREADS, str(listening_port))) == ["x", "refused"]


def test_threads_that_came_first_are_admitted() -> None:
    require_landlock()
    active, detail = json.loads(run_guarded(TOO_LATE))
    assert not active
    assert "1 threads were running and stay free" in detail


def test_a_kernel_without_it_is_reported_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    # A system call number that no kernel has answers as landlock_create_ruleset does where it is missing.
    monkeypatch.setattr("edged.privacy.sandbox._CREATE_RULESET", 100_000)
    enforcement = refuse_tcp(bind_ports=[50051])
    assert not enforcement.active
    assert "not available in this kernel: Function not implemented" in enforcement.detail
