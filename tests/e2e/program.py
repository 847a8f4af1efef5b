"""The real program in processes of its own: a home for it, the daemon, and one-off commands."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edged.config import Config, load_config

EDGED = [sys.executable, "-P", "-m", "edged"]
SECONDS = 60
"""Far more than anything here takes; only a hang reaches it."""


@dataclass
class Home:
    """Directories and environment of one user's edged."""

    folder: Path
    engines: Path
    engine: str = "tiny"
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            "XDG_RUNTIME_DIR": str(self.folder),
            "EDGED_STATE_DIR": str(self.state),
            "EDGED_ENGINES_DIR": str(self.engines),
            "EDGED_ENGINE__DEFAULT": self.engine,
            "EDGED_ENGINE__THREADS": "1",
            "EDGED_ENGINE__KV_CACHE_MB": "16",
            "EDGED_STORE__KEY": "file",
            **self.extra,
        }

    @property
    def config(self) -> Config:
        return load_config(self.environ)

    @property
    def address(self) -> str:
        return f"unix:{self.config.socket_path}"

    def run(self, *arguments: str, prefix: tuple[str, ...] = (), **environ: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            [*prefix, *EDGED, *arguments],
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @contextlib.contextmanager
    def daemon(self, *options: str, prefix: tuple[str, ...] = (), **environ: str) -> Iterator[DaemonProcess]:
        """`edged serve`, serving; killed at the end of the block if it still runs."""
        process = DaemonProcess(self, environ, options, prefix)
        try:
            process.wait_until("READY=1")
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder whose name leaves room for a socket's (107 bytes), which pytest's do not."""
    with tempfile.TemporaryDirectory(prefix="edged-") as folder:
        yield Path(folder)


def require_namespaces(kind: str) -> None:
    """Skip where this user may not make namespaces ("-rn" for a network, "-rm" for mounts)."""
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed (package util-linux)")
    tried = subprocess.run(["unshare", kind, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"namespaces are not permitted here: {tried.stderr.strip()}")


class DaemonProcess:
    """A daemon whose notifications this side receives, as systemd would."""

    def __init__(
        self, home: Home, environ: dict[str, str], options: tuple[str, ...] = (), prefix: tuple[str, ...] = ()
    ) -> None:
        self.log = home.folder / "daemon.log"
        path = home.folder / "notify"
        path.unlink(missing_ok=True)
        self._supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._supervisor.bind(str(path))
        self._supervisor.settimeout(SECONDS)
        self.heard: list[str] = []
        """Notifications so far, oldest first."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *EDGED, "serve", *options],
                env={**home.environ, "NOTIFY_SOCKET": str(path), **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until(self, assignment: str) -> None:
        """Read notifications until this one, which may have been read already."""
        while assignment not in self.heard:
            self._supervisor.settimeout(0.2)
            try:
                self.heard += self._supervisor.recv(4096).decode().splitlines()
            except TimeoutError:
                assert self.process.poll() is None, self.log.read_text()

    def next_notification(self) -> str:
        """The first line of the next one."""
        self._supervisor.settimeout(SECONDS)
        return self._supervisor.recv(4096).decode().splitlines()[0]

    def notifications(self) -> list[str]:
        """What has come since the last look."""
        self._supervisor.setblocking(False)
        try:
            return self._supervisor.recv(4096).decode().splitlines()
        except BlockingIOError:
            return []

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Exit code."""
        return self.process.wait(SECONDS)

    def stop(self) -> None:
        """SIGTERM and a clean end."""
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.log.read_text()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._supervisor.close()
