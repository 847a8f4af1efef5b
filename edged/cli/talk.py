"""`edged talk`: push to talk, with this terminal's microphone and speaker."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from edged.cli.connection import connected
from edged.cli.generation import Generation, generation_from, generation_options
from edged.cli.output import say
from edged.cli.parameters import utf8
from edged.cli.voice_view import VoiceView
from edged.config import Config, load_config
from edged.errors import EdgedError, MissingExtra
from edged.voice_events import Button, Interrupted, Opening, SpokenAudio, SpokenInput, VoiceMode, VolumeChanged

if TYPE_CHECKING:
    from edged.audio.microphone import Microphone
    from edged.audio.speaker import Speaker
    from edged.client.voice_call import VoiceCall


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
    microphone, speaker = _devices(config)
    opening = Opening(mode=VoiceMode.PUSH_TO_TALK, conversation_id=conversation_id, model=generation.model)
    await speaker.open()
    try:
        async with connected(config) as client:
            call = client.converse(opening)
            say("Enter: speak; Enter again: ask; Ctrl-D: leave")
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(microphone.run()),
                    tasks.create_task(speaker.run()),
                    tasks.create_task(_send_sound(call, microphone)),
                    tasks.create_task(_follow_keys(call, microphone, speaker)),
                ]
                await _show(call, speaker)
                for helper in helpers:
                    helper.cancel()
    finally:
        await speaker.close()


def _devices(config: Config) -> tuple[Microphone, Speaker]:
    try:
        from edged.audio.microphone import Microphone
        from edged.audio.speaker import Speaker
    except ImportError as exc:
        raise MissingExtra("talking needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'") from exc
    return Microphone(config.voice.microphone), Speaker(config.voice.speaker, volume_percent=config.voice.volume)


async def _send_sound(call: VoiceCall, microphone: Microphone) -> None:
    from edged.audio.pcm import to_bytes

    async for frame in microphone:
        await call.send(SpokenInput(data=to_bytes(frame)))


async def _follow_keys(call: VoiceCall, microphone: Microphone, speaker: Speaker) -> None:
    """Enter by Enter, until the end of input."""
    is_recording = False
    while await typed_line():
        is_recording = not is_recording
        if is_recording:
            speaker.cut()
            await call.send(Button(is_pressed=True))
            await microphone.open()
        else:
            await microphone.close()
            await call.send(Button(is_pressed=False))
    await microphone.close()
    await call.finish()


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


async def _show(call: VoiceCall, speaker: Speaker) -> None:
    from edged.audio.pcm import from_bytes

    view = VoiceView()
    async with aclosing(call.events()) as events:
        async for event in events:
            if isinstance(event, SpokenAudio):
                speaker.play(from_bytes(event.data), sample_rate=event.sample_rate)
                continue
            if isinstance(event, Interrupted):
                speaker.cut()
            if isinstance(event, VolumeChanged):
                speaker.volume_percent = event.percent
            view.show(event)
    await speaker.drained()
