"""Sentences that somebody reads aloud to this machine's microphone, for `edged speakers enrol`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np

from edged.audio.microphone import Microphone
from edged.audio.pcm import SAMPLE_RATE, Pcm, to_wav
from edged.cli.output import say
from edged.cli.talk import typed_line
from edged.config import Config
from edged.errors import InvalidInput
from edged.events import Audio
from edged.pipeline.ports import VAD_SECONDS, VoiceActivity
from edged.pipeline.vad import Endpointing, Heard, Segmenter
from edged.speech.silero import SileroVad
from edged.speech.weights import silero_file

_PATIENT = Endpointing(silence_seconds=1.2, wait_seconds=15.0, max_seconds=20.0)
LEAST_SECONDS = 1.0
"""A sentence that ended sooner was none."""


async def sentences_recorded(config: Config, sentences: Sequence[str]) -> list[Audio]:
    """Each sentence as a recording in memory. The microphone is open until the last one is read.

    Raises InvalidInput where nobody speaks, MissingExtra, ArtefactError, DeviceUnavailable.
    """
    activity = SileroVad(silero_file())
    microphone = Microphone(config.voice.microphone)
    running = asyncio.create_task(microphone.run())
    try:
        await microphone.open()
        say("read aloud what is shown, and pause; Enter ends a sentence, too")
        return [await _sentence(microphone, activity, sentence) for sentence in sentences]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await microphone.close()


async def _sentence(microphone: Microphone, activity: VoiceActivity, sentence: str) -> Audio:
    say(sentence)
    typing = asyncio.create_task(typed_line() if sys.stdin.isatty() else asyncio.Event().wait())
    try:
        pcm = await recorded(aiter(microphone), activity, typing.done)
    finally:
        typing.cancel()
        await asyncio.gather(typing, return_exceptions=True)
    return Audio(data=to_wav(pcm), media_type="audio/wav")


async def recorded(frames: AsyncIterator[Pcm], activity: VoiceActivity, is_entered: Callable[[], bool]) -> Pcm:
    """What is said until a pause, or until Enter. Raises InvalidInput where nobody speaks."""
    activity.reset()
    segmenter, pieces, heard = Segmenter(_PATIENT), list[Pcm](), None
    async for frame in frames:
        pieces.append(frame)
        for probability in activity.push(frame):
            heard = segmenter.push(speech_probability=probability, seconds=VAD_SECONDS) or heard
        seconds = sum(map(len, pieces)) / SAMPLE_RATE
        if heard is Heard.NOTHING or (is_entered() and not segmenter.has_begun):
            raise InvalidInput("nobody was heard to speak; `edged doctor` says which microphone listens")
        if heard is Heard.END or (is_entered() and seconds >= LEAST_SECONDS):
            break
    return np.concatenate(pieces)
