"""`edged serve`: the daemon, in the foreground."""

from __future__ import annotations

from dataclasses import replace

import click

from edged.config import load_config, parse_loopback


@click.command()
@click.option("--lan", is_flag=True, help="Also let paired devices on the LAN in (`edged pair` pairs one).")
@click.option("--http", metavar="HOST:PORT", help="Also serve the API of OpenAI's clients there, on loopback.")
@click.option("--lifeline", type=int, hidden=True, help="Descriptor of a caller to end with (edged.launch).")
def serve(lan: bool, http: str | None, lifeline: int | None) -> None:
    """Run the daemon until SIGTERM or Ctrl-C.

    It listens on a unix socket that only this user can open, and elsewhere only if edged.toml or --lan says so.
    """
    from edged import daemon

    config = load_config()
    if lan:
        config = replace(config, lan=replace(config.lan, enabled=True))
    if http:
        try:
            parse_loopback(http)
        except ValueError as exc:
            raise click.UsageError(f"--http {exc}") from exc
        config = replace(config, http=replace(config.http, listen=http))
    daemon.serve(config, lifeline=lifeline)
