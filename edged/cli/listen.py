"""`edged listen` and `edged mute`: hands-free, in the room of this machine's microphone and speaker."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import click

from edged.cli.connection import connected, require_daemon, with_client
from edged.cli.output import print_json, say
from edged.cli.voice_view import VoiceView
from edged.config import Config, load_config


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print each event as one JSON object.")
@click.option(
    "--debug-recording",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep what the microphone hears as WAV files; only for a daemon that this command starts.",
)
def listen(as_json: bool, debug_recording: Path | None) -> None:
    """Talk hands-free: say the wake phrase and ask. Ctrl-C leaves.

    The daemon opens this machine's microphone for as long as this runs. Starts a daemon for itself when none is
    running.
    """
    config = load_config()
    if debug_recording:
        config = replace(config, voice=replace(config.voice, debug_recording=str(debug_recording.absolute())))
    asyncio.run(_listen(config, as_json))


async def _listen(config: Config, as_json: bool) -> None:
    view = VoiceView()
    async with connected(config) as client, aclosing(client.watch_events(listen=True)) as events:
        say(f'say "{config.voice.wake_words.partition(",")[0].replace("_", " ")}" and ask; Ctrl-C leaves')
        async for event in events:
            if as_json:
                print_json({"event": type(event).__name__, "fields": event})
            else:
                view.show(event)


@click.command()
@click.argument("switch", type=click.Choice(["on", "off"]), default="on")
def mute(switch: str) -> None:
    """Close the running daemon's microphone, whoever wants it (`edged mute off` opens it again)."""
    is_muted = asyncio.run(_mute(load_config(), switch == "on"))
    click.echo(f"the microphone is {'muted' if is_muted else 'not muted'}")


async def _mute(config: Config, muted: bool) -> bool:
    require_daemon(config)
    return await with_client(config, lambda client: client.mute(muted))
