"""`edged privacy`: what keeps everything in the house, and the proof of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edged.cli.connection import running
from edged.cli.lan_checks import can_serve_the_lan
from edged.cli.output import counted, human_bytes, print_json, printable, say
from edged.config import (
    CameraConfig,
    ClientConfig,
    Config,
    HttpConfig,
    LanConfig,
    WyomingConfig,
    environment_for,
    load_config,
)
from edged.errors import EdgedError
from edged.records import CameraState, DaemonStatus, MicrophoneState, PrivacyStatus, StoreStatus

if TYPE_CHECKING:
    from edged.cli.privacy_uses import Use


@click.group()
def privacy() -> None:
    """Show what is enforced, and prove that nothing leaves this machine."""


@privacy.command()
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
def report(json_wanted: bool) -> None:
    """Say what the running daemon enforces now, what was refused, what listens, and what is stored."""
    status = asyncio.run(_status(load_config()))
    if json_wanted:
        print_json(
            {
                "enforcements": status.privacy.enforcements,
                "refused_connections": status.privacy.refused_connections,
                "refused_by_call": {refusal.call: refusal.count for refusal in status.privacy.refusals},
                "kernel_refusals_counted": False,
                "content_logging": status.privacy.content_logging,
                "microphone": status.voice.microphone if status.voice else None,
                "camera": status.camera.state if status.camera else None,
                "listening_on": status.listening_on,
                "store": status.store,
            }
        )
        return
    for line in _report(status):
        click.echo(printable(line))


async def _status(config: Config) -> DaemonStatus:
    async with running(config) as client:
        return await client.status()


def _report(status: DaemonStatus) -> list[str]:
    privacy, store = status.privacy, status.store
    return [
        *(f"{'on ' if item.active else 'OFF'} {item.name}: {item.detail}" for item in privacy.enforcements),
        _refused(privacy),
        *(f"listening on {place}" for place in status.listening_on),
        f"microphone {_microphone(status)}",
        f"camera {_camera(status)}",
        *_stored(store),
        f"{'encrypted, key in ' + store.key_source if store.encrypted else 'NOT ENCRYPTED'}. {store.protection}",
        *([store.retention] if store.retention else []),
        *(["WHAT IS SAID GOES TO THE LOG (logging.content)"] if privacy.content_logging else []),
    ]


def _refused(privacy: PrivacyStatus) -> str:
    calls = ", ".join(f"{refusal.call} {refusal.count}" for refusal in privacy.refusals)
    return (
        f"{counted(privacy.refused_connections, 'connection')} of Python code refused since the daemon started"
        f"{f' ({calls})' if calls else ''}; what the kernel refuses is not counted"
    )


def _stored(store: StoreStatus) -> list[str]:
    oldest = f", the oldest of {store.oldest_message_at.astimezone():%Y-%m-%d}" if store.oldest_message_at else ""
    media = f"{store.attachments} pictures and recordings ({human_bytes(store.attachment_bytes)})"
    numbers = ((store.voiceprints, "voiceprint"), (store.devices, "paired device"), (store.api_keys, "API key"))
    known = ", ".join(counted(number, noun) for number, noun in numbers)
    return [
        f"stored: {counted(store.conversations, 'conversation')}, {counted(store.messages, 'message')}{oldest}",
        f"stored: {media}, {known}",
        f"stored in {store.database}, {human_bytes(store.database_bytes)}",
        f"in memory alone: {counted(store.incognito_conversations, 'incognito conversation')}",
    ]


def _microphone(status: DaemonStatus) -> str:
    if status.voice is None:
        return "none: this daemon has no ears"
    return "OPEN" if status.voice.microphone is MicrophoneState.OPEN else status.voice.microphone.value


def _camera(status: DaemonStatus) -> str:
    if status.camera is None:
        return "none: camera.source is empty"
    return "OPEN" if status.camera.state is CameraState.OPEN else status.camera.state.value


@privacy.command()
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
@click.pass_context
def prove(context: click.Context, json_wanted: bool) -> None:
    """Run a daemon through its main uses in a network that counts what tries to leave.

    The daemon is another one than yours, with an empty memory that is thrown away. Before it starts, a packet is sent
    on purpose, to see that it is counted. What could not be done here is named. Exits with 1 if anything left.
    """
    from edged.privacy.counting import in_namespace

    config = load_config()
    with tempfile.TemporaryDirectory(prefix="edged-prove-") as folder:
        command = in_namespace([sys.executable, "-P", "-m", "edged", "privacy", "inside"])
        result = _proved(command, _thrown_away(config, Path(folder)))
    if json_wanted:
        print_json(result)
    else:
        click.echo(f"{result['packets_out']} packets left in {len(result['uses'])} uses")
        for what, count in result["packets"].items():
            click.echo(f"  {count} {what}")
        for name, why in result["left_out"].items():
            click.echo(printable(f"not among them: {name}: {why}"))
    if result["packets_out"]:
        context.exit(1)


def _thrown_away(config: Config, folder: Path) -> Config:
    """The same engines and models, with a memory and a key of its own, that no one else reaches."""
    return replace(
        config,
        paths=replace(config.paths, state=folder / "state"),
        daemon=replace(config.daemon, socket=str(folder / "socket"), tcp="", linger_seconds=0.0),
        store=replace(config.store, key="file", key_directory=str(folder / "key")),
        camera=CameraConfig(),  # one on the LAN would be counted; the one of `inside` stands on loopback
        wyoming=WyomingConfig(listen="127.0.0.1:0" if find_spec("wyoming") else ""),
        lan=LanConfig(enabled=can_serve_the_lan(), announce=False),  # which would be meant for the LAN, and be counted
        http=HttpConfig(listen="127.0.0.1:0" if can_serve_the_lan() else ""),
        client=ClientConfig(),
    )


def _proved(command: list[str], config: Config) -> dict[str, Any]:
    """What the process inside says in its last line; it says each use as it is done."""
    with subprocess.Popen(
        command,
        env=environment_for(config),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        last: dict[str, Any] = {}
        for line in process.stdout:
            last = json.loads(line)
            if "name" in last:
                say(f"{last['name']}: {last['detail']}" if last["done"] else f"{last['name']} left out")
        trouble = process.stderr.read().strip().splitlines()
    if process.returncode:
        raise EdgedError(f"nothing was proved: {trouble[-1].removeprefix('edged: ') if trouble else 'it broke off'}")
    return last


@privacy.command(hidden=True)
def inside() -> None:
    """Inside the namespace: the uses, a line of JSON for each, and at last what was counted."""
    from edged.privacy.counting import counting

    config = load_config()
    with counting() as way_out:
        uses, refused = asyncio.run(_through_uses(config))
        packets = way_out.packets
    result = {
        "packets_out": sum(packets.values()),
        "uses": [use.name for use in uses if use.done],
        "left_out": {use.name: use.detail for use in uses if not use.done},
        "packets": packets,
        "refused_connections": refused,
    }
    click.echo(json.dumps(result))


async def _through_uses(config: Config) -> tuple[list[Use], int]:
    """The uses, and how many connections the guard refused meanwhile."""
    from edged.cli.privacy_camera import camera_on_loopback
    from edged.cli.privacy_uses import main_uses
    from edged.client import Client
    from edged.launch import daemon_for

    async with camera_on_loopback() as source:
        config = replace(config, camera=CameraConfig(source=source))
        async with daemon_for(config) as daemon, Client(daemon.address) as client:
            uses = []
            async for use in main_uses(config, client):
                click.echo(json.dumps(asdict(use)))
                uses.append(use)
            return uses, (await client.status()).privacy.refused_connections
