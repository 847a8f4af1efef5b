"""Checkpoints: GGUF files and Hugging Face folders, read into one description."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edged.errors import CheckpointError
from engines.tensor import Tensor

from .model import Checkpoint, Vocabulary
from .text_file import one_line

__all__ = ["Checkpoint", "Tensor", "Vocabulary", "checkpoint_sha256", "open_checkpoint"]


def open_checkpoint(path: Path) -> Checkpoint:
    """Read everything but the weights, which stay on disk. Raises CheckpointError in one line."""
    from . import gguf, safetensors

    _require(path)
    return safetensors.read_folder(path) if path.is_dir() else gguf.read_file(path)


def checkpoint_sha256(path: Path) -> str:
    """SHA-256 of the file; of a folder, of the list of its files' names and hashes. Raises CheckpointError."""
    _require(path)
    try:
        if path.is_dir():
            lines = [f"{_file_sha256(item)}  {item.name}\n" for item in sorted(path.iterdir()) if item.is_file()]
            return hashlib.sha256("".join(lines).encode()).hexdigest()
        return _file_sha256(path)
    except OSError as exc:
        raise CheckpointError(f"{path}: cannot be read: {exc.strerror}") from exc


def _require(path: Path) -> None:
    if not path.is_dir() and not path.is_file():
        raise CheckpointError(f"{path}: no such file or folder")
    if path.is_dir() and not (path / "config.json").exists():  # before everything in it is hashed
        named = ", ".join(one_line(item.name) for item in sorted(path.glob("*.gguf"))[:3])
        hint = f"; name one of its GGUF files instead: {named}" if named else ""
        raise CheckpointError(f"{path}: no config.json in the folder{hint}")


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
