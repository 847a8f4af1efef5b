"""Another key for a database, and the first one for a database without."""

from __future__ import annotations

import logging
from pathlib import Path

from edged.errors import NotFound, StoreError
from edged.store.database import connection_to, is_plain, reported
from edged.store.key import Noted, find_key, read_note, remember_key, write_note
from edged.store.key_places import DatabaseKey, KeySource, fresh_key
from edged.store.rewrite import clear_leftovers, rewrite

log = logging.getLogger(__name__)


def rekey(database: Path, source: KeySource, new: KeySource) -> tuple[DatabaseKey, DatabaseKey]:
    """Write the database anew under a key of its own; returns the old key and the new one.

    source, new: where the key lies and where the next one goes. The caller holds the state directory.
    Killed at any moment, the database has the one key or the other, and both are known. The old key is
    kept where it is: backups may need it.
    Raises NotFound where there is no database, StoreError, InvalidInput.
    """
    if not database.exists() or not database.stat().st_size:
        raise NotFound(f"there is no database in {database.parent} yet", resource=("database", str(database)))
    encrypt_plain(database, source)
    clear_leftovers(database)
    key = find_key(source, database)
    next_key = fresh_key(new)
    if next_key.hex == key.hex:
        raise StoreError(f"the new key is the one that {database} has already: give another one")
    write_note(database, [Noted.of(key), Noted.of(next_key)])
    rewrite(database, key.hex, next_key.hex)
    remember_key(next_key, database, earlier=[Noted.of(key)])
    return key, next_key


def encrypt_plain(database: Path, source: KeySource) -> None:
    """Encrypt the database in place if it is not yet; the caller holds the state directory. Raises StoreError."""
    with reported(database):
        if not database.exists() or read_note(database) or not is_plain(database):
            return
        with connection_to(database, None) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if not {"migrations", "conversations"} <= tables:
            raise StoreError(f"{database} is a database, but not one of edged: move it away to start anew")
    key = find_key(source, database)
    rewrite(database, None, key.hex)
    remember_key(key, database)
    log.warning("%s was not encrypted, now it is; copies and backups made before still can be read", database)
