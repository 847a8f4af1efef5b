"""A database written anew under another key, which takes the place of the old file in one step.

Killed at any moment, either the old file is there or the new one, each whole: the new one is written beside
the old and is durable before it is renamed.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from sqlcipher3 import dbapi2

from edged.errors import StoreError
from edged.store.database import connection_to, log_of, reported
from edged.trust.private_files import sync_directory

DRAFT_SECONDS = 60.0
"""A note takes milliseconds to write; a draft that is older was left by a process that was killed."""
_CHUNK_BYTES = 1024 * 1024
_PAGE_BYTES = 4096
_COMPANIONS = ("-journal", "-wal", "-shm")
"""What SQLite adds to the name of a database for the files that belong to it."""


def rewrite(path: Path, key: str | None, new_key: str) -> None:
    """Encrypt the database under the new key; nobody else may use it meanwhile.

    key: the one it has; None for a database that is not encrypted, whose bytes are overwritten at the end.
    Raises StoreError.
    """
    with reported(path):
        clear_leftovers(path)
        with connection_to(path, key) as connection:
            # Takes the log into the file. Fails while another process has it open.
            connection.execute("PRAGMA journal_mode = DELETE")
            copy_database(connection, draft_of(path), new_key)
        put_in_place(path, keep_until_wiped=key is None)


def copy_database(connection: dbapi2.Connection, target: Path, key: str) -> None:
    """Everything as it is at one moment into a new file, while others go on reading and writing; read again to check.

    Raises StoreError for what cannot be copied whole, and leaves no file then.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        connection.execute(f"ATTACH DATABASE ? AS copy KEY \"x'{key}'\"", (str(target),))
        connection.execute("PRAGMA copy.auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA copy.synchronous = FULL")
        connection.execute("BEGIN")
        connection.execute("SELECT sqlcipher_export('copy')").fetchone()
        counted = _rows(connection, "main")
        connection.execute("COMMIT")
        connection.execute("DETACH DATABASE copy")
        with connection_to(target, key) as copy:
            intact = copy.execute("PRAGMA quick_check").fetchone() == ("ok",)
            if not intact or _rows(copy, "main") != counted:
                raise StoreError(f"{target} is not what was copied: check the disk, then try again")
    except BaseException:
        remove_database(target)
        raise
    sync_directory(target.parent)


def put_in_place(path: Path, *, keep_until_wiped: bool = False) -> None:
    """The draft becomes the database. What stood there is overwritten on the disk if it must leave no trace.

    A log that a crash has left belongs to the old file, and goes with it: beside the new one it would be taken for
    the log of that.
    """
    old, log = _old(path), log_of(path)
    has_log = path.exists() and log.exists()
    if keep_until_wiped or has_log:
        old.hardlink_to(path)
    if has_log:
        sync_directory(path.parent)  # or the log could be aside while nothing says that it is
        log.replace(log_of(old))
        sync_directory(path.parent)
    remove_companions(path)
    draft_of(path).replace(path)
    sync_directory(path.parent)
    if keep_until_wiped:
        wipe(old)
    remove_database(old)


def clear_leftovers(path: Path) -> None:
    """Remove what a rewrite left that was killed; only for who holds the state directory.

    Notes that are being written stay: processes that start together write one each.
    """
    remove_database(draft_of(path))
    for draft in path.parent.glob(f".{path.name}.key.json.*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > DRAFT_SECONDS:
                draft.unlink()
    old = _old(path)
    if not old.exists():
        remove_companions(old)
    elif path.exists() and old.samefile(path):  # killed between two steps: it is the database still
        if log_of(old).exists():
            log_of(old).replace(log_of(path))
            sync_directory(path.parent)
        old.unlink()
    else:
        wipe(old)
        remove_companions(old)


def clear_journal(path: Path) -> None:
    """Remove what a change of modes left that was killed. The database is open in WAL mode, so it is of no use."""
    path.with_name(path.name + "-journal").unlink(missing_ok=True)


def draft_of(path: Path) -> Path:
    """Where the new database is written."""
    return path.with_name(path.name + ".new")


def remove_database(path: Path) -> None:
    """The file and what SQLite has put beside it."""
    path.unlink(missing_ok=True)
    remove_companions(path)


def remove_companions(path: Path) -> None:
    """What SQLite has put beside a database."""
    for suffix in _COMPANIONS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def wipe(path: Path) -> None:
    """Overwrite a file with zeros, then remove it. Flash media and copying file systems keep the old bytes a while."""
    with path.open("r+b") as stream:
        left = os.fstat(stream.fileno()).st_size
        while left > 0:
            left -= stream.write(bytes(min(left, _CHUNK_BYTES)))
        stream.flush()
        os.fsync(stream.fileno())
    path.unlink()
    sync_directory(path.parent)


def wipe_beginning(path: Path) -> None:
    """Overwrite the first page, then remove the file."""
    with path.open("r+b") as stream:
        stream.write(bytes(min(_PAGE_BYTES, os.fstat(stream.fileno()).st_size)))
        stream.flush()
        os.fsync(stream.fileno())
    path.unlink()
    sync_directory(path.parent)


def _old(path: Path) -> Path:
    return path.with_name(path.name + ".old")


def _rows(connection: dbapi2.Connection, schema: str) -> list[int]:
    """Of each table that people's words are in; of none that an older version has not made yet."""
    counts = []
    for table in ("conversations", "messages", "parts", "attachments", "speakers", "devices", "audit"):
        with contextlib.suppress(dbapi2.OperationalError):
            counts += connection.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone()  # noqa: S608  # named here
    return counts
