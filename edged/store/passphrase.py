"""A database key made from a passphrase.

The salt is the one that SQLCipher keeps in the first 16 bytes of its file, so that file and passphrase are enough.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from edged.errors import InvalidInput

SALT_BYTES = 16
MIN_CHARACTERS = 8
MAX_BYTES = 1024
# 128 MiB and some tenths of a second for each guess: scrypt (RFC 7914) as OWASP's password storage sheet has it.
COST = 2**17
_BLOCK, _LANES, _MEMORY_BYTES = 8, 1, 192 * 1024 * 1024


def new_passphrase_key(passphrase: str) -> str:
    """Key and salt of a new file, in hexadecimal. Raises InvalidInput for a passphrase that is too short or long."""
    if len(passphrase) < MIN_CHARACTERS:
        raise InvalidInput(f"the passphrase is shorter than {MIN_CHARACTERS} characters: take several words")
    return _derived(passphrase, secrets.token_bytes(SALT_BYTES))


def passphrase_key(passphrase: str, file: Path) -> str:
    """Key and salt of a file that was made with this passphrase, if it was."""
    with file.open("rb") as stream:
        return _derived(passphrase, stream.read(SALT_BYTES))


def _derived(passphrase: str, salt: bytes) -> str:
    try:
        text = passphrase.encode()
    except UnicodeEncodeError:
        raise InvalidInput("the passphrase is not valid Unicode") from None  # the cause would quote it
    if len(text) > MAX_BYTES:
        raise InvalidInput(f"the passphrase is longer than {MAX_BYTES} bytes")
    key = hashlib.scrypt(text, salt=salt, n=COST, r=_BLOCK, p=_LANES, maxmem=_MEMORY_BYTES, dklen=32)
    return key.hex() + salt.hex()
