"""`edged-desktop`: the app from the command line."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from clients.desktop.strings import LANGUAGES, language_of
from edged.cli.border import errors_in_one_line
from edged.cli.parameters import utf8
from edged.config import Config, load_config
from edged.errors import MissingExtra

if TYPE_CHECKING:
    from clients.desktop.app import DesktopApp


@click.command()
@click.option("--daemon", type=utf8, metavar="NAME", help="A daemon elsewhere that this machine is paired with.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Of what the app says; the locale's by default.")
def desktop(daemon: str | None, language: str | None) -> None:
    """Chat and talk in a terminal window of its own; F1 lists the keys.

    Starts a daemon for itself when none is running.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it writes to stderr would land on the screen
    with errors_in_one_line():
        app = _app(_with_daemon(load_config(), daemon), language or language_of(os.environ))
        app.run()


def _app(config: Config, language: str) -> DesktopApp:
    try:
        from clients.desktop.app import DesktopApp
    except ImportError as exc:
        raise MissingExtra("the desktop app needs an extra: pip install 'edged[desktop]'") from exc
    return DesktopApp(config, language)


def _with_daemon(config: Config, name: str | None) -> Config:
    return config if name is None else replace(config, client=replace(config.client, daemon=name))


def main() -> None:
    """What `edged-desktop` starts."""
    desktop(prog_name="edged-desktop")


if __name__ == "__main__":
    main()
