"""Files that nobody but this account may read: keys, and the certificates beside them."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from edged.errors import StoreError

MAX_BYTES = 64 * 1024
"""Longer ones are no key."""


def read_private(file: Path) -> bytes:
    """Raises StoreError where it is missing, another account's, or open to others."""
    with explained(file):
        # Not blocking: a pipe in its place would hold up the daemon.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(f"{file} is no file: move it away, then put back the one from a backup")
            require_private(file, status)
            return stream.read(MAX_BYTES)


def write_private(file: Path, data: bytes) -> None:
    """Create or replace it, whole or not at all; durable on return. Raises StoreError."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with explained(file):
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(file.parent)


def make_private_directory(directory: Path) -> None:
    """Create it with all above it, so that they are still there after a power cut. Raises OSError."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in missing:
        with contextlib.suppress(PermissionError):  # one that may be written to and not be read
            sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """What was created or renamed in it is still there after a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_private(path: Path, status: os.stat_result) -> None:
    """Raises StoreError where a file or folder is another account's, or open to others."""
    if status.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to another account: give it to the one that runs edged (chown)")
    if status.st_mode & 0o077:
        mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise StoreError(f"{path} is open to other accounts: `chmod {mode} {path}`, if nobody can have read it yet")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """OSError becomes a StoreError that names the file."""
    try:
        yield
    except FileNotFoundError as exc:
        raise StoreError(
            f"{path} is missing: put it back from a backup, or remove {path.parent} and pair all again"
        ) from exc
    except OSError as exc:
        raise StoreError(f"{path} cannot be used ({exc.strerror or exc}): see to its rights and to the disk") from exc
