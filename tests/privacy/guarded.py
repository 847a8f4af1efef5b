"""Runs a piece of Python in a process of its own: neither Landlock nor an audit hook can be taken off again."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from edged.privacy import sandbox


def run_guarded(script: str, *arguments: str, **environ: str) -> str:
    """What the script prints; it must end with 0."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script), *arguments],
        env={"HOME": "/nonexistent", "EDGED_STATE_DIR": "/nonexistent/state", "PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def require_landlock() -> None:
    """Skip where the kernel has no Landlock for the network."""
    try:
        abi = sandbox._syscall(sandbox._CREATE_RULESET, None, 0, sandbox._GET_VERSION)
    except OSError as exc:
        pytest.skip(f"Landlock is not in this kernel: {exc.strerror}")
    if abi < sandbox.NETWORK_ABI:
        pytest.skip(f"Landlock ABI {abi} of this kernel has no network rules (Linux 6.7 has)")
