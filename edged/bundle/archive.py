"""The file itself: a tar that is byte for byte what its signed manifest says.

manifest.json, manifest.sig and publisher.pem come first, the rest in the manifest's order. Nothing of the tar format
is interpreted on reading: headers and padding are computed from the manifest and compared, so that there is no byte in
the file that the signature does not stand for.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edged.bundle.manifest import MAX_BYTES, BundleManifest, parse_manifest
from edged.bundle.signature import check_signature, fingerprint
from edged.engine.manifest import FileEntry
from edged.errors import ArtefactError

HEAD = ("manifest.json", "manifest.sig", "publisher.pem")
PIECE = 1024 * 1024
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_SIGNATURE_BYTES = 64
_MAX_PEM = 1024

Progress = Callable[[int], None]
"""Told how many bytes were done since the last call."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle whose head is signed; its files are verified as they are read."""

    manifest: BundleManifest
    publisher: bytes
    """The public key, as PEM."""
    total_bytes: int

    @property
    def fingerprint(self) -> str:
        """Of the publisher's key."""
        return fingerprint(self.publisher)


def write_archive(target: BinaryIO, head: Mapping[str, bytes], sources: Mapping[str, Path], progress: Progress) -> None:
    """Write the head and the files by the names they have in the bundle."""
    for name in HEAD:
        target.write(_header(name, len(head[name])) + head[name] + _padding(len(head[name])))
    for name, source in sources.items():
        size = source.stat().st_size
        target.write(_header(name, size))
        with source.open("rb") as file:
            while piece := file.read(PIECE):
                target.write(piece)
                progress(len(piece))
        target.write(_padding(size))
    target.write(_END)


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, Verified]]:
    """The bundle behind its head, whose signature holds. Raises ArtefactError."""
    try:
        with path.open("rb") as file:
            limits = zip(HEAD, (MAX_BYTES, _SIGNATURE_BYTES, _MAX_PEM), strict=True)
            manifest, signature, publisher = (_head_file(path, file, name, most) for name, most in limits)
            check_signature(publisher, signature, manifest)
            yield file, Verified(parse_manifest(manifest), publisher, path.stat().st_size)
    except OSError as exc:
        raise ArtefactError(f"{path}: cannot be read: {exc.strerror or exc}") from exc


def read_files(file: BinaryIO, manifest: BundleManifest, folder: Path | None, progress: Progress) -> None:
    """Compare every byte that follows the head; with a folder, unpack the files into it.

    What is unpacked before a wrong byte is found stays: the folder is thrown away by who made it.
    Raises ArtefactError naming the file that is not what was signed.
    """
    for name, entry in manifest.files.items():
        header = _header(name, entry.bytes)
        if file.read(len(header)) != header:
            raise ArtefactError(f"{name}: its place in the bundle is not as it was signed: damaged or tampered with")
        with _target(folder, name) as target:
            _copy(file, target, name, entry, progress)
        if file.read(len(_padding(entry.bytes))) != _padding(entry.bytes):
            raise ArtefactError(f"{name}: bytes after it were changed: damaged or tampered with")
    if file.read(len(_END) + 1) != _END:
        raise ArtefactError("the end of the bundle is not as it was written: cut off, or something was added")


@contextmanager
def _target(folder: Path | None, name: str) -> Iterator[BinaryIO | None]:
    if folder is None:
        yield None
        return
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("xb") as target:
        yield target


def _copy(file: BinaryIO, target: BinaryIO | None, name: str, entry: FileEntry, progress: Progress) -> None:
    digest, left = hashlib.sha256(), entry.bytes
    while left:
        piece = file.read(min(PIECE, left))
        if not piece:
            raise ArtefactError(f"{name}: the bundle ends in it: it was not copied whole")
        digest.update(piece)
        if target:
            target.write(piece)
        left -= len(piece)
        progress(len(piece))
    if digest.hexdigest() != entry.sha256:
        raise ArtefactError(f"{name}: SHA-256 differs from what was signed: damaged or tampered with")


def _head_file(path: Path, file: BinaryIO, name: str, most: int) -> bytes:
    """The content of one of the first files, whose length only its header says."""
    header = file.read(_BLOCK)
    try:
        size = tarfile.TarInfo.frombuf(header, "utf-8", "strict").size
    except (tarfile.HeaderError, UnicodeDecodeError) as exc:
        raise ArtefactError(f"{path} is no bundle of edged, or its {name} is damaged") from exc
    if not 0 < size <= most or header != _header(name, size):
        raise ArtefactError(f"{path} is no bundle of edged, or its {name} was changed")
    data = file.read(size)
    if len(data) != size or file.read(len(_padding(size))) != _padding(size):
        raise ArtefactError(f"{path}: its {name} is damaged or cut off")
    return data


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
