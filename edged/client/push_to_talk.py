"""Push to talk with this machine's microphone and speaker, whatever is the button (extra voice)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from edged.errors import EdgedError, MissingExtra
from edged.voice_events import Button, Interrupted, SpokenAudio, SpokenInput, Stop, VoiceEvent, VolumeChanged

if TYPE_CHECKING:
    from edged.audio.microphone import Microphone
    from edged.audio.speaker import Speaker
    from edged.client.voice_call import VoiceCall
    from edged.config import VoiceConfig


def own_devices(voice: VoiceConfig) -> tuple[Microphone, Speaker]:
    """Ears and mouth of this machine, both closed. Raises MissingExtra."""
    try:
        from edged.audio.microphone import Microphone
        from edged.audio.speaker import Speaker
    except ImportError as exc:
        raise MissingExtra("talking needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'") from exc
    return Microphone(voice.microphone), Speaker(voice.speaker, volume_percent=voice.volume)


class PushToTalk:
    """The microphone is open only while the button is down; whoever presses it interrupts the answer."""

    def __init__(self, call: VoiceCall, microphone: Microphone, speaker: Speaker) -> None:
        """call: opened with VoiceMode.PUSH_TO_TALK and PCM16."""
        self._call = call
        self._microphone = microphone
        self._speaker = speaker
        self.is_recording = False

    async def run(self, show: Callable[[VoiceEvent], Awaitable[None]]) -> None:
        """Until `finish` and the end of the last answer. `show` gets all events but sound, which is played.

        Raises what `VoiceCall.events` and `Speaker.open` raise.
        """
        await self._speaker.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(self._microphone.run()),
                    tasks.create_task(self._speaker.run()),
                    tasks.create_task(self._send_sound()),
                ]
                await self._follow(show)
                for helper in helpers:
                    helper.cancel()
        except* EdgedError as group:
            raise group.exceptions[0] from None
        finally:
            await self._microphone.close()
            await self._speaker.close()

    async def toggle(self) -> None:
        """The button goes down, or up again. Raises what `Microphone.open` raises: then it is up."""
        if self.is_recording:
            await self._release()
        else:
            self.is_recording = True
            self._speaker.cut()
            await self._call.send(Button(is_pressed=True))
            try:
                await self._microphone.open()
            except EdgedError:
                await self._release()
                raise

    async def stop(self) -> None:
        """Be quiet at once."""
        self._speaker.cut()
        await self._call.send(Stop())

    async def finish(self) -> None:
        """Nothing more will be said."""
        if self.is_recording:
            await self._release()
        await self._call.finish()

    async def _release(self) -> None:
        self.is_recording = False
        await self._microphone.close()
        await self._call.send(Button(is_pressed=False))

    async def _send_sound(self) -> None:
        from edged.audio.pcm import to_bytes

        async for frame in self._microphone:
            await self._call.send(SpokenInput(data=to_bytes(frame)))

    async def _follow(self, show: Callable[[VoiceEvent], Awaitable[None]]) -> None:
        from edged.audio.pcm import from_bytes

        async with aclosing(self._call.events()) as events:
            async for event in events:
                match event:
                    case SpokenAudio(data=data, sample_rate=sample_rate):
                        self._speaker.play(from_bytes(data), sample_rate=sample_rate)
                        continue
                    case Interrupted():
                        self._speaker.cut()
                    case VolumeChanged(percent=percent):
                        self._speaker.volume_percent = percent
                await show(event)
        await self._speaker.drained()
