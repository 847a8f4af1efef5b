"""`edged conversations`: what was said, and getting rid of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import click

from edged.cli.connection import with_client
from edged.cli.output import new_file, print_json
from edged.cli.parameters import utf8
from edged.cli.transcript import as_document, as_markdown, as_text, print_conversations, print_hits, unmarked
from edged.config import Config, load_config
from edged.errors import Code, EdgedError, InvalidInput
from edged.records import Conversation, Transcript

if TYPE_CHECKING:
    from edged.client import Client

Result = TypeVar("Result")

_json_option = click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
_markdown_option = click.option("--markdown", is_flag=True, help="Print Markdown.")
PAGE_SIZE = 200
"""What the daemon gives at a time."""


@click.group()
def conversations() -> None:
    """Look at stored conversations, export them, delete them."""


@conversations.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most.")
@_json_option
def list_(limit: int, json_wanted: bool) -> None:
    """List conversations, latest first."""

    async def run(client: Client) -> tuple[list[Conversation], dict[str, str]]:
        latest = await _latest(client, limit)
        return latest, {} if json_wanted else await _owner_names(client, latest)

    latest, names = _with_client(run)
    if json_wanted:
        print_json(latest)
    else:
        print_conversations(latest, names)


async def _owner_names(client: Client, conversations: Iterable[Conversation]) -> dict[str, str]:
    """Of the devices among the owners; their IDs stand for those that the daemon does not tell."""
    if not any(one.owner.startswith("device:") for one in conversations):
        return {}
    try:
        return {f"device:{device.id}": device.name for device in await client.devices.list()}
    except EdgedError as exc:
        if exc.code is not Code.PERMISSION_DENIED:  # a device without the scope admin may still list conversations
            raise
        return {}


async def _latest(client: Client, limit: int) -> list[Conversation]:
    page = await client.list_conversations(page_size=min(limit, PAGE_SIZE))
    found = [*page.conversations]
    while page.next_page_token and len(found) < limit:
        size = min(limit - len(found), PAGE_SIZE)
        page = await client.list_conversations(page_size=size, page_token=page.next_page_token)
        found += page.conversations
    return found


@conversations.command()
@click.argument("conversation_id", metavar="ID", type=utf8)
@_json_option
@_markdown_option
def show(conversation_id: str, json_wanted: bool, markdown: bool) -> None:
    """Show one conversation."""
    transcript = _with_client(lambda client: client.get_conversation(conversation_id))
    if json_wanted:
        print_json(as_document(transcript, with_attachments=False))
    else:
        click.echo(as_markdown(transcript) if markdown else as_text(transcript), nl=False)


@conversations.command()
@click.argument("words", type=utf8, nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, PAGE_SIZE), default=50, show_default=True, help="At most.")
@_json_option
def search(words: tuple[str, ...], limit: int, json_wanted: bool) -> None:
    """Find messages that contain all the WORDS."""
    query = " ".join(words)
    hits = _with_client(lambda client: client.search(query, page_size=limit)).hits
    if json_wanted:
        print_json(unmarked(hits))
    elif hits:
        print_hits(hits)
    else:
        click.echo("Nothing found.")


@conversations.command()
@click.argument("conversation_ids", metavar="[ID]...", type=utf8, nargs=-1)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="A new file, for this user only.")
@click.option("--archive", type=click.Path(path_type=Path), metavar="FILE", help="A new signed archive, for import.")
@_json_option
@_markdown_option
def export(
    conversation_ids: tuple[str, ...], output: Path | None, archive: Path | None, json_wanted: bool, markdown: bool
) -> None:
    """Export the conversations with these IDs, or all of them.

    JSON holds one array with everything in it, pictures and recordings in base64; text and Markdown name those only.
    An archive holds everything, signed by the daemon's own key; none of these is encrypted.
    """
    if archive:
        if output or json_wanted or markdown:
            raise click.UsageError("--archive stands for itself: leave --output, --json and --markdown out")
        from edged.cli.archive import export_archive

        export_archive(_own(load_config()), conversation_ids, archive)
        return
    write = _write_json if json_wanted else _write_markdown if markdown else _write_text

    async def run(client: Client, stream: IO[str]) -> None:
        await write(client.export(conversation_ids), stream)

    # Never repeated: what was written cannot be taken back.
    if output is None:
        _with_client(lambda client: run(client, sys.stdout), may_repeat=False)
        return
    with new_file(output) as stream:
        _with_client(lambda client: run(client, stream), may_repeat=False)


@conversations.command()
@click.argument("conversation_id", metavar="ID", type=utf8)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(conversation_id: str, yes: bool) -> None:
    """Delete one conversation for good: nothing of it stays on disk."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("stdin is no terminal to ask on: add --yes")
        click.confirm(f"Delete conversation {conversation_id} for good?", abort=True)
    _with_client(lambda client: client.delete(conversation_id))
    click.echo(f"Deleted {conversation_id}.")


@conversations.command()
@click.argument("conversation_id", metavar="ID", type=utf8)
@click.argument("title", type=utf8)
def rename(conversation_id: str, title: str) -> None:
    """Give one conversation another title."""
    renamed = _with_client(lambda client: client.rename(conversation_id, title))
    click.echo(f"{renamed.id} is now: {renamed.title}")


@conversations.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--signed-by", default="", metavar="FINGERPRINT", help="Trust the archive of another daemon.")
def import_(file: Path, signed_by: str) -> None:
    """Store the conversations of the signed archive FILE; what is stored already stays as it is."""
    from edged.cli.archive import import_archive

    import_archive(_own(load_config()), file, signed_by)


def _own(config: Config) -> Config:
    """Archives are made of this machine's own memory."""
    if config.client.daemon:
        raise InvalidInput("archives are for the daemon's own machine: run this there, or unset client.daemon")
    return config


def _with_client(call: Callable[[Client], Awaitable[Result]], *, may_repeat: bool = True) -> Result:
    return asyncio.run(with_client(load_config(), call, may_repeat=lambda: may_repeat))


async def _write_text(transcripts: AsyncIterator[Transcript], stream: IO[str]) -> None:
    async for transcript in transcripts:
        stream.write(as_text(transcript) + "\n")


async def _write_markdown(transcripts: AsyncIterator[Transcript], stream: IO[str]) -> None:
    async for transcript in transcripts:
        stream.write(as_markdown(transcript) + "\n")


async def _write_json(transcripts: AsyncIterator[Transcript], stream: IO[str]) -> None:
    separator = "["
    async for transcript in transcripts:
        document = as_document(transcript, with_attachments=True)
        stream.write(separator + "\n" + json.dumps(document, indent=2, ensure_ascii=False))
        separator = ","
    stream.write("[]\n" if separator == "[" else "\n]\n")
