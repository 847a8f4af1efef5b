"""What opens the database and lies on no disk of ours: a passphrase, or a credential of systemd's.

Read before the guard, which closes the terminal and the places where such things lie.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from edged.config import Config, absolute
from edged.errors import ConfigError

KEY_CREDENTIAL, PASSPHRASE_CREDENTIAL = "edged.key", "edged.passphrase"
MAX_BYTES = 4096
"""Longer ones are no secrets but the wrong file."""


def read_secret(config: Config, *, may_ask: bool = True, is_new: bool = False) -> str:
    """As store.key says; "" where the key lies elsewhere, or nobody gave anything. Raises ConfigError.

    is_new: a passphrase is typed twice, as it also is where there is no database yet.
    """
    credentials = Path(config.supervisor.credentials) if config.supervisor.credentials else None
    if config.store.key == "credential":
        return first_line(credentials / KEY_CREDENTIAL) if credentials else ""
    if config.store.key != "passphrase":
        return ""
    if config.store.passphrase_file:
        return first_line(absolute(config.store.passphrase_file))
    if credentials and (credentials / PASSPHRASE_CREDENTIAL).exists():
        return first_line(credentials / PASSPHRASE_CREDENTIAL)
    if not may_ask:
        return ""
    file = config.database
    if is_new or not file.exists() or not file.stat().st_size:
        return ask_passphrase("Passphrase of the new database: ", twice=True)
    return ask_passphrase("Passphrase of the database: ")


def ask_passphrase(prompt: str, *, twice: bool = False) -> str:
    """What somebody types on the terminal without seeing it; "" where there is no terminal. Raises ConfigError."""
    if not sys.stdin.isatty():
        return ""
    typed = getpass.getpass(prompt)
    if twice and getpass.getpass("The same again: ") != typed:
        raise ConfigError("the two passphrases differ: try again")
    return typed


def first_line(file: Path) -> str:
    """Of a file, which may be a descriptor of this process (/dev/fd/N). Raises ConfigError."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror}; it is to hold what opens the database") from exc
    line = data.split(b"\n", 1)[0]
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = ""  # whose error would quote it
    if len(data) > MAX_BYTES or not text.strip():
        raise ConfigError(f"{file} does not begin with a line of text: it is to hold what opens the database")
    return text
