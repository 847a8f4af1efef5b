"""Which key a database has, and how that is never forgotten.

A note beside the database (`edged.db.key.json`, no secret) says where the key was put and carries its
fingerprint. An existing database is only ever opened with the key it was made with; a new key is made
for a new database, for one that was not encrypted yet, and by `edged rekey`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edged.errors import StoreError
from edged.store.database import is_plain, opens, reported
from edged.store.key_places import (
    CREDENTIAL,
    KEYRING,
    PASSPHRASE,
    DatabaseKey,
    KeySource,
    key_for_new_database,
    key_in_file,
    key_in_keyring,
    numbered_key_files,
)
from edged.store.passphrase import passphrase_key
from edged.trust.private_files import write_private


class Noted(NamedTuple):
    """Where a key was put: a kind or the path of a file; and what it was."""

    source: str
    fingerprint: str

    @classmethod
    def of(cls, key: DatabaseKey) -> Noted:
        """Of a key that is there."""
        return cls(key.source, key.fingerprint)


def find_key(source: KeySource, database: Path) -> DatabaseKey:
    """The key of this database; makes one only where there is no encrypted database yet.

    Raises StoreError naming where the key was expected.
    """
    with reported(source.file):
        if not database.exists() or not database.stat().st_size:
            return key_for_new_database(source)
        noted = read_note(database)
        if not noted:
            return key_for_new_database(source) if is_plain(database) else _guessed_key(source, database)
        if len(noted) == 1:
            return _noted_key(source, database, noted[0])
        return _key_of_several(source, database, noted)


def remember_key(key: DatabaseKey, database: Path, *, earlier: Sequence[Noted] = ()) -> None:
    """Write the note beside a database that has just been opened with this key. Raises StoreError.

    earlier: keys that it had until now: what the disk keeps of those times, wiping makes unreadable, too.
    """
    write_note(database, [Noted.of(key)], earlier=earlier)


def write_note(database: Path, noted: list[Noted], *, earlier: Sequence[Noted] = ()) -> None:
    """Say where the key was put; or where several were, of which a database has one. Raises StoreError."""
    file = _note_file(database)
    with reported(file):
        before = earlier_keys(database)
        past = [entry for entry in dict.fromkeys([*before, *earlier]) if entry not in noted]
        if read_note(database) == noted and past == before:
            return
        first, *others = [entry._asdict() for entry in noted]
        note = {**first, **({"others": others} if others else {})}
        note |= {"earlier": [entry._asdict() for entry in past]} if past else {}
        write_private(file, json.dumps(note).encode() + b"\n")


def read_note(database: Path) -> list[Noted]:
    """Where the key was put, or several may lie; empty when nobody noted it or the note is unreadable."""
    return _entries(database, lambda note: [note, *note.get("others", ())])


def earlier_keys(database: Path) -> list[Noted]:
    """Keys that the database had before."""
    return _entries(database, lambda note: note.get("earlier", []))


def _entries(database: Path, of: Callable[[Any], list[Any]]) -> list[Noted]:
    try:
        note = json.loads(_note_file(database).read_text(encoding="utf-8"))
        return [Noted(str(entry["source"]), str(entry["fingerprint"])) for entry in of(note)]
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return []  # then one has to look


def _note_file(database: Path) -> Path:
    return database.with_name(database.name + ".key.json")


def _key_of_several(source: KeySource, database: Path, noted: list[Noted]) -> DatabaseKey:
    """The one that opens a database whose change of keys was broken off. Raises StoreError."""
    refused = StoreError(f"no key that {database} may have opens it: put the keys back, or restore a backup")
    for entry in noted:
        try:
            key = _noted_key(source, database, entry)
        except StoreError as exc:
            refused = exc
            continue
        if opens(database, key.hex):
            return key
    raise refused


def _noted_key(source: KeySource, database: Path, noted: Noted) -> DatabaseKey:
    """The very key that was noted. Raises StoreError where it is not there, or another one is."""
    if noted.source == KEYRING:
        key, place = key_in_keyring(source, noted.fingerprint), "the keyring of this account"
    elif noted.source == PASSPHRASE:
        key, place = _key_from_passphrase(source, database), "a passphrase"
    else:
        # The configuration directory may have moved since; where it was before, the daemon may not look.
        files = [] if noted.source == CREDENTIAL else [source.directory / Path(noted.source).name, Path(noted.source)]
        key = _key_in_files(dict.fromkeys([*files[:1], source.file, *files[1:]]), noted.fingerprint)
        place = noted.source if files else "the systemd credential edged.key"
    if (key is None or key.fingerprint != noted.fingerprint) and source.kind == CREDENTIAL and source.secret:
        key = DatabaseKey.given(source.secret)  # moved there by hand
    if key is None:
        raise _missing(database, place)
    if key.fingerprint != noted.fingerprint:
        if noted.source == CREDENTIAL and source.kind != CREDENTIAL:
            raise StoreError(f'the key of {database} is the systemd credential edged.key: set store.key = "credential"')
        which = "passphrase" if key.source == PASSPHRASE else f"key in {key.place}"
        raise StoreError(f"the {which} is not the one that {database} was made with: give that one")
    return key


def _key_in_files(files: Iterable[Path], fingerprint: str) -> DatabaseKey | None:
    """The one of this fingerprint, else the first that there is. Raises StoreError."""
    first = None
    for file in files:
        key = key_in_file(file)
        if key and key.fingerprint == fingerprint:
            return key
        first = first or key
    return first


def _guessed_key(source: KeySource, database: Path) -> DatabaseKey:
    """For a database that was copied without its note: whatever opens it."""
    keys = known_keys(source, database)
    if not keys:
        places = {PASSPHRASE: "a passphrase", CREDENTIAL: "the systemd credential edged.key", "file": str(source.file)}
        raise _missing(database, places.get(source.kind, f"{source.file} or the keyring"))
    return next((key for key in keys if opens(database, key.hex)), keys[0]) if len(keys) > 1 else keys[0]


def known_keys(source: KeySource, file: Path) -> list[DatabaseKey]:
    """All that this account has and that may be the one of a file, the likeliest first. Raises StoreError."""
    keys: list[DatabaseKey | None] = []
    if source.kind == PASSPHRASE:
        keys.append(_key_from_passphrase(source, file))
    if source.kind == CREDENTIAL and source.secret:
        keys.append(DatabaseKey.given(source.secret))
    keys += map(key_in_file, [source.file, *numbered_key_files(source.directory)])
    if source.kind == KEYRING:
        keys.append(key_in_keyring(source, ""))
    elif source.kind == "auto" and not any(keys):
        with contextlib.suppress(StoreError):  # a machine without a keyring has no key in it
            keys.append(key_in_keyring(source, ""))
    return [key for key in keys if key]


def _key_from_passphrase(source: KeySource, database: Path) -> DatabaseKey | None:
    if source.kind != PASSPHRASE:
        raise StoreError(f'the key of {database} is made from a passphrase: set store.key = "passphrase"')
    if not source.secret:
        return None
    return DatabaseKey(hex=passphrase_key(source.secret, database), source=PASSPHRASE)


def _missing(database: Path, place: str) -> StoreError:
    if place == "a passphrase":
        return StoreError(
            f"the passphrase of {database} is needed: run `edged serve` in a terminal, or set store.passphrase_file"
        )
    return StoreError(f"the key of {database} is not in {place}: put it back there, from a backup if need be")
