"""A question aloud for `edged privacy prove`, and the use of it by Wyoming."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from edged.config import Config
from edged.errors import EdgedError, MissingExtra

if TYPE_CHECKING:
    from wyoming.client import AsyncClient

    from edged.client import Client

QUESTION = "What is the capital of France?"
PIECE_BYTES = 2 * 1600
"""A tenth of a second of sound."""
_WYOMING_SECONDS = 300.0
_RATE, _WIDTH_BYTES = 16_000, 2


async def spoken(config: Config) -> bytes:
    """The question aloud, as 16-bit samples at 16 kHz. Raises MissingExtra."""
    try:
        from edged.audio.pcm import to_bytes
        from edged.audio.resample import Resampler
        from edged.daemon.speech import Speech
    except ImportError as exc:
        raise MissingExtra("speech needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'") from exc
    voice = (speech := Speech(config)).voice
    try:
        await asyncio.to_thread(voice.load)
        pieces = [piece async for piece in voice.say(QUESTION)]
    finally:
        speech.close()
    resampler = Resampler(voice.sample_rate)
    return b"".join([*(to_bytes(resampler.push(piece[:, None])) for piece in pieces), to_bytes(resampler.flush())])


async def ask_by_wyoming(config: Config, client: Client) -> str:
    """Raises MissingExtra."""
    served = [place for place in (await client.status()).listening_on if place.endswith("(Wyoming)")]
    if not served:
        raise MissingExtra("Wyoming needs an extra: `make setup EXTRAS=wyoming` or pip install 'edged[wyoming]'")
    from wyoming.asr import Transcribe, Transcript
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncTcpClient
    from wyoming.tts import Synthesize

    sound = await spoken(config)
    host, _, port = served[0].partition(" ")[0].rpartition(":")
    async with AsyncTcpClient(host, int(port)) as services, asyncio.timeout(_WYOMING_SECONDS):
        await services.write_event(Transcribe().event())
        await services.write_event(AudioStart(rate=_RATE, width=_WIDTH_BYTES, channels=1).event())
        for begin in range(0, len(sound), PIECE_BYTES):
            piece = sound[begin : begin + PIECE_BYTES]
            await services.write_event(AudioChunk(rate=_RATE, width=_WIDTH_BYTES, channels=1, audio=piece).event())
        await services.write_event(AudioStop().event())
        await _until(services, Transcript.is_type)
        await services.write_event(Synthesize(text=QUESTION).event())
        await _until(services, AudioStop.is_type)
    return "a recording was written down, and a text said, for a program that speaks Wyoming"


async def _until(services: AsyncClient, is_awaited: Callable[[str], bool]) -> None:
    """Read on to an event of that type. Raises EdgedError where the daemon breaks off or refuses."""
    while (event := await services.read_event()) is not None:
        if is_awaited(event.type):
            return
        if event.type == "error":
            raise EdgedError(str(event.data.get("text")))
    raise EdgedError("Wyoming broke off")
