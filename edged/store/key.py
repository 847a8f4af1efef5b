"""Where the database key comes from, and how it is never lost silently.

A note beside the database (`edged.db.key.json`, no secret) says where the key was put and carries its
fingerprint. An existing database is only ever opened with the key it was made with; a new key is made
for a new database and for nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from edged.errors import StoreError
from edged.store.database import reported, restrict, sync_directory
from edged.store.keyring_process import KeyringUnavailable, ask_keyring

log = logging.getLogger(__name__)

KEY_FILE_NAME = "database.key"
KEYRING = "keyring"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """Where a key is looked for, and put when a database is made."""

    kind: str
    """"auto" (the keyring where there is one, else a file), "keyring" or "file"."""
    directory: Path
    """Of the key file: the configuration directory, which backups of the state leave out."""
    keyring_seconds: float = 10.0
    """How long the keyring may take, a password prompt included."""

    @property
    def file(self) -> Path:
        """The key file."""
        return self.directory.absolute() / KEY_FILE_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseKey:
    """256 bits, and where they lie."""

    hex: str = field(repr=False)
    source: str
    """"keyring", or the path of the key file."""

    @property
    def fingerprint(self) -> str:
        """Tells keys apart and gives nothing away: the key is random, so its hash cannot be guessed."""
        return hashlib.sha256(b"edged database key " + bytes.fromhex(self.hex)).hexdigest()[:16]

    @property
    def protection(self) -> str:
        """What the encryption protects and what it does not."""
        place = "this account's keyring" if self.source == KEYRING else self.source
        return (
            f"Copies and backups of the database cannot be read without the key in {place}; "
            "programs running as this account can read both."
        )


def find_key(source: KeySource, database: Path) -> DatabaseKey:
    """The key of this database; makes one only where there is no database yet.

    Raises StoreError naming where the key was expected.
    """
    with reported(source.file):
        if not database.exists() or not database.stat().st_size:
            return _key_for_new_database(source)
        return _key_of_existing_database(source, database)


def remember_key(key: DatabaseKey, database: Path) -> None:
    """Write the note beside a database that has just been opened with this key. Raises StoreError."""
    note = {"source": key.source, "fingerprint": key.fingerprint}
    file = _note_file(database)
    with reported(file):
        if _read_note(database) == note:
            return
        draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")  # of this process: others may write theirs now
        _write_private(draft, json.dumps(note) + "\n")
        draft.replace(file)
        sync_directory(file.parent)


def _key_for_new_database(source: KeySource) -> DatabaseKey:
    """The key this account already uses, else a new one where `source` wants it."""
    if source.kind != KEYRING and (key := _key_in_file(source.file)):
        return key
    fresh = secrets.token_hex(32)
    if source.kind != "file":
        try:
            return DatabaseKey(
                hex=_checked(ask_keyring(candidate=fresh, seconds=source.keyring_seconds)), source=KEYRING
            )
        except KeyringUnavailable as exc:
            if source.kind == KEYRING:
                raise StoreError(
                    f'the keyring cannot hold the database key: {exc}; unlock it, or set store.key = "file"'
                ) from exc
            log.info("no keyring for the database key (%s): it goes into %s", exc, source.file)
    return _make_key_file(source.file, fresh)


def _key_of_existing_database(source: KeySource, database: Path) -> DatabaseKey:
    note = _read_note(database)
    noted = str(note.get("source", ""))
    if noted == KEYRING:
        key, place = _key_in_keyring(source), "the keyring of this account"
    else:
        # The configuration directory may have moved since; without a note (a copied database) guess.
        files = dict.fromkeys([Path(noted), source.file] if noted else [source.file])
        key = next(filter(None, map(_key_in_file, files)), None)
        place = str(next(iter(files)))
        if key is None and not noted and source.kind != "file":
            key, place = _key_in_keyring(source), f"{place} or the keyring"
    if key is None:
        raise StoreError(f"the key of {database} is not in {place}: put it back there, from a backup if need be")
    if note and key.fingerprint != note.get("fingerprint"):
        raise StoreError(f"the key in {key.source} is not the one that {database} was made with: put that one back")
    return key


def _key_in_keyring(source: KeySource) -> DatabaseKey | None:
    try:
        answer = ask_keyring(candidate="", seconds=source.keyring_seconds)
    except KeyringUnavailable as exc:
        raise StoreError(f"the database key is in the keyring, but {exc}; unlock it, then start edged again") from exc
    return DatabaseKey(hex=_checked(answer), source=KEYRING) if answer else None


def _key_in_file(file: Path) -> DatabaseKey | None:
    if not file.exists():
        return None
    restrict(file, 0o600)
    if file.stat().st_mode & 0o007:
        raise StoreError(f"{file} can be read by every account and is not this account's: chown it, then chmod 600")
    return DatabaseKey(hex=_checked(file.read_text(encoding="ascii", errors="replace"), str(file)), source=str(file))


def _make_key_file(file: Path, fresh: str) -> DatabaseKey:
    """Put the key into a file that did not exist; if another process was faster, take its key."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    _write_private(draft, fresh + "\n")
    try:
        # A link appears whole or not at all, and never over another file.
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(draft)
    finally:
        draft.unlink()
    sync_directory(file.parent)
    return DatabaseKey(hex=_checked(file.read_text(encoding="ascii"), str(file)), source=str(file))


def _checked(text: str, place: str = "the keyring") -> str:
    digits = text.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise StoreError(f"the database key in {place} is damaged: 64 hexadecimal digits belong there; restore it")
    return digits


def _note_file(database: Path) -> Path:
    return database.with_name(database.name + ".key.json")


def _read_note(database: Path) -> dict[str, str]:
    """Where the key was put; empty when nobody noted it or the note is unreadable, as then one has to look."""
    try:
        note = json.loads(_note_file(database).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _write_private(file: Path, text: str) -> None:
    """Create or replace a file only its owner may read; durable on return."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
