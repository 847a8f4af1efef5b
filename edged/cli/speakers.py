"""`edged speakers`: whose voices are known."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edged.cli.attachment import read_audio
from edged.cli.connection import with_client
from edged.cli.output import local_time, print_json, print_table, say
from edged.cli.parameters import utf8
from edged.config import Config, load_config
from edged.errors import MissingExtra
from edged.events import Audio

if TYPE_CHECKING:
    from edged.client import Client

Result = TypeVar("Result")

SENTENCES = (
    "The north wind and the sun were arguing one day about which of them was stronger.",
    "Please remind me tomorrow morning to buy bread, milk and a bag of oranges.",
    "My favourite season is autumn, when the leaves turn yellow and the air is cool.",
)
"""To be read aloud; any others would do."""


@click.group()
def speakers() -> None:
    """Tell the assistant whose voice is whose; it says so where voice.identify_speakers is on."""


@speakers.command()
@click.argument("name", type=utf8)
@click.argument("files", metavar="[FILE]...", type=click.Path(path_type=Path), nargs=-1)
def enrol(name: str, files: tuple[Path, ...]) -> None:
    """Make the voice of NAME known by three to ten recordings of it, WAV, MP3, FLAC or Ogg.

    Without FILEs it records three sentences with this machine's microphone. A second of speech each is the least.
    What is kept of them, encrypted, are 256 numbers that say what the voice is like, and no recording.
    """
    config = load_config()
    recordings = [read_audio(path, max_bytes=config.daemon.max_message_bytes) for path in files]
    # Recorded once, whatever becomes of the daemon that is asked.
    recordings = recordings or asyncio.run(_read_aloud(config))
    enrolled = _with_client(config, lambda client: client.enrol_speaker(name, recordings))
    click.echo(f"{enrolled.name} is enrolled.")
    if not config.voice.identify_speakers:
        say("voice.identify_speakers is off: set it to true, and the assistant says who spoke")


@speakers.command("list")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
def list_(json_wanted: bool) -> None:
    """List the people whose voices are known."""
    enrolled = _with_client(load_config(), lambda client: client.list_speakers())
    if json_wanted:
        print_json(enrolled)
    elif enrolled:
        print_table(("NAME", "ENROLLED"), [(person.name, local_time(person.created_at)) for person in enrolled])
    else:
        click.echo("Nobody is enrolled.")


@speakers.command()
@click.argument("name", type=utf8)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Forget the voice of NAME for good: nothing of it stays on disk."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("stdin is no terminal to ask on: add --yes")
        click.confirm(f"Forget the voice of {name} for good?", abort=True)
    _with_client(load_config(), lambda client: client.delete_speaker(name))
    click.echo(f"Deleted {name}.")


def _with_client(config: Config, call: Callable[[Client], Awaitable[Result]]) -> Result:
    return asyncio.run(with_client(config, call))


async def _read_aloud(config: Config) -> list[Audio]:
    try:
        from edged.cli.recording import sentences_recorded
    except ImportError as exc:
        raise MissingExtra("recording needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'") from exc
    return await sentences_recorded(config, SENTENCES)
