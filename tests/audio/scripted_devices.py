"""A microphone and a speaker that need no sound card, for whoever talks with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from edged.audio.device_stream import DeviceState
from edged.audio.pcm import Pcm
from edged.config import VoiceConfig
from edged.errors import EdgedError
from tests.pipeline.stages import speech


class Microphone:
    """Hears somebody speak whenever it is open."""

    overruns = reconnects = 0
    state = DeviceState.MUTED

    def __init__(self) -> None:
        self.failure: EdgedError | None = None
        self.frames = 0

    async def open(self) -> None:
        if self.failure:
            raise self.failure
        self.state = DeviceState.OPEN

    async def close(self) -> None:
        self.state = DeviceState.MUTED

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def __aiter__(self) -> AsyncIterator[Pcm]:
        while True:
            await asyncio.sleep(0.002)
            if self.state is DeviceState.OPEN:
                self.frames += 1
                yield speech(0.01)


class Speaker(Microphone):
    """Has played everything at once."""

    is_playing = False
    underruns = 0
    volume_percent = 80

    def __init__(self) -> None:
        super().__init__()
        self.played = 0
        self.cuts = 0

    def play(self, pcm: Pcm, *, sample_rate: int, last: bool = True) -> None:
        self.played += len(pcm)

    def cut(self) -> None:
        self.cuts += 1

    async def drained(self) -> None:
        pass

    def far_end(self) -> list[Pcm]:
        return []


class Desk:
    """This machine's devices."""

    def __init__(self) -> None:
        self.microphone, self.speaker = Microphone(), Speaker()

    @property
    def is_open(self) -> bool:
        return DeviceState.OPEN in (self.microphone.state, self.speaker.state)

    def __call__(self, voice: VoiceConfig) -> Any:
        return self.microphone, self.speaker
