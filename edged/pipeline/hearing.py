"""Recordings in a message to a model that reads text alone: what is said in them is written down first."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from edged.errors import InvalidInput
from edged.events import Audio, Part, Text
from edged.pipeline.ports import SpeechToText


async def write_down(parts: tuple[Part, ...], speech: SpeechToText, *, max_seconds: int) -> tuple[Part, ...]:
    """The parts, each recording with its transcript.

    Raises InvalidInput for what is no recording or longer than max_seconds, and where nothing is said at all;
    and what the recognizer raises.
    """
    heard = [
        replace(part, transcript=await _heard(part, speech, max_seconds)) if isinstance(part, Audio) else part
        for part in parts
    ]
    if not any(_says_something(part) for part in heard):
        raise InvalidInput("nobody says anything in the recording; speak louder or closer", field="parts")
    return tuple(heard)


async def _heard(recording: Audio, speech: SpeechToText, max_seconds: int) -> str:
    from edged.audio.decode import RecordingFormat, begin_samples  # who only writes needs no numpy
    from edged.audio.pcm import SAMPLE_RATE

    recording_format = RecordingFormat(sample_rate=SAMPLE_RATE, max_seconds=max_seconds)
    samples = await asyncio.wrap_future(begin_samples(recording.data, recording_format))
    return await speech.transcribe(samples)


def transcript_of(parts: tuple[Part, ...]) -> str:
    """What was heard in all recordings, one a line."""
    return "\n".join(part.transcript for part in parts if isinstance(part, Audio) and part.transcript)


def _says_something(part: Part) -> bool:
    match part:
        case Text(text=text) | Audio(transcript=text):
            return bool(text.strip())
    return True
