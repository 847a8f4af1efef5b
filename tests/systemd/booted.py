"""A Debian that systemd has booted in a container (nspawn), with the checkout's edged as a service of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.systemd.debian import SECONDS, require, run
from tests.tiny_artefact import tiny_artefact

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "systemd/edged.service"
PROGRAM = """#!/bin/sh
PYTHONPATH=/srv/edged:/srv/packages exec /usr/bin/python3 -m edged "$@"
"""
DROP_IN = """[Service]
Environment=EDGED_ENGINE__DEFAULT=tiny EDGED_ENGINES_DIR=/opt/engines EDGED_ENGINE__THREADS=1
"""
AS_SERVICE = {"EDGED_STATE_DIR": "/var/lib/edged", "EDGED_DAEMON__SOCKET": "/run/edged/edged.sock"}
OUTSIDE = """
link add out type veth peer name nowhere
link set nowhere up
link set out up
address add 198.51.100.2/24 dev out
neighbour add 198.51.100.1 lladdr 02:00:00:00:00:01 dev out
route add default via 198.51.100.1 dev out
"""
"""A way out of the container, at whose end nobody is (RFC 5737)."""


class Booted:
    """The system that runs, seen from outside."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.drop_ins = folder / "etc/systemd/system/edged.service.d"
        self._pid = str(pid)

    def run(self, *command: str) -> str:
        """What a command of its root says; it must end with 0."""
        environ = [f"{name}={value}" for name, value in AS_SERVICE.items()]
        return run("nsenter", "--target", self._pid, "--all", "env", *environ, *command)

    def restart(self) -> None:
        """The service, with the drop-ins as they are now."""
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "restart", "edged")

    def open_a_way_out(self) -> None:
        """With the host's ip: the container has none."""
        for arguments in OUTSIDE.strip().splitlines():
            run("nsenter", "--target", self._pid, "--net", "ip", *arguments.split())
        for name in ("out", "nowhere"):
            setting = f"net.ipv6.conf.{name}.disable_ipv6=1"
            run("nsenter", "--target", self._pid, "--net", "sysctl", "--quiet", "--write", setting)

    def packets_out(self) -> int:
        """How many have left since the way out is open."""
        lines = run("nsenter", "--target", self._pid, "--net", "cat", "/proc/net/dev").splitlines()
        return int(next(line for line in lines if "out:" in line).split()[10])


def install(folder: Path) -> None:
    """Unit, account and a program that is the checkout's, with an engine that answers at once."""
    python = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    if not (folder / python.relative_to("/")).exists():
        pytest.skip(f"that Debian has no {python.name}, for which the packages of this environment are made")
    for source, target in (("service", "systemd/system/edged.service"), ("sysusers", "sysusers.d/edged.conf")):
        shutil.copy(UNIT.with_suffix(f".{source}"), folder / "usr/lib" / target)
    (folder / "usr/bin/edged").write_text(PROGRAM)
    (folder / "usr/bin/edged").chmod(0o755)
    (folder / "etc/systemd/system/edged.service.d").mkdir(parents=True)
    (folder / "etc/systemd/system/edged.service.d/engine.conf").write_text(DROP_IN)
    (folder / "opt/engines").mkdir()
    tiny_artefact(folder / "opt/engines", "tiny")
    run("chmod", "-R", "a+rX", folder / "opt/engines")
    run("chroot", folder, "systemd-sysusers")


@contextmanager
def booted(folder: Path) -> Iterator[Booted]:
    """Until systemd has started everything it wants; powered off at the end of the block."""
    require("systemd-nspawn", "nsenter", "ip", "sysctl")
    log = folder.with_name("boot.log")
    with log.open("w") as output:
        # A container may neither attach programs to packets nor restrict itself unless it is allowed to.
        process = subprocess.Popen(
            [
                *("systemd-nspawn", "--directory", folder, "--boot", "--console=pipe", "--register=no", "--keep-unit"),
                *(f"--machine=edged-{os.getpid()}", "--private-network", "--capability=all"),
                "--system-call-filter=bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self",
                f"--bind-ro={ROOT}:/srv/edged",
                f"--bind-ro={Path(pytest.__file__).parents[1]}:/srv/packages",
            ],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            yield Booted(folder, _leader(process, log))
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(SECONDS)
            finally:
                process.kill()


def _leader(process: subprocess.Popen[bytes], log: Path) -> int:
    """The container's first process, once its system is up."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            command = ["nsenter", "--target", child, "--all", "systemctl", "is-system-running", "--wait"]
            state = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False).stdout.strip()
            if state in ("running", "degraded"):
                return int(child)
        time.sleep(0.5)
    raise AssertionError(log.read_text())
