"""Ask what a recording asks, and keep the spoken answer as another recording.

python clients/python/talk.py ADDRESS QUESTION.wav ANSWER.wav

QUESTION.wav has one channel of 16-bit samples, 16,000 a second. The daemon needs its extra `voice`.
"""

from __future__ import annotations

import asyncio
import sys
import wave
from contextlib import aclosing

from edged.client import Client
from edged.errors import EdgedError
from edged.voice_events import Button, FinalTranscript, Opening, SpokenAudio, SpokenInput, VoiceMode


async def talk(address: str, question_file: str, answer_file: str) -> None:
    """Press the button, say it, let go, and listen."""
    with wave.open(question_file) as recording:
        question = recording.readframes(recording.getnframes())
    sound, sample_rate = bytearray(), 0
    async with Client(address) as client:
        call = client.converse(Opening(mode=VoiceMode.PUSH_TO_TALK))
        await call.send(Button(is_pressed=True))
        for start in range(0, len(question), 6400):  # 0.2 s; at most a second each
            await call.send(SpokenInput(data=question[start : start + 6400]))
        await call.send(Button(is_pressed=False))
        await call.finish()
        async with aclosing(call.events()) as events:  # taken up again by itself when the connection breaks
            async for event in events:
                match event:
                    case FinalTranscript(text=text):
                        print(f"understood: {text}")
                    case SpokenAudio(data=data, sample_rate=sample_rate):
                        sound += data
    if sound:
        with wave.open(answer_file, "wb") as file:
            file.setparams((1, 2, sample_rate, 0, "NONE", ""))
            file.writeframes(sound)
        print(f"answered in {len(sound) / 2 / sample_rate:.1f} s of sound")


def main() -> int:
    """0 if it went well, 1 with one line on stderr if not, 2 for wrong usage."""
    if len(sys.argv) != 4:
        print("usage: talk.py ADDRESS QUESTION.wav ANSWER.wav", file=sys.stderr)
        return 2
    try:
        asyncio.run(talk(*sys.argv[1:]))
    except (EdgedError, OSError, EOFError, wave.Error) as error:
        print(str(error) or "the question is no WAV file", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
