"""`edged devices`: who is paired, what they may do, and getting rid of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import click

from edged.cli.connection import running
from edged.cli.output import local_time, print_json, print_table, printable
from edged.cli.parameters import utf8
from edged.config import load_config
from edged.errors import InvalidInput, NotFound, nearest
from edged.records import AuditEvent, Device, Scope

if TYPE_CHECKING:
    from edged.client import Client

Result = TypeVar("Result")
PAGE_SIZE = 200
"""What the daemon gives at a time."""
CA_CERTIFICATE = "/ca.crt"
"""Where the web port gives the certificate out that its own is signed with."""

scope_option = click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    metavar="SCOPE",
    help=f"What it may do; repeatable: {', '.join(Scope)}.",
)
days_option = click.option("--days", type=click.IntRange(1, 36_500), metavar="N", help="Let it in for N days only.")
_json_option = click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")


@click.group()
def devices() -> None:
    """See which devices are paired, change what they may do, or revoke them.

    DEVICE is an ID, or a name that only one device has.
    """


@devices.command("list")
@_json_option
def list_(json_wanted: bool) -> None:
    """List paired devices by name."""
    paired = _with_client(lambda client: client.devices.list())
    if json_wanted:
        print_json(paired)
    elif paired:
        print_table(("NAME", "ID", "KIND", "PERSON", "MAY", "LAST SEEN", "EXPIRES"), map(_row, paired))
    else:
        click.echo("No device is paired: `edged pair` lets one in.")


@devices.command()
@click.argument("device", type=utf8)
@click.option("--name", type=utf8, help="Call it so.")
@click.option("--person", type=utf8, help="Whose it is; \"\" for nobody's. One person's devices share conversations.")
@scope_option
@days_option
@click.option("--no-expiry", is_flag=True, help="Let it in for good.")
def update(
    device: str, name: str | None, person: str | None, scopes: tuple[str, ...], days: int | None, no_expiry: bool
) -> None:
    """Change what DEVICE is called and may do. The scopes given take the place of all it had.

    What it is doing is broken off where it no longer may.
    """
    if no_expiry and days:
        raise click.UsageError("--days and --no-expiry exclude each other")
    if name is None and person is None and not scopes and not days and not no_expiry:
        raise click.UsageError("nothing to change: give --name, --person, --scope, --days or --no-expiry")

    async def change(client: Client) -> Device:
        return await client.devices.update(
            (await _named(client, device)).id,
            name=name,
            person=person,
            scopes=map(Scope, scopes),
            expires_at=expiry(days),
            never_expires=no_expiry,
        )

    click.echo(described(_with_client(change)))


@devices.command()
@click.argument("name", type=utf8)
@click.option("--person", type=utf8, default="", help="Whose it is: devices of one person share their conversations.")
@scope_option
@days_option
@_json_option
def key(name: str, person: str, scopes: tuple[str, ...], days: int | None, json_wanted: bool) -> None:
    """Let a program in that speaks OpenAI's API, and call it NAME.

    Prints the key, which nobody can show again, and where the API is on the LAN (http.lan = true). Without --scope it
    may chat and use voice. Whoever has the key may what it may: `edged devices revoke NAME` takes it back.
    """
    made = _with_client(
        lambda client: client.devices.create_api_key(name, map(Scope, scopes), person=person, expires_at=expiry(days))
    )
    if json_wanted:
        print_json(made)
        return
    first, *others = (f"https://{address}/v1" for address in made.addresses)
    for what, value in (
        ("key", made.key),
        ("base URL", first),
        *((("or", ", ".join(others)),) if others else ()),
        ("to trust", f"https://{made.addresses[0]}{CA_CERTIFICATE}"),
    ):
        click.echo(printable(f"{what:<12} {value}"))
    click.echo(printable(f"Let in: {described(made.device)}."))


@devices.command()
@click.argument("device", type=utf8)
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(device: str, yes: bool) -> None:
    """Forget DEVICE: it is cut off at once, in the middle of a word, and has to be paired again."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("stdin is no terminal to ask on: add --yes")
        click.confirm(f"Revoke {device}?", abort=True)

    async def forget(client: Client) -> Device:
        found = await _named(client, device)
        await client.devices.revoke(found.id)
        return found

    click.echo(f"Revoked {_with_client(forget).name}.")


@devices.command()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most.")
@_json_option
def log(limit: int, json_wanted: bool) -> None:
    """Show what happened to devices, latest first: paired, changed, revoked, wrong codes."""
    events = _with_client(lambda client: _latest(client, limit))
    if json_wanted:
        print_json(events)
    elif events:
        print_table(("TIME", "WHAT", "DEVICE", "ID", "ADDRESS"), map(_event_row, events))
    else:
        click.echo("Nothing happened yet.")


def expiry(days: int | None) -> datetime | None:
    """That many days from now; None for never."""
    return datetime.now(UTC) + timedelta(days=days) if days else None


def described(device: Device) -> str:
    """A line about a device."""
    whose = f", {device.person}'s" if device.person else ""
    until = f" until {local_time(device.expires_at)}" if device.expires_at else ""
    return f"{device.name} ({device.id}{whose}) may {', '.join(in_order(device.scopes))}{until}"


def in_order(scopes: Iterable[Scope]) -> list[str]:
    """As the documentation has them."""
    return [scope.value for scope in Scope if scope in set(scopes)]


async def _named(client: Client, device: str) -> Device:
    """The device with that ID, or else with that name. Raises NotFound, and InvalidInput for a name of several."""
    paired = await client.devices.list()
    found = [one for one in paired if one.id == device] or [one for one in paired if one.name == device]
    if not found:
        raise NotFound(f"no device is called {device[:60]!r}{nearest(device, (one.name for one in paired))}")
    if len(found) > 1:
        raise InvalidInput(f"{len(found)} devices are called {device!r}: name one by its ID (`edged devices list`)")
    return found[0]


async def _latest(client: Client, limit: int) -> list[AuditEvent]:
    page = await client.devices.audit_events(page_size=min(limit, PAGE_SIZE))
    found = [*page.events]
    while page.next_page_token and len(found) < limit:
        size = min(limit - len(found), PAGE_SIZE)
        page = await client.devices.audit_events(page_size=size, page_token=page.next_page_token)
        found += page.events
    return found


def _row(device: Device) -> tuple[str, ...]:
    return (
        device.name,
        device.id,
        device.kind.value,
        device.person or "-",
        ",".join(in_order(device.scopes)),
        local_time(device.last_seen_at) if device.last_seen_at else "never",
        local_time(device.expires_at) if device.expires_at else "never",
    )


def _event_row(event: AuditEvent) -> tuple[str, ...]:
    return (
        local_time(event.time),
        event.action,
        event.device_name or "-",
        event.device_id or "-",
        event.address or "-",
    )


def _with_client(call: Callable[[Client], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with running(load_config()) as client:
            return await call(client)

    return asyncio.run(run())
