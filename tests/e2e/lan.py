"""A network of three machines without a machine: namespaces with cables (veth) between them."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.program import SECONDS, require_namespaces

DAEMON_TO_PHONE, PHONE = "10.77.1.1", "10.77.1.2"
DAEMON_TO_STRANGER, STRANGER = "10.77.2.1", "10.77.2.2"


@dataclass(frozen=True)
class Machine:
    """One namespace, as long as its first process lives."""

    pid: int

    @property
    def prefix(self) -> tuple[str, ...]:
        """Before a command that is to run there."""
        return ("nsenter", "-t", str(self.pid), "-U", "--preserve-credentials", "-n")

    def run(self, *command: str, timeout: float = SECONDS) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def must(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(frozen=True)
class Lan:
    daemon: Machine
    phone: Machine
    stranger: Machine


@contextlib.contextmanager
def network() -> Iterator[Lan]:
    """The daemon's machine with a cable to the phone's and one to the stranger's. Skips where that is not permitted."""
    require_namespaces("-rn")
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(_machine(("unshare", "-rn")))
        phone, stranger = (stack.enter_context(_machine((*daemon.prefix, "unshare", "-n"))) for _ in range(2))
        daemon.must("ip", "link", "set", "lo", "up")
        _connect(daemon, DAEMON_TO_PHONE, "phone", phone, PHONE)
        _connect(daemon, DAEMON_TO_STRANGER, "stranger", stranger, STRANGER)
        yield Lan(daemon, phone, stranger)


@contextlib.contextmanager
def _machine(unshare: tuple[str, ...]) -> Iterator[Machine]:
    process = subprocess.Popen([*unshare, "sleep", "infinity"], stdin=subprocess.DEVNULL)
    try:
        for _ in range(500):  # until it has become what it was started as
            if Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n":
                break
            time.sleep(0.02)
        yield Machine(process.pid)
    finally:
        process.kill()
        process.wait()


def _connect(one: Machine, one_address: str, name: str, other: Machine, other_address: str) -> None:
    one.must("ip", "link", "add", name, "type", "veth", "peer", "name", "lan", "netns", str(other.pid))
    for machine, link, address in ((one, name, one_address), (other, "lan", other_address)):
        machine.must("ip", "address", "add", f"{address}/24", "dev", link)
        machine.must("ip", "link", "set", link, "up")
    other.must("ip", "link", "set", "lo", "up")
    other.must("ip", "route", "add", "default", "via", one_address)
