"""compose.yaml as data, and as what a container engine makes of it: mounts in the folder of an image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parents[2] / "compose.yaml"


def compose(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The whole file, with what its services share filled in, and what the shell's variables say."""
    given = environ or {}
    text = re.sub(
        r"\$\{(\w+):-([^}]*)\}", lambda match: given.get(match[1]) or match[2], FILE.read_text(encoding="utf-8")
    )
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def mounting(service: dict[str, Any], root: Path, host: Path) -> str:
    """A script that mounts into an image's root what the service asks for, from folders made below `host`."""
    user = service["user"]
    lines = [f"mount --bind {root} {root}", f"mount -t proc proc {root}/proc"]
    for place in service["tmpfs"]:
        target, _, options = place.partition(":")
        (root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
        lines.append(f"mount -t tmpfs -o {options} tmpfs {root}{target}")
    for volume in service["volumes"]:
        source, target, *mode = volume.split(":")
        for folder in (host / source, root / target.lstrip("/")):  # an engine makes both where they are missing
            folder.mkdir(parents=True, exist_ok=True)
        lines += [f"chown {user} {host / source}", f"mount --bind {host / source} {root}{target}"]
        if "ro" in mode:
            lines.append(f"mount -o remount,bind,ro {root}{target}")
    if service["read_only"]:
        lines.append(f"mount -o remount,bind,ro {root}")
    return "\n".join(["set -e", "ip link set lo up", *lines, 'exec "$@"'])
