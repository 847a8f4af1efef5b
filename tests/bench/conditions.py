"""What a figure was measured on and of."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from tests.docs import ROOT


def processor() -> str:
    """Its model name, or the architecture where the system does not say."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


def commit() -> str:
    """Of the working tree; ends in -dirty when that differs. Unknown where there is no repository, or no Git."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
