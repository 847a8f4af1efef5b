"""`python -m clients.conformance serve`: serve, and say at the end what the client did right."""

from __future__ import annotations

import asyncio
import json
import signal

import click

from clients.conformance.checks import TASKS
from clients.conformance.daemon import watched_daemon
from edged.cli.border import errors_in_one_line

NEEDS_LAN = ("pair", "certificate")
_PORT = click.IntRange(1, 65535)


@click.group()
def main() -> None:
    """Check a client of edged in whatever language: see clients/conformance/README.md."""


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="On loopback; 0 takes any.")
@click.option("--lan", is_flag=True, help="Also pair, and serve paired devices with TLS; on loopback, too.")
@click.option("--grpc-port", type=_PORT, default=50051, show_default=True, help="For paired devices.")
@click.option("--web-port", type=_PORT, default=8443, show_default=True, help="For pairing.")
@click.option("--json", "json_wanted", is_flag=True, help="Print the report as one JSON object.")
@click.option("--only", type=click.Choice(list(TASKS)), multiple=True, help="Ask for these checks alone; repeatable.")
def serve(port: int, lan: bool, grpc_port: int, web_port: int, json_wanted: bool, only: tuple[str, ...]) -> None:
    """Serve until Ctrl-C or SIGTERM, and report. Exits with 1 where something has not passed."""
    with errors_in_one_line():
        lan_ports = (grpc_port, web_port) if lan else None
        wanted = only or tuple(name for name in TASKS if lan or name not in NEEDS_LAN)
        raise SystemExit(asyncio.run(_serve(port, lan_ports, json_wanted, wanted)))


async def _serve(port: int, lan_ports: tuple[int, int] | None, json_wanted: bool, wanted: tuple[str, ...]) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with watched_daemon(port, lan_ports, click.echo) as daemon:
        click.echo(f"listening on {daemon.address}")
        await stop.wait()
    report = {name: daemon.observer.checks[name] for name in wanted}
    if json_wanted:
        click.echo(json.dumps({name: check.result for name, check in report.items()}))
    else:
        for name, check in report.items():
            click.echo(f"{name:<9} {check.result}")
    return 0 if all(check.has_passed for check in report.values()) else 1


if __name__ == "__main__":
    main(prog_name="python -m clients.conformance")
