"""`edged talk`: push to talk, with this terminal's microphone and speaker."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from edged.cli.connection import connected
from edged.cli.generation import Generation, generation_from, generation_options
from edged.cli.output import say
from edged.cli.parameters import utf8
from edged.cli.voice_view import VoiceView
from edged.config import Config, load_config
from edged.errors import EdgedError
from edged.voice_events import Opening, VoiceEvent, VoiceMode

if TYPE_CHECKING:
    from edged.client.push_to_talk import PushToTalk


@click.command()
@click.option("--conversation", type=utf8, default="", metavar="ID", help="Go on with this conversation.")
@generation_options
def talk(conversation: str, **options: Any) -> None:
    """Talk to the assistant: Enter begins to record, Enter again asks, Ctrl-D leaves.

    The microphone is open only while it records. Starts a daemon for itself when none is running.
    """
    try:
        asyncio.run(_talk(load_config(), conversation, generation_from(options)))
    except* EdgedError as group:
        raise group.exceptions[0] from None


async def _talk(config: Config, conversation_id: str, generation: Generation) -> None:
    from edged.client.push_to_talk import PushToTalk, own_devices

    microphone, speaker = own_devices(config.voice)
    opening = Opening(
        mode=VoiceMode.PUSH_TO_TALK,
        conversation_id=conversation_id,
        model=generation.model,
        incognito=generation.incognito,
    )
    await speaker.open()  # before a daemon is started in vain
    try:
        async with connected(config) as client:
            talking = PushToTalk(client.converse(opening), microphone, speaker)
            say("Enter: speak; Enter again: ask; Ctrl-D: leave")
            async with asyncio.TaskGroup() as tasks:
                keys = tasks.create_task(_follow_keys(talking))
                await talking.run(_shown_by(VoiceView()))
                keys.cancel()
    finally:
        await speaker.close()


async def _follow_keys(talking: PushToTalk) -> None:
    """Enter by Enter, until the end of input."""
    while await typed_line():
        await talking.toggle()
    await talking.finish()


def _shown_by(view: VoiceView) -> Callable[[VoiceEvent], Awaitable[None]]:
    async def show(event: VoiceEvent) -> None:
        view.show(event)

    return show


async def typed_line() -> str:
    """The next line of stdin; empty at its end. The terminal does not keep the loop waiting."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(sys.stdin.fileno(), ready.set)
    except PermissionError:  # a file, which is always ready
        return sys.stdin.readline()
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()
