"""Whether stored conversations can be read, found out without writing anything."""

from __future__ import annotations

from pathlib import Path

import sqlite_utils
from sqlcipher3 import dbapi2

from edged.config import Config
from edged.daemon.database import key_source
from edged.daemon.secret import read_secret
from edged.errors import StoreError
from edged.store.database import check_length, reported
from edged.store.key import find_key
from edged.store.key_places import DatabaseKey


def key_of(config: Config, database: Path) -> DatabaseKey:
    """The key of a database that exists; asks nobody. Raises StoreError when it is lost, damaged or another one's."""
    return find_key(key_source(config, read_secret(config, may_ask=False)), database)


def check_database(database: Path, key: DatabaseKey) -> None:
    """Read every page. Raises StoreError for a database that is damaged or cannot be opened."""
    # Beside a log SQLite has to look into it; without one nobody writes, and it need not make one.
    mode = "mode=ro" if Path(f"{database}-wal").exists() else "immutable=1"
    with reported(database):
        connection = dbapi2.connect(f"{database.as_uri()}?{mode}", uri=True)
        try:
            connection.execute("PRAGMA cipher_log_level = NONE")
            connection.execute(f"PRAGMA key = \"x'{key.hex}'\"")
            check_length(sqlite_utils.Database(connection, execute_plugins=False), database)
            if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise StoreError(f"{database} is damaged: restore it from a backup")
        finally:
            connection.close()
