"""pulled.json: where a downloaded checkpoint comes from. Written by `pull`, read by `build`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.errors import CheckpointError

from .checkpoint.text_file import one_line, read_json

FILE_NAME = "pulled.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledFile:
    """One file as it was verified when it came."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What one `pull` brought."""

    repository: str
    """OWNER/NAME."""
    revision: str
    """As asked for, e.g. "main"."""
    commit: str
    """What the revision stood for: 40 hexadecimal digits."""
    license: str
    files: Mapping[str, PulledFile]

    def write(self, folder: Path) -> None:
        """Write pulled.json into the folder."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")

    @property
    def origin(self) -> str:
        """Repository and commit in one word."""
        return f"{self.repository}@{self.commit[:12]}"

    def is_whole(self, folder: Path) -> bool:
        """Whether every file is there with its size; `pull` compares the hashes."""
        paths = {folder / name: file.bytes for name, file in self.files.items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())

    def checkpoint(self, folder: Path) -> Path:
        """What to build from: the folder, or the one GGUF file in it."""
        gguf = [name for name in self.files if name.endswith(".gguf")]
        return folder / gguf[0] if gguf else folder


def read_pulled(folder: Path) -> Pulled | None:
    """What was pulled into the folder, None where nothing was.

    Raises CheckpointError when pulled.json is not what `pull` writes.
    """
    path = folder / FILE_NAME
    return _pulled(read_json(path), path) if path.is_file() else None


def origin_of(source: Path) -> Pulled | None:
    """The pull that a checkpoint (folder or GGUF file) came with, None for one that came some other way."""
    folder = source if source.is_dir() else source.parent
    pulled = read_pulled(folder)
    if pulled is None or not pulled.is_whole(folder) or pulled.checkpoint(folder) != source:
        return None
    return pulled


def _pulled(document: Mapping[str, object], path: Path) -> Pulled:
    match document:
        case {
            "repository": str(repository),
            "revision": str(revision),
            "commit": str(commit),
            "license": str(license_),
            "files": dict(files),
        } if all(text == one_line(text) for text in (repository, revision, commit, license_)):
            return Pulled(
                repository=repository,
                revision=revision,
                commit=commit,
                license=license_,
                files={name: _file(name, entry, path) for name, entry in files.items()},
            )
    raise CheckpointError(f"{path}: not as `pull` writes it: pull again")


def _file(name: str, entry: object, path: Path) -> PulledFile:
    match entry:
        case {"bytes": int(size), "sha256": str(sha256)} if Path(name).name == name:
            return PulledFile(bytes=size, sha256=sha256)
    raise CheckpointError(f"{path}: not as `pull` writes it: pull again")
