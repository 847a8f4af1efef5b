"""Options that name a passphrase, which never stands in a command line itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edged.errors import InvalidInput

Command = TypeVar("Command", bound=Callable[..., Any])


def passphrase_options(what: str) -> Callable[[Command], Command]:
    """Add --passphrase, which asks on the terminal, and --passphrase-file; the command hands them to `passphrase`."""

    def add(command: Command) -> Command:
        file = click.Path(path_type=Path)
        command = click.option(
            "--passphrase-file", type=file, metavar="FILE", help="The same, in the first line of FILE (/dev/fd/N, say)."
        )(command)
        return click.option("--passphrase", "asks", is_flag=True, help=f"Ask for {what}.")(command)

    return add


def passphrase(asks: bool, file: Path | None, *, twice: bool) -> str:
    """What was typed or stands in the file; "" where neither was asked for.

    twice: for a new one. Raises InvalidInput, ConfigError, click.UsageError.
    """
    from edged.daemon.secret import ask_passphrase, first_line

    if asks and file:
        raise click.UsageError("--passphrase and --passphrase-file exclude each other.")
    if file:
        return first_line(file)
    if not asks:
        return ""
    if typed := ask_passphrase("New passphrase: " if twice else "Passphrase: ", twice=twice):
        return typed
    raise InvalidInput("no passphrase was typed: type one on a terminal, or name a --passphrase-file")
