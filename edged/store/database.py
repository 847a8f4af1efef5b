"""The encrypted SQLite file: how it is opened, written to, and cleared of what was deleted."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import sqlite_utils
from sqlcipher3 import dbapi2

from edged.errors import EdgedError, StoreError, StoreFull
from edged.trust.private_files import make_private_directory, sync_directory

log = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
"""How long a call waits for another process that is writing."""
IN_MEMORY = Path(":memory:")
"""Instead of a file: what is stored goes with the process."""
_PLAIN_HEADER = b"SQLite format 3\0"
OpenedFiles = tuple[tuple[Path, os.stat_result], ...]
"""Paths, and what lay there when they were opened."""


def open_database(path: Path, key: str | None) -> sqlite_utils.Database:
    """Open or create the database; the file is readable by its owner only.

    key: 64 hexadecimal digits, used as they are; None leaves the file unencrypted.
    Raises StoreError, with what to do about it.
    """
    with reported(path):
        if path != IN_MEMORY:
            _prepare_file(path)
        connection = dbapi2.connect(str(path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _configure(connection, key)
            return sqlite_utils.Database(connection, execute_plugins=False)
        except BaseException:
            connection.close()
            raise


@contextlib.contextmanager
def connection_to(path: Path, key: str | None) -> Iterator[dbapi2.Connection]:
    """A connection to a database that exists, for the length of the block; nothing about the file is changed.

    Raises what SQLite raises, a wrong key among it.
    """
    connection = dbapi2.connect(
        f"{path.absolute().as_uri()}?mode=rw", timeout=BUSY_SECONDS, isolation_level=None, uri=True
    )
    try:
        _unlock(connection, key)
        yield connection
    finally:
        connection.close()


def opens(path: Path, key: str) -> bool:
    """Whether this is the key of the database. Raises what SQLite raises for a file that cannot be read."""
    try:
        with connection_to(path, key):
            return True
    except dbapi2.DatabaseError as exc:
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF == dbapi2.SQLITE_NOTADB:
            return False
        raise


def is_plain(path: Path) -> bool:
    """Whether the file is a database that is not encrypted. For files that this process has not opened."""
    with path.open("rb") as stream:
        return stream.read(len(_PLAIN_HEADER)) == _PLAIN_HEADER


def _unlock(connection: dbapi2.Connection, key: str | None) -> int:
    """How many tables and indexes there are."""
    # SQLCipher would print its own lines to stderr; the errors it raises say enough.
    connection.execute("PRAGMA cipher_log_level = NONE")
    if key is not None:
        connection.execute(f"PRAGMA key = \"x'{key}'\"")
    return int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])  # a wrong key fails here


def _configure(connection: dbapi2.Connection, key: str | None) -> None:
    tables = _unlock(connection, key)
    if not tables:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # what is deleted gives its space back
    # cipher_memory_security stays off: locking and wiping every buffer makes a turn three times slower.
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # a commit is on the disk before the call returns
        "foreign_keys = ON",
        "secure_delete = ON",
        "journal_size_limit = 4194304",  # one long text does not leave a long log behind
        "temp_store = MEMORY",  # a temporary file would hold plaintext
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_file(path: Path) -> None:
    """Make file and directory private; SQLite gives -wal and -shm the mode of the file."""
    make_private_directory(path.parent)
    log_file = log_of(path)
    if not path.exists() and log_file.exists() and log_file.stat().st_size:
        # SQLite would write the pages of the old log into the new file.
        raise StoreError(f"{path} is missing, but not its log: put it back, or move {log_file} away to start anew")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # Not opened here: closing a second descriptor would drop the locks SQLite holds on the file.
        restrict(path, 0o600)
    else:
        sync_directory(path.parent)
    restrict(path.parent, 0o700)


def restrict(path: Path, mode: int) -> None:
    """Take the permissions beyond `mode` away from what is ours; says so in the log.

    Leaves shared directories such as /tmp (sticky) and what belongs to others alone.
    """
    status = path.stat()
    excess = status.st_mode & 0o777 & ~mode
    if excess and status.st_uid == os.geteuid() and not status.st_mode & 0o1000:
        path.chmod(status.st_mode & mode)
        log.warning("%s was open to other accounts (mode %04o), now %04o", path, status.st_mode & 0o777, mode)


@contextlib.contextmanager
def transaction(db: sqlite_utils.Database) -> Iterator[None]:
    """All of the block or nothing; durable once left.

    IMMEDIATE takes the write lock at once, so that two processes wait for each other instead of failing half-way.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # A full disk has often rolled back already; nothing that fails here may hide the reason.
        with contextlib.suppress(dbapi2.Error):
            db.rollback()
        raise


def erase_traces(db: sqlite_utils.Database) -> None:
    """Leave nothing of what was deleted in the files: give free pages back and empty the log.

    secure_delete has overwritten the rows; the write-ahead log still holds earlier copies of their pages.
    """
    db.execute("PRAGMA incremental_vacuum").fetchall()
    _empty_log(db)


def resume_cleanup(db: sqlite_utils.Database) -> None:
    """Erase what a process that was killed had deleted but not yet erased.

    Fails where the disk is full or damaged, which shall not keep anybody from reading.
    """
    with contextlib.suppress(dbapi2.Error):
        _empty_log(db)


def _empty_log(db: sqlite_utils.Database) -> None:
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        log.warning("another process reads the database: the log keeps what was deleted until the next clean-up")


def check_length(db: sqlite_utils.Database, path: Path) -> None:
    """Notice at once that the file was cut off; other damage shows when a damaged page is read."""
    pages, page_size = (int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    if disk_bytes(path) < pages * page_size:  # the log may hold pages that the file does not have yet
        raise StoreError(f"{path} is cut off: {_DAMAGED}")


def opened_files(path: Path) -> OpenedFiles:
    """The database and its write-ahead log, as they lie there while it is open."""
    return tuple((file, file.stat()) for file in (path, log_of(path)) if file.exists())


def require_same_files(opened: OpenedFiles) -> None:
    """Raises StoreError where a path no longer leads to the file that was opened: what is written there would be lost
    with the process, or lie where nobody looks for it."""
    for path, file in opened:
        try:
            is_same = os.path.samestat(path.stat(), file)
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise StoreError(f"{path} was moved, deleted or replaced while it is in use: put it back, or restart edged")


def log_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return Path(f"{path}-wal")


def disk_bytes(path: Path) -> int:
    """Size of the database with its write-ahead log."""
    return sum(file.stat().st_size for file in (path, log_of(path)) if file.exists())


def require_encrypted(path: Path) -> None:
    """Raises StoreError for a database that no daemon has encrypted yet."""
    if path.exists() and path.stat().st_size and is_plain(path):
        raise StoreError(f"{path} is not encrypted yet: start the daemon once, which encrypts it (`edged serve`)")


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise in the block into StoreError or StoreFull."""
    try:
        yield
    except dbapi2.Error as exc:
        raise _explained(exc, path) from exc
    except MemoryError as exc:  # SQLite also has none where a damaged page tells it to read gigabytes
        raise StoreError(f"{path}: there is no memory to read it; free some. If there is enough, {_DAMAGED}") from exc
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path) from exc
        raise StoreError(f"{exc.filename or path}: {exc.strerror}; edged needs to read and write there") from exc


def _explained(exc: dbapi2.Error, path: Path) -> EdgedError:
    code = getattr(exc, "sqlite_errorcode", dbapi2.SQLITE_ERROR) & 0xFF  # the low byte is the primary code
    if code == dbapi2.SQLITE_FULL or (code == dbapi2.SQLITE_IOERR and _no_space_left(path)):
        return _full(path)
    if advice := _ADVICE.get(code):
        return StoreError(f"{path} {advice}")
    return StoreError(f"{path}: {exc}")


_DAMAGED = "restore it from a backup, or move it away (with its -wal and -shm files) to start anew"
_ADVICE = {
    dbapi2.SQLITE_NOTADB: f"is damaged, not a database of edged, or was made with another key: {_DAMAGED}",
    dbapi2.SQLITE_CORRUPT: f"is damaged: {_DAMAGED}",
    dbapi2.SQLITE_READONLY: "cannot be written: make the file, its directory and its file system writable",
    dbapi2.SQLITE_CANTOPEN: "cannot be opened: it must be a file in a directory that edged may write to",
    dbapi2.SQLITE_BUSY: "is held by another process: close it, then try again",
    dbapi2.SQLITE_IOERR: "cannot be read or written: the disk reports an error; check it, then try again",
}


def _full(path: Path) -> StoreFull:
    return StoreFull(
        f"{path}: the disk is full and nothing was stored; free some space, then try again", retry_seconds=30
    )


def _no_space_left(path: Path) -> bool:
    """Whether an I/O error is a full disk in disguise, as it is when the shared-memory file cannot grow."""
    try:
        return os.statvfs(path.parent).f_bavail == 0
    except OSError:
        return False
