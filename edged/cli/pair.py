"""`edged pair`: let a phone, a desktop or a program in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from edged.cli.border import Failure
from edged.cli.connection import running
from edged.cli.devices import days_option, described, expiry, scope_option
from edged.cli.output import as_json, printable, say
from edged.cli.parameters import utf8
from edged.cli.qr_code import qr_lines
from edged.cli.talk import typed_line
from edged.config import load_config
from edged.records import Device, PairingCandidate, PairingEnd, PairingOffer, Scope

if TYPE_CHECKING:
    from edged.client import Client

LAST_PAIRING = ""
"""The last one that was opened: only that can be open."""
NO_END = "the daemon did not say what became of the pairing: `edged devices list` shows who is in"
_SHORT_STRING = re.compile(r"([0-9]{4})-?([0-9]{4})")


@click.command()
@scope_option
@click.option("--person", type=utf8, default="", help="Whose it is: devices of one person share their conversations.")
@days_option
@click.option("--yes", is_flag=True, help="Let in whoever knows the code, without comparing.")
@click.option("--confirm", metavar="STRING", help="Let in the device that shows this, of the pairing that is open.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON and leave the pairing open.")
def pair(
    scopes: tuple[str, ...], person: str, days: int | None, yes: bool, confirm: str | None, json_wanted: bool
) -> None:
    """Let one device in, within two minutes.

    Shows a code to scan, a link and six digits to type (`edged join` on another machine). When a device knows them
    both sides show the same eight digits, and you say whether they do. Without --scope it may chat, talk and see its
    own history. The daemon has to listen on the LAN (`edged serve --lan`).
    """
    if confirm is None and not json_wanted and not yes and not sys.stdin.isatty():
        raise click.UsageError("stdin is no terminal to ask on: add --json and use --confirm then, or add --yes")
    wanted = None if confirm is None else _short_string(confirm)

    async def run() -> None:
        async with running(load_config()) as client:
            if wanted is not None:
                _show_let_in(await _confirm(client, wanted), json_wanted)
                return
            offer = await client.devices.open_pairing(map(Scope, scopes), person=person, expires_at=expiry(days))
            if json_wanted:
                _print_line(offer)
                return
            _show_offer(offer)
            _show_let_in(await _follow(client, offer, yes), json_wanted)

    asyncio.run(run())


async def _confirm(client: Client, short_string: str) -> Device:
    """Wait for the device that shows it, and let it in."""
    async with aclosing(client.devices.watch_pairing(LAST_PAIRING)) as events:
        async for event in events:
            if isinstance(event, PairingEnd):
                raise Failure(f"no device that shows {short_string} came: {printable(event.reason) or 'another did'}")
            if event.short_string == short_string:
                device = await client.devices.confirm_pairing(LAST_PAIRING, short_string)
                if device:
                    return device
            else:  # its digits are not told: they are to be read from the device
                say(
                    printable(f"{event.device_name} ({event.kind.value}, {event.address}) shows other digits")
                    + f": compare them again; still waiting for {short_string}, Ctrl-C ends"
                )
    raise Failure(NO_END)


async def _follow(client: Client, offer: PairingOffer, yes: bool) -> Device:
    """Ask about each device that knows the code, until one is let in."""
    async with aclosing(client.devices.watch_pairing(offer.pairing_id, closes=True)) as events:
        async for event in events:
            if isinstance(event, PairingEnd):
                if event.device:
                    return event.device
                raise Failure(f"nobody was let in: {printable(event.reason)}")
            click.echo(printable(f"{event.device_name} ({event.kind.value}, {event.address}) knows the code."))
            with contextlib.suppress(TimeoutError):  # it has ended then, and the next event says so
                async with asyncio.timeout((offer.expires_at - datetime.now(UTC)).total_seconds()):
                    is_the_one = yes or await _asked(event)
                await _decide(client, offer, event, is_the_one)
    raise Failure(NO_END)


async def _decide(client: Client, offer: PairingOffer, candidate: PairingCandidate, is_the_one: bool) -> None:
    await client.devices.confirm_pairing(offer.pairing_id, candidate.short_string, is_the_one=is_the_one)
    if not is_the_one:
        say("refused; still open for another device, Ctrl-C closes")


async def _asked(candidate: PairingCandidate) -> bool:
    click.echo(f"Does it show {printable(candidate.short_string)}? [y/N] ", nl=False)
    return (await typed_line()).strip().lower() in ("y", "yes")


def _show_offer(offer: PairingOffer) -> None:
    seconds = max(0, round((offer.expires_at - datetime.now(UTC)).total_seconds()))
    for line in ("Scan this with a phone in the same network:", "", *qr_lines(offer.link), ""):
        click.echo(line)
    first, *others = offer.addresses
    for what, value in (
        ("link", offer.link),
        ("code", f"{offer.code[:3]} {offer.code[3:]}, for `edged join {first}`"),
        *((("or at", ", ".join(others)),) if others else ()),
        ("fingerprint", offer.fingerprint),
        ("open for", f"{seconds} s; Ctrl-C closes"),
    ):
        click.echo(printable(f"{what:<12} {value}"))
    click.echo("A browser warns of a certificate that it does not know: go on only where it has this fingerprint.")


def _show_let_in(device: Device, json_wanted: bool) -> None:
    if json_wanted:
        _print_line(device)
    else:
        click.echo(printable(f"Let in: {described(device)}."))


def _print_line(value: object) -> None:
    click.echo(json.dumps(as_json(value), ensure_ascii=False))


def _short_string(text: str) -> str:
    """As the daemon writes it; people leave the hyphen out."""
    found = _SHORT_STRING.fullmatch(text.strip())
    if not found:
        raise click.UsageError("--confirm takes what the device shows: four digits, a hyphen, four digits")
    return "-".join(found.groups())
