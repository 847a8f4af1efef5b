"""How far the database has come that a version of edged is to be used with."""

from __future__ import annotations

from edged.cli.output import say
from edged.config import load_config
from edged.errors import EdgedError


def stored_schema() -> int | None:
    """How many migrations it has taken; None where there is none yet, or where this account cannot open it."""
    from edged.cli.database_check import key_of
    from edged.store.database import connection_to, reported

    database = load_config().database
    if not (database.is_file() and database.stat().st_size):
        return None
    try:
        key = key_of(load_config(), database)
        with reported(database), connection_to(database, key.hex) as connection:
            return int(connection.execute("SELECT max(version) FROM migrations").fetchone()[0])
    except EdgedError as exc:
        say(f"not looked at whether that version can read the conversations in {database}: {exc.message}")
        return None
