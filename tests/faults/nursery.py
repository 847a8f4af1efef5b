"""Daemons by the hundred: everything is imported once, and each daemon is a fork of that.

A request is a line of JSON with environment variables; the answers are the daemon's process id and, when it has
ended, how. What edged.daemon.serve does beyond this (the guard) is not the matter here, and takes a second each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace


class Nursery:
    """The other end of it: starts one daemon at a time."""

    def __init__(self, library: Path) -> None:
        self._library = library

    async def __aenter__(self) -> Nursery:
        environ = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "LD_PRELOAD": str(self._library)}
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.nursery", stdin=pipe, stdout=pipe, env=environ
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()

    async def start(self, environ: dict[str, str]) -> int:
        """Process id of a new daemon."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(environ).encode() + b"\n")
        return int(await self._line())

    async def ended(self) -> int:
        """Exit code of the daemon, negative for a signal."""
        return int(await self._line())

    async def _line(self) -> bytes:
        assert self._process.stdout
        return await asyncio.wait_for(self._process.stdout.readline(), 60)


def daemon() -> int:
    """Serve by the environment; returns the exit code."""
    from edged.config import load_config
    from edged.daemon.life import live
    from edged.daemon.lifeline import Lifeline
    from edged.daemon.lock import sole_owner
    from edged.errors import EdgedError
    from tests.server.scripted import privacy

    config = load_config()
    try:
        with sole_owner(config.paths.state):
            asyncio.run(live(config, SimpleNamespace(status=privacy), Lifeline(None)))  # type: ignore[arg-type]
    except EdgedError as exc:
        print(f"edged: {exc.message}", file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001  # the end of this process
        traceback.print_exc()
        return 2
    return 0


def main() -> None:
    import tests.server.scripted  # noqa: F401

    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork has the thread that made it and no other"
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            os.environ.update(json.loads(line))
            log = os.open(os.environ["DAEMON_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 2)
            os._exit(daemon())
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
