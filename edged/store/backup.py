"""Backups: the whole database in one encrypted file, taken while a daemon goes on, and put back."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import sqlite_utils

from edged.errors import AlreadyExists, InvalidInput, NotFound, StoreError
from edged.store.database import connection_to, is_plain, opens, reported, require_encrypted
from edged.store.key import Noted, find_key, known_keys, read_note, remember_key, write_note
from edged.store.key_places import PASSPHRASE, DatabaseKey, KeySource, key_for_new_database
from edged.store.migrations import applied_version
from edged.store.passphrase import new_passphrase_key, passphrase_key
from edged.store.rewrite import (
    clear_leftovers,
    copy_database,
    draft_of,
    put_in_place,
    remove_database,
)
from edged.trust.private_files import sync_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup holds."""

    conversations: int
    messages: int
    bytes: int
    key_source: str
    """Where the key lies that opens it; "passphrase" for one of its own."""


def back_up(database: Path, source: KeySource, file: Path, *, passphrase: str = "") -> Backup:
    """Write all that is stored now into a new file, whoever reads and writes meanwhile.

    passphrase: opens the backup; empty encrypts it under the key of the database, which it does not hold.
    Raises NotFound where nothing is stored, AlreadyExists, InvalidInput for the passphrase, StoreError.
    """
    if not database.exists() or not database.stat().st_size:
        raise NotFound(f"there is no database in {database.parent} yet", resource=("database", str(database)))
    if file.exists():
        raise AlreadyExists(f"{file} exists already: name another file")
    require_encrypted(database)
    key = find_key(source, database)
    own = DatabaseKey(hex=new_passphrase_key(passphrase), source=PASSPHRASE) if passphrase else key
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")  # the folder is somebody's
    try:
        with reported(database), connection_to(database, key.hex) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # what is wrong with it is said of it
            with reported(file):
                copy_database(connection, draft, own.hex)
        with reported(file):
            if file.exists():
                raise AlreadyExists(f"{file} exists by now: name another file")
            draft.rename(file)
            sync_directory(file.parent)
            return _look_into(file, own)
    finally:
        remove_database(draft)


def restore(file: Path, database: Path, source: KeySource, *, passphrase: str = "", replace: bool = False) -> Backup:
    """Put a backup in the place of the database, encrypted under the key that a new database gets.

    The caller holds the state directory. Killed at any moment, what was there before or the backup is there, whole.
    passphrase: what the backup was made with; empty tries all keys of this account.
    Raises AlreadyExists unless what is there may be replaced, InvalidInput for no backup of edged, StoreError.
    """
    is_there = database.exists() and database.stat().st_size > 0
    if is_there and not replace:
        raise AlreadyExists(f"{database} exists: move it away, or add --replace, which deletes what is in it")
    with reported(file):
        key = _key_of_backup(file, source, passphrase)
        backup = _look_into(file, key)
    own = key_for_new_database(source)
    with reported(database):
        clear_leftovers(database)
        with connection_to(file, key.hex) as connection:
            copy_database(connection, draft_of(database), own.hex)
        before = read_note(database) if is_there else []
        write_note(database, [*before, Noted.of(own)])
        put_in_place(database, keep_until_wiped=is_there and is_plain(database))
    remember_key(own, database, earlier=before)
    return backup


def _key_of_backup(file: Path, source: KeySource, passphrase: str) -> DatabaseKey:
    if not file.is_file():
        raise InvalidInput(f"{file} is not a file")
    if is_plain(file):
        raise InvalidInput(f"{file} is not encrypted: no backup of edged's")
    if passphrase:
        keys = [DatabaseKey(hex=passphrase_key(passphrase, file), source=PASSPHRASE)]
        advice = "the passphrase does not open it, or it is damaged"
    else:
        keys = known_keys(source, file)
        advice = f"no key in {source.directory} or the keyring opens it: put its key there, or name its passphrase"
    for key in keys:
        if opens(file, key.hex):
            return key
    raise InvalidInput(f"{file}: {advice}")


def _look_into(file: Path, key: DatabaseKey) -> Backup:
    """Raises StoreError for one that a newer edged has written, InvalidInput for another program's."""
    with connection_to(file, key.hex) as connection:
        db = sqlite_utils.Database(connection, execute_plugins=False)
        if not {"migrations", "conversations", "messages"} <= set(db.table_names()):
            raise InvalidInput(f"{file} holds no conversations of edged's")
        applied_version(db)
        if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise StoreError(f"{file} is damaged: take another backup")
        counts = "SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM messages)"
        conversations, messages = connection.execute(counts).fetchone()
    return Backup(conversations=conversations, messages=messages, bytes=file.stat().st_size, key_source=key.source)
