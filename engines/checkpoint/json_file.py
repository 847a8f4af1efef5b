"""JSON files of a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path

from edged.errors import CheckpointError


def read_json(path: Path) -> dict[str, object]:
    """The object in a file. Raises CheckpointError when there is no such file or no object in it."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as exc:
        raise CheckpointError(f"{path.parent}: no {path.name} in the folder") from exc
    except OSError as exc:
        raise CheckpointError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise CheckpointError(f"{path}: not valid JSON: {str(exc)[:100]}") from exc
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: must hold an object")
    return document


def read_optional_json(path: Path) -> dict[str, object]:
    """The object in a file, or an empty one where there is no such file."""
    return read_json(path) if path.is_file() else {}
