"""A disk that fails on demand (disk.c), and what a power cut at any moment would have left on it.

What a disk promises is little: what was written before the last sync of its file is there, and a name is there once
its directory was synced. Of the rest, any part may be there or not, and a write may be there by half.
"""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HEAD = struct.Struct("<cQQI")
SECTOR = 512
"""Bytes that a disk writes whole or not at all."""
VOLATILE = "-shm"
"""SQLite maps files of this name and never syncs them."""


def compiled(folder: Path) -> Path:
    """The library to put into LD_PRELOAD."""
    library = folder / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@dataclass(frozen=True, slots=True)
class Operation:
    """One that took effect."""

    kind: str
    """O create, E open, d open a directory, W write, T truncate, S sync, U unlink, M mkdir, R rename, L link."""
    inode: int
    offset: int
    data: bytes
    end: int
    """Bytes of the log up to here."""

    @property
    def paths(self) -> list[str]:
        return self.data.decode().split("\0")[:-1]


def operations(log: Path) -> list[Operation]:
    """All of a log, oldest first."""
    return list(_operations(log.read_bytes()))


def _operations(log: bytes) -> Iterator[Operation]:
    at = 0
    while at < len(log):
        kind, inode, offset, size = HEAD.unpack_from(log, at)
        at += HEAD.size + size
        yield Operation(kind.decode(), inode, offset, log[at - size : at], at)


@dataclass(eq=False)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        for operation in self.unsynced:
            _apply(self.durable, operation, len(operation.data))
        self.unsynced.clear()


@dataclass
class Disk:
    """Replays a log; `cut` writes down what is left when the power goes."""

    syncs: bool = True
    """False: a disk that says it synced and did not."""
    _files: dict[int, _File] = field(default_factory=dict)
    _names: dict[str, _File] = field(default_factory=dict)
    _durable_names: dict[str, _File] = field(default_factory=dict)
    _unsynced_names: list[Operation] = field(default_factory=list)
    _directories: dict[int, str] = field(default_factory=dict)
    _made: dict[int, _File] = field(default_factory=dict)
    """By the operation that made them: the number of an inode is used again."""

    def do(self, operation: Operation) -> None:
        """The next operation of the log."""
        kind, inode = operation.kind, operation.inode
        if kind == "d":
            self._directories[inode] = operation.paths[0].rstrip("/")
        elif kind == "O":
            self._files[inode] = self._made[operation.end] = _File()
            self._directories.pop(inode, None)
            self._name(operation)
        elif kind in "ULMR":
            self._name(operation)
        elif kind == "E":
            self._files[inode] = self._names[operation.paths[0]]
        elif kind in "WT":
            self._files[inode].unsynced.append(operation)
        elif kind == "S" and self.syncs:
            if inode in self._directories:
                self._sync_directory(self._directories[inode])
            else:
                self._files[inode].sync()

    def cut(self, top: Path, folder: Path, dice: random.Random) -> None:
        """Write into `folder` what may be left of the directory `top`."""
        names = dict(self._durable_names)
        reached = dice.randint(0, len(self._unsynced_names))  # a journal keeps the order of names
        for operation in self._unsynced_names[:reached]:
            self._rename(names, operation)
        for name, file in names.items():
            if name.endswith(VOLATILE) or not _is_reachable(name, names, str(top)):
                continue
            target = folder / Path(name).relative_to(top)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if file is _DIRECTORY:
                target.mkdir(mode=0o700, exist_ok=True)
                continue
            target.touch(0o600)
            target.write_bytes(_left(file, dice))

    def _name(self, operation: Operation) -> None:
        self._rename(self._names, operation)
        self._unsynced_names.append(operation)

    def _rename(self, names: dict[str, _File], operation: Operation) -> None:
        one, *other = operation.paths
        if operation.kind == "O":
            names[one] = self._made[operation.end]
        elif operation.kind == "M":
            names[one] = _DIRECTORY
        elif operation.kind == "U":
            names.pop(one, None)
        elif operation.kind == "L":
            names[other[0]] = names[one]
        else:
            names[other[0]] = names.pop(one)

    def _sync_directory(self, directory: str) -> None:
        later = []
        for operation in self._unsynced_names:
            if any(str(Path(path).parent) == directory for path in operation.paths):
                self._rename(self._durable_names, operation)
            else:
                later.append(operation)
        self._unsynced_names = later


_DIRECTORY = _File()


def _is_reachable(name: str, names: dict[str, _File], top: str) -> bool:
    parents = [str(parent) for parent in Path(name).parents]
    return all(parent in names for parent in parents[: parents.index(top)])


def _left(file: _File, dice: random.Random) -> bytes:
    content = bytearray(file.durable)
    for operation in file.unsynced:
        if dice.random() < 0.5:
            sectors = -(-len(operation.data) // SECTOR)
            torn = dice.random() < 0.3
            _apply(content, operation, dice.randint(0, sectors) * SECTOR if torn else len(operation.data))
    return bytes(content)


def _apply(content: bytearray, operation: Operation, size: int) -> None:
    at = operation.offset
    if operation.kind == "T":
        del content[at:]
        content.extend(bytes(at - len(content)))
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(operation.data[:size])] = operation.data[:size]
