"""The system-call filter for real: C code of a restricted process and of its children, and the filter's own tables."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from edged.privacy.egress import Egress
from edged.privacy.seccomp import INSPECTED, INSTALLER, REFUSED, filter_for, refuse_calls
from tests.privacy.guarded import run_guarded

HEADERS = (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h"))
"""Of the kernel (package linux-libc-dev), in the order of the tables; each is judged where it is installed."""

BEGIN = """
import ctypes, errno, json, os, platform, socket, struct, subprocess, sys, threading
from edged.privacy.egress import Egress
from edged.privacy.seccomp import INSPECTED, REFUSED, refuse_calls
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
place = ["x86_64", "aarch64"].index(platform.machine())
CLOSED = Egress(bind_ports=frozenset())
SERVING = Egress(bind_ports=frozenset({50051}))
ANNOUNCING = Egress(bind_ports=frozenset({50051}), announces=True)

def call(name, *arguments):
    # Past everything that Python could refuse.
    number = (REFUSED | INSPECTED)[name][place] if isinstance(name, str) else name
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        return errno.errorcode[ctypes.get_errno()]
    return result

def opened(family, kind, protocol=0):
    result = call("socket", family, kind, protocol)
    return result if isinstance(result, str) else "opened"

def restrict(egress):
    enforcement = refuse_calls(egress)
    assert enforcement.active, enforcement.detail
"""

SOCKETS = """
kinds = {
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM), "routes": (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "TCP": (socket.AF_INET, socket.SOCK_STREAM), "TCP by IPv6": (socket.AF_INET6, socket.SOCK_STREAM, 6),
    "UDP": (socket.AF_INET, socket.SOCK_DGRAM), "UDP by IPv6": (socket.AF_INET6, socket.SOCK_DGRAM, 17),
    "ping": (socket.AF_INET, socket.SOCK_DGRAM, 1), "raw": (socket.AF_INET, socket.SOCK_RAW, 255),
    "multipath TCP": (socket.AF_INET, socket.SOCK_STREAM, 262), "SCTP": (socket.AF_INET, socket.SOCK_STREAM, 132),
    "UDP-Lite": (socket.AF_INET, socket.SOCK_DGRAM, 136), "packets": (socket.AF_PACKET, socket.SOCK_RAW, 768),
    "host of a virtual machine": (socket.AF_VSOCK, socket.SOCK_STREAM), "Bluetooth": (31, socket.SOCK_SEQPACKET),
    "kernel's crypto": (socket.AF_ALG, socket.SOCK_SEQPACKET), "firewall": (socket.AF_NETLINK, socket.SOCK_RAW, 12),
}
restrict(globals()[sys.argv[1]])
print(json.dumps([name for name, kind in kinds.items() if opened(*kind) == "opened"]))
"""

CALLS = """
before = call("ptrace", 0, 0, 0, 0)
restrict(CLOSED)
print(json.dumps([before != "EPERM", {name: call(name, 0, 0, 0, 0, 0, 0) for name in REFUSED}]))
"""

PHONES_HOME = """
def address(port):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, bytes([127, 0, 0, 1]))

def udp(port):
    sock = call("socket", socket.AF_INET, socket.SOCK_DGRAM, 0)
    return sock if isinstance(sock, str) else call("sendto", sock, b"said", 4, 0, address(port), 16)

def fast_tcp(port):
    sock = call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    return call("sendto", sock, b"said", 4, 0x20000000, address(port), 16)  # MSG_FASTOPEN

udp_port, tcp_port = int(sys.argv[1]), int(sys.argv[2])
ways = lambda: [udp(udp_port), fast_tcp(tcp_port)]
before = ways()
late, told = threading.Event(), []
thread = threading.Thread(target=lambda: (late.wait(), told.extend(ways())))
thread.start()  # before the filter, which still binds it
restrict(SERVING)
late.set()
thread.join()
print(json.dumps([before, ways(), told]))
"""

INHERITED = """
restrict(SERVING)
program = sys.argv[1]
done = subprocess.run([program], capture_output=True, text=True, check=True)
print(json.dumps(done.stdout.split()))
"""
PROGRAM = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

static void tell(int result) { puts(result < 0 ? strerrorname_np(errno) : "done"); }

int main(void) {
    tell(socket(AF_INET, SOCK_DGRAM, 0));
    tell(socket(AF_INET, SOCK_STREAM, 0));
    tell(unshare(CLONE_NEWUSER));
    tell((int) ptrace(PTRACE_TRACEME, 0, 0, 0));
}
"""

STILL_WORKS = """
import asyncio, tempfile, time
restrict(CLOSED)
async def child():
    process = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", "print(6 * 7)", stdout=-1)
    return (await process.communicate())[0].decode().strip()
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
left, right = socket.socketpair()
left.sendmsg([b"x"])
print(json.dumps([asyncio.run(child()), right.recv(1).decode(), socket.if_nameindex()[0][1]]))
"""

EVADES = """
restrict(CLOSED)
x32 = 0x40000000
print(json.dumps([
    call(x32 + INSPECTED["socket"][place], socket.AF_INET, socket.SOCK_DGRAM, 0),
    call("clone", 0x10000000, 0, 0, 0, 0),  # CLONE_NEWUSER
    call(435, b"\\0" * 88, 88),  # clone3
    call("ioctl", 0, 0x5412, b"x"),  # TIOCSTI
    call("ioctl", 0, 0x7FFF00005412, b"x"),
]))
"""

MISSING = """
from edged.privacy import seccomp
seccomp.INSTALLER["seccomp"] = (100_000, 100_000)  # a number that no kernel has
enforcement = refuse_calls(CLOSED)
print(json.dumps([enforcement.active, enforcement.detail]))
"""


@pytest.mark.parametrize(
    ("egress", "sockets"),
    [
        ("CLOSED", ["unix", "routes"]),
        ("SERVING", ["unix", "routes", "TCP", "TCP by IPv6"]),
        ("ANNOUNCING", ["unix", "routes", "TCP", "TCP by IPv6", "UDP", "UDP by IPv6"]),
    ],
)
def test_only_configured_kinds_of_sockets_can_be_opened(egress: str, sockets: list[str]) -> None:
    assert json.loads(run_guarded(BEGIN + SOCKETS, egress)) == sockets


def test_refused_calls_fail_with_an_error_and_kill_nobody() -> None:
    was_free, after = json.loads(run_guarded(BEGIN + CALLS))
    assert was_free
    assert after == dict.fromkeys(REFUSED, "EPERM")


def test_c_code_sends_before_and_not_after_even_from_an_older_thread() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_server(("127.0.0.1", 0)) as tcp:
        udp.bind(("127.0.0.1", 0))
        ports = [str(sock.getsockname()[1]) for sock in (udp, tcp)]
        before, after, from_older_thread = json.loads(run_guarded(BEGIN + PHONES_HOME, *ports))
    assert before == [4, 4]
    assert after == from_older_thread == ["EACCES", "EACCES"]


def test_a_compiled_program_that_a_restricted_process_runs_is_bound_too(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    (tmp_path / "program.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-o", tmp_path / "program", tmp_path / "program.c"], check=True)
    said = json.loads(run_guarded(BEGIN + INHERITED, str(tmp_path / "program")))
    assert said == ["EACCES", "done", "EPERM", "EPERM"]


def test_what_a_daemon_needs_still_works() -> None:
    assert json.loads(run_guarded(BEGIN + STILL_WORKS)) == ["42", "x", "lo"]


def test_other_numbers_for_the_same_calls_lead_nowhere() -> None:
    x32, clone, clone3, typing, typing_in_disguise = json.loads(run_guarded(BEGIN + EVADES))
    assert (x32, clone, clone3) == ("ENOSYS", "EPERM", "ENOSYS")
    assert typing == typing_in_disguise == "EPERM"


@pytest.mark.parametrize("place", [place for place, header in enumerate(HEADERS) if header.exists()])
def test_the_numbers_are_those_of_the_kernels_headers(place: int) -> None:
    lines = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[place].read_text())
    known = {name: int(number) for name, number in lines}
    ours = {name: numbers[place] for name, numbers in (REFUSED | INSPECTED | INSTALLER).items()}
    assert ours == {name: known[name] for name in ours}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_filter_is_short_and_every_jump_stays_inside(machine: str) -> None:
    egress = Egress(bind_ports=frozenset({1}), announces=True)
    program = filter_for(machine, egress)
    assert len(program) < 4096  # BPF_MAXINSNS
    for position, (code, if_true, if_false, _) in enumerate(program):
        assert max(if_true, if_false) < 256
        if code & 7 == 5:  # a jump
            assert position + 1 + max(if_true, if_false) < len(program)


def test_a_kernel_without_it_is_reported_and_no_failure() -> None:
    active, detail = json.loads(run_guarded(BEGIN + MISSING))
    assert not active
    assert "not available in this kernel: Function not implemented" in detail


def test_another_machine_is_reported_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    enforcement = refuse_calls(Egress(bind_ports=frozenset()))
    assert not enforcement.active and "riscv64" in enforcement.detail
