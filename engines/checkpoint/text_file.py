"""Small files of a checkpoint folder: JSON and text."""

from __future__ import annotations

import json
from pathlib import Path

from edged.errors import CheckpointError

MAX_BYTES = 128 * 1024 * 1024
"""The largest such file is a tokenizer.json, of about 30 MB."""


def one_line(text: str) -> str:
    """What a checkpoint or its name says of itself, without what breaks lines or commands a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises CheckpointError when it cannot be read or is too large for its kind."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as exc:
        raise CheckpointError(f"{path.parent}: no {path.name} in the folder") from exc
    except OSError as exc:
        raise CheckpointError(f"{path}: cannot be read: {exc.strerror}") from exc
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"{path}: larger than {MAX_BYTES} bytes")
    return data


def read_json(path: Path) -> dict[str, object]:
    """The object in a file. Raises CheckpointError when there is no such file or no object in it."""
    try:
        document = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as exc:
        raise CheckpointError(f"{path}: not valid JSON: {str(exc)[:100]}") from exc
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: must hold an object")
    return document


def read_optional_json(path: Path) -> dict[str, object]:
    """The object in a file, or an empty one where there is no such file."""
    return read_json(path) if path.is_file() else {}
