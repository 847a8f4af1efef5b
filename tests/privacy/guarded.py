"""Runs a piece of Python in a process of its own: neither Landlock nor an audit hook can be taken off again."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap

import pytest

from edged.privacy import sandbox


def run_guarded(script: str, *arguments: str, **environ: str) -> str:
    """What the script prints; it must end with 0. The guard makes the folders that it allows, so they are its own."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-P", "-c", textwrap.dedent(script), *arguments],
            env={"HOME": home, "EDGED_STATE_DIR": f"{home}/state", "PATH": "/usr/bin:/bin", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def require_landlock(wanted: int = sandbox.NETWORK_ABI) -> None:
    """Skip where the kernel has no Landlock, or an older version."""
    try:
        abi = sandbox._version()
    except OSError as exc:
        pytest.skip(f"Landlock is not in this kernel: {exc.strerror}")
    if abi < wanted:
        pytest.skip(f"Landlock ABI {abi} of this kernel is older than {wanted}")
