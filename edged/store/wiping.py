"""All that is stored, gone: the keys first, so that what a disk keeps of the rest cannot be read."""

from __future__ import annotations

from pathlib import Path

from edged.store.database import is_plain, reported
from edged.store.key import Noted, earlier_keys, read_note
from edged.store.key_places import CREDENTIAL, KEYRING, PASSPHRASE, KeySource, forget_in_keyring, numbered_key_files
from edged.store.rewrite import clear_leftovers, remove_companions, wipe, wipe_beginning


def places(database: Path, source: KeySource) -> tuple[list[Path], bool]:
    """Key files that `wipe_store` overwrites, and whether it asks the keyring to forget keys, too.

    None where nothing is stored: then they are those of other databases.
    """
    if not database.exists() and not read_note(database):
        return [], False
    noted = {entry.source for entry in _keys_ever(database)}
    files = [source.file, *numbered_key_files(source.directory)]
    files += [Path(place) for place in noted - {KEYRING, PASSPHRASE, CREDENTIAL}]
    return [file for file in dict.fromkeys(files) if file.exists()], KEYRING in noted


def wipe_store(database: Path, source: KeySource) -> None:
    """Overwrite the keys of this account, then remove the database; the caller holds the state directory.

    Can be repeated where it was broken off. Raises StoreError, for a keyring that does not answer, too.
    """
    files, in_keyring = places(database, source)
    with reported(database):
        for file in files:
            wipe(file)
        if in_keyring:
            forget_in_keyring(source, [entry.fingerprint for entry in _keys_ever(database)])
        if database.exists():
            # The beginning holds the salt of a passphrase; without it and a key the rest is noise.
            wipe(database) if is_plain(database) else wipe_beginning(database)
        remove_companions(database)
        clear_leftovers(database)
        database.with_name(database.name + ".key.json").unlink(missing_ok=True)


def _keys_ever(database: Path) -> list[Noted]:
    return [*read_note(database), *earlier_keys(database)]
