"""manifest.json of a bundle: what it holds and what it asks of a machine."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from edged.engine.manifest import FileEntry, is_engine_name
from edged.engine.strict_json import refuse_constant, typed, unique_keys
from edged.errors import ArtefactError

FORMAT = 1
MAX_BYTES = 4 * 1024 * 1024
"""Of the manifest itself."""
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*([a-z]+[0-9]+)?(\.(dev|post)[0-9]+)?")
_PYTHON = re.compile(r"3\.[0-9]{1,2}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EXTRA = re.compile(r"[a-z]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A plan among the engines, which only one kind of GPU can run."""

    engine: str
    target: str
    """Compute capability, e.g. "sm89"."""
    builder: str
    """Module and version that run it, e.g. "tensorrt_rtx 1.7.1.116"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleManifest:
    """The schema of manifest.json."""

    format: int = FORMAT
    version: str
    """Of edged."""
    machine: str
    """As `uname -m` prints it: "x86_64" or "aarch64"."""
    python: str
    """The version that the wheels are for, e.g. "3.12"."""
    glibc: str
    """The oldest C library that the wheels run with, e.g. "2.28"."""
    extras: tuple[str, ...]
    engines: tuple[str, ...]
    plans: tuple[Compiled, ...]
    schema: int
    """Of the database: the newest that its edged can read, and the one that it brings older ones to."""
    installed_bytes: int
    """Once it is unpacked."""
    created_at: str
    """UTC, ISO 8601."""
    files: Mapping[str, FileEntry]
    """Every other file of the bundle, in the order in which they lie in it."""

    def to_bytes(self) -> bytes:
        """As it is signed."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False).encode() + b"\n"

    @property
    def name(self) -> str:
        """What distinguishes it: version, time, and what it is for."""
        moment = re.sub(r"[^0-9]", "", self.created_at)[:14]
        return f"{self.version}-{moment}-{self.machine}-py{self.python}"


def parse_manifest(data: bytes) -> BundleManifest:
    """Raises ArtefactError naming the key at fault."""
    try:
        document = json.loads(data, object_pairs_hook=unique_keys, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise ArtefactError(f"manifest.json of the bundle: not valid JSON: {str(exc)[:200]}") from exc
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtefactError(f"manifest.json of the bundle: not of format {FORMAT}, which this edged reads")
    manifest = typed(BundleManifest, document, "manifest.json of the bundle: ")
    assert isinstance(manifest, BundleManifest)
    _check(manifest)
    return manifest


def _check(manifest: BundleManifest) -> None:
    def require(key: str, holds: bool) -> None:
        if not holds:
            raise ArtefactError(f"manifest.json of the bundle: {key} is out of range")

    require("version", _VERSION.fullmatch(manifest.version) is not None)
    require("machine", manifest.machine in ("x86_64", "aarch64"))
    require("python", _PYTHON.fullmatch(manifest.python) is not None)
    require("glibc", re.fullmatch(r"2\.[0-9]{1,3}", manifest.glibc) is not None)
    require("extras", all(_EXTRA.fullmatch(extra) for extra in manifest.extras))
    require("engines", all(is_engine_name(engine) for engine in manifest.engines))
    require("created_at", re.fullmatch(r"[0-9T:+-]{19,25}", manifest.created_at) is not None)
    require("schema", 0 < manifest.schema < 2**16)
    require("installed_bytes", 0 < manifest.installed_bytes < 2**50)
    for name, entry in manifest.files.items():
        path = PurePosixPath(name)
        inside = str(path) == name and not path.is_absolute() and ".." not in path.parts and name != "."
        require(f"files.{name[:60]!a}", inside and name.isascii() and name.isprintable() and len(name) <= 200)
        require(f"files.{name[:60]}", _SHA256.fullmatch(entry.sha256) is not None and 0 <= entry.bytes < 2**40)
