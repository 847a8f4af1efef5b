"""`edged serve`: the daemon, in the foreground."""

from __future__ import annotations

import click

from edged.config import load_config


@click.command()
@click.option("--lifeline", type=int, hidden=True, help="Descriptor of a caller to end with (edged.launch).")
def serve(lifeline: int | None) -> None:
    """Run the daemon until SIGTERM or Ctrl-C.

    It listens on a unix socket that only this user can open, and elsewhere only if edged.toml says so.
    """
    from edged import daemon

    daemon.serve(load_config(), lifeline=lifeline)
