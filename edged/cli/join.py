"""`edged join` and `edged daemons`: pair this machine with a daemon elsewhere."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from edged.cli.connection import paired_daemons
from edged.cli.devices import in_order
from edged.cli.output import local_time, print_json, print_table, printable, say
from edged.cli.parameters import utf8
from edged.config import load_config
from edged.errors import MissingExtra, NotFound

if TYPE_CHECKING:
    from edged.client.daemons import PairedDaemons, Pairing
    from edged.client.discovery import Found

LOOK_SECONDS = 3.0
"""How long daemons on the LAN are looked for."""
MAX_NAME_CHARACTERS = 60
"""Of what a daemon calls a device."""


@click.command()
@click.argument("daemon", metavar="[LINK | HOST[:PORT]]", type=utf8, required=False)
@click.option("--code", type=utf8, metavar="CODE", help="The six digits; asked for where they are needed.")
@click.option("--name", type=utf8, metavar="NAME", help="What the daemon calls this machine; its host name by default.")
@click.option("--as", "daemon_name", type=utf8, metavar="NAME", help="What this machine calls the daemon.")
def join(daemon: str | None, code: str | None, name: str | None, daemon_name: str | None) -> None:
    """Pair this machine with a daemon elsewhere, whose operator runs `edged pair` there.

    Takes the link or the address that it shows. Without either it looks for daemons in this network and lets you
    choose. What this machine shows must be what the operator sees. Then EDGED_CLIENT__DAEMON=NAME, or client.daemon in
    edged.toml, has the commands that talk to a daemon talk to that one.
    """
    folder = paired_daemons(load_config())
    folder.check_free(daemon_name or "daemon")
    address = daemon or _chosen()
    is_link = address.lower().startswith("https://")
    code = "" if is_link else code or _typed_code()
    try:
        pairing = asyncio.run(
            _join(folder, address, code, is_link, name or socket.gethostname()[:MAX_NAME_CHARACTERS], daemon_name)
        )
    except ImportError as exc:
        raise MissingExtra("pairing needs an extra: pip install 'edged[client]'") from exc
    click.echo(printable(f"Paired with {pairing.name}; this machine may {', '.join(in_order(pairing.scopes))}."))
    say(f"`EDGED_CLIENT__DAEMON={pairing.name} edged chat` talks to it, or client.daemon in edged.toml for good")


@click.group()
def daemons() -> None:
    """See which daemons elsewhere this machine is paired with, or forget one."""


@daemons.command("list")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
def list_(json_wanted: bool) -> None:
    """List the daemons that this machine is paired with."""
    known = paired_daemons(load_config())
    pairings = [known.load(name) for name in known.names()]
    if json_wanted:
        print_json([_public(pairing) for pairing in pairings])
    elif pairings:
        rows = [(one.name, one.grpc_address, one.device_id, local_time(one.expires_at)) for one in pairings]
        print_table(("NAME", "ADDRESS", "THIS MACHINE'S ID", "CERTIFICATE UNTIL"), rows)
    else:
        click.echo("Paired with no daemon: `edged join` does.")


@daemons.command()
@click.argument("name", type=utf8)
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(name: str, yes: bool) -> None:
    """Delete the key to the daemon called NAME. There, `edged devices revoke` makes it worthless."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("stdin is no terminal to ask on: add --yes")
        click.confirm(f"Forget the daemon {name}?", abort=True)
    paired_daemons(load_config()).remove(name)
    click.echo(f"Forgot {name}.")


async def _join(
    folder: PairedDaemons, address: str, code: str, is_link: bool, device_name: str, daemon_name: str | None
) -> Pairing:
    from edged.client.pairing import Comparing, pair

    given = {"link": address} if is_link else {"address": address, "code": code}
    async with aclosing(pair(**given, device_name=device_name)) as steps:
        async for step in steps:
            if isinstance(step, Comparing):
                folder.check_free(daemon_name or step.daemon, step.ca_certificate)
                click.echo(
                    f"This machine shows {step.short_string}: the daemon's operator says whether it is the same."
                )
            else:
                pairing = replace(step, name=daemon_name or step.name)
                if pairing.name in folder.names():
                    old = folder.load(pairing.name).device_id
                    say(f"this takes the place of an earlier pairing; there, `edged devices revoke {old}` ends it")
                folder.add(pairing)
                return pairing
    raise AssertionError("the last step is a pairing")


def _chosen() -> str:
    """The address of a daemon in this network that somebody picks. Raises NotFound where there is none."""
    found = asyncio.run(_look())
    if not found:
        raise NotFound("no daemon says in this network that it is here: name the address that `edged pair` shows")
    for number, daemon in enumerate(found, 1):
        click.echo(printable(f"{number:>3}  {daemon.name}  {daemon.web_address}"))
    if not sys.stdin.isatty():
        raise click.UsageError("stdin is no terminal to ask on: name one of these addresses")
    return found[click.prompt("Which", type=click.IntRange(1, len(found)), default=1) - 1].web_address


async def _look() -> tuple[Found, ...]:
    try:
        from edged.client.discovery import discover
    except ImportError as exc:
        raise MissingExtra("looking for daemons needs an extra: pip install 'edged[client]'") from exc
    say("looking for daemons in this network")
    return await discover(LOOK_SECONDS)


def _typed_code() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("stdin is no terminal to ask on: add --code with the six digits, or give the link")
    return str(click.prompt("Code"))


def _public(pairing: Pairing) -> dict[str, object]:
    """Without the key."""
    return {
        "name": pairing.name,
        "grpc_address": pairing.grpc_address,
        "web_address": pairing.web_address,
        "device_id": pairing.device_id,
        "scopes": pairing.scopes,
        "expires_at": pairing.expires_at,
    }
