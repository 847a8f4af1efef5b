"""The places where a database key lies: a file, the keyring, a systemd credential, somebody's head."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edged.errors import StoreError
from edged.store.database import restrict
from edged.store.keyring_process import ACCOUNT, KeyringUnavailable, ask_keyring
from edged.store.passphrase import new_passphrase_key
from edged.trust.private_files import make_private_directory, sync_directory, write_private

log = logging.getLogger(__name__)

KEY_FILE_NAME = "database.key"
KEYRING, PASSPHRASE, CREDENTIAL = "keyring", "passphrase", "credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """Where a key is looked for, and put when a database is made."""

    kind: str
    """"auto" (the keyring where there is one, else a file), "keyring", "file", "passphrase" or "credential"."""
    directory: Path
    """Of the key file: the configuration directory, which backups of the state leave out."""
    keyring_seconds: float = 10.0
    """How long the keyring may take, a password prompt included."""
    secret: str = field(default="", repr=False)
    """The passphrase, or what the credential holds; empty for other kinds, and where nobody gave it."""

    @property
    def file(self) -> Path:
        """The key file."""
        return self.directory.absolute() / KEY_FILE_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseKey:
    """256 bits, the salt of the file after them if they come from a passphrase, and where they lie."""

    hex: str = field(repr=False)
    source: str
    """"keyring", "passphrase", "credential", or the path of the key file."""

    @classmethod
    def given(cls, text: str) -> DatabaseKey:
        """What a credential holds. Raises StoreError."""
        return cls(hex=_checked(text, "the systemd credential edged.key"), source=CREDENTIAL)

    @property
    def fingerprint(self) -> str:
        """Tells keys apart and gives nothing away that the encrypted file does not: to guess is as hard."""
        return hashlib.sha256(b"edged database key " + bytes.fromhex(self.hex)).hexdigest()[:16]

    @property
    def place(self) -> str:
        """Where it lies, in words."""
        words = {KEYRING: "this account's keyring", CREDENTIAL: "the systemd credential", PASSPHRASE: "a passphrase"}
        return words.get(self.source, self.source)

    @property
    def protection(self) -> str:
        """What the encryption protects and what it does not."""
        if self.source == PASSPHRASE:
            return (
                "Copies and backups of the database cannot be read without the passphrase, nor can it be guessed "
                "quickly; programs running as this account can read the memory of the daemon."
            )
        return (
            f"Copies and backups of the database cannot be read without the key in {self.place}; "
            "programs running as this account can read both."
        )


def key_for_new_database(source: KeySource) -> DatabaseKey:
    """The key this account already uses, else a new one where `source` wants it. Raises StoreError, InvalidInput."""
    if source.kind not in (KEYRING, PASSPHRASE, CREDENTIAL) and (key := key_in_file(source.file)):
        return key
    return _place(source, secrets.token_hex(32), name="", file=source.file)


def fresh_key(source: KeySource) -> DatabaseKey:
    """A key that no other database has, beside those that this account uses. Raises StoreError, InvalidInput."""
    fresh = secrets.token_hex(32)
    name = DatabaseKey(hex=fresh, source="").fingerprint
    return _place(source, fresh, name=name, file=source.file.with_name(f"database-{name}.key"))


def _place(source: KeySource, fresh: str, *, name: str, file: Path) -> DatabaseKey:
    """name: of the keyring's entry, apart from that of the account's first key."""
    if source.kind == PASSPHRASE:
        if not source.secret:
            raise StoreError(
                "a passphrase is needed for the database: run `edged serve` in a terminal, or set store.passphrase_file"
            )
        return DatabaseKey(hex=new_passphrase_key(source.secret), source=PASSPHRASE)
    if source.kind == CREDENTIAL:
        if not source.secret:
            raise StoreError("systemd gave no credential edged.key: see systemd/README.md, or set store.key")
        return DatabaseKey.given(source.secret)
    if source.kind != "file":
        try:
            answer = ask_keyring(candidate=fresh, account=_account(name), seconds=source.keyring_seconds)
            return DatabaseKey(hex=_checked(answer), source=KEYRING)
        except KeyringUnavailable as exc:
            if source.kind == KEYRING:
                raise StoreError(
                    f'the keyring cannot hold the database key: {exc}; unlock it, or set store.key = "file"'
                ) from exc
            log.info("no keyring for the database key (%s): it goes into %s", exc, file)
    return _make_key_file(file, fresh)


def key_in_keyring(source: KeySource, name: str) -> DatabaseKey | None:
    """The key under a name of its own, else the account's first one; None where there is none. Raises StoreError."""
    for account in dict.fromkeys([_account(name), ACCOUNT]):
        try:
            answer = ask_keyring(candidate="", account=account, seconds=source.keyring_seconds)
        except KeyringUnavailable as exc:
            raise StoreError(
                f"the database key is in the keyring, but {exc}; unlock it, then start edged again"
            ) from exc
        if answer:
            return DatabaseKey(hex=_checked(answer), source=KEYRING)
    return None


def forget_in_keyring(source: KeySource, names: Iterable[str]) -> None:
    """Delete the keys under these names and the account's first one. Raises StoreError."""
    for account in dict.fromkeys([*map(_account, names), ACCOUNT]):
        try:
            ask_keyring(candidate="", account=account, seconds=source.keyring_seconds, forget=True)
        except KeyringUnavailable as exc:
            raise StoreError(f"the keyring still holds the database key, but {exc}; unlock it, then try again") from exc


def key_in_file(file: Path) -> DatabaseKey | None:
    """The key in a file, made private if it was not; None where there is no file. Raises StoreError."""
    if not file.exists():
        return None
    restrict(file, 0o600)
    if file.stat().st_mode & 0o007:
        raise StoreError(f"{file} can be read by every account and is not this account's: chown it, then chmod 600")
    return DatabaseKey(hex=_checked(file.read_text(encoding="ascii", errors="replace"), str(file)), source=str(file))


def numbered_key_files(directory: Path) -> list[Path]:
    """Those that `fresh_key` has made."""
    return sorted(directory.absolute().glob("database-*.key"))


def _account(name: str) -> str:
    return f"{ACCOUNT} {name}".strip()


def _make_key_file(file: Path, fresh: str) -> DatabaseKey:
    """Put the key into a file that did not exist; if another process was faster, take its key."""
    make_private_directory(file.parent)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    write_private(draft, f"{fresh}\n".encode())
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
