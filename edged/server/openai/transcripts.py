"""A transcript in the forms that people have for one: plain, with its times, or as subtitles."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edged.records import SpokenWord, Transcription

MAX_SEGMENT_CHARACTERS = 84
"""Two lines of subtitles."""
_PAUSE_SECONDS = 0.8
_ENDS = (".", "!", "?", "。", "！", "？")
_FRAMES_A_SECOND = 100


@dataclass(frozen=True, slots=True)
class Segment:
    """Words that belong together: a sentence, or as much of one as can be read at a glance."""

    words: tuple[SpokenWord, ...]

    @property
    def text(self) -> str:
        """Without spaces around it."""
        return "".join(word.text for word in self.words).strip()

    @property
    def start_seconds(self) -> float:
        """Where it begins."""
        return self.words[0].start_seconds

    @property
    def end_seconds(self) -> float:
        """Where it ends."""
        return self.words[-1].end_seconds


def segments(words: Sequence[SpokenWord]) -> Iterator[Segment]:
    """All words, cut after sentences, in pauses, and before they are too long."""
    held: list[SpokenWord] = []
    for word in words:
        if held and _is_cut(held, word):
            yield Segment(tuple(held))
            held = []
        held.append(word)
    if held:
        yield Segment(tuple(held))


def _is_cut(held: Sequence[SpokenWord], word: SpokenWord) -> bool:
    last = held[-1]
    length = sum(len(one.text) for one in held) + len(word.text)
    return (
        last.text.endswith(_ENDS)
        or word.start_seconds - last.end_seconds > _PAUSE_SECONDS
        or length > MAX_SEGMENT_CHARACTERS
    )


def srt(heard: Transcription) -> str:
    """SubRip's subtitles."""
    blocks = [
        f"{number}\n{_clock(one.start_seconds, ',')} --> {_clock(one.end_seconds, ',')}\n{_shown(one)}\n"
        for number, one in enumerate(segments(heard.words), 1)
    ]
    return "\n".join(blocks)


def vtt(heard: Transcription) -> str:
    """WebVTT, the web's subtitles."""
    blocks = [
        f"{_clock(one.start_seconds, '.')} --> {_clock(one.end_seconds, '.')}\n{_shown(one)}\n"
        for one in segments(heard.words)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def verbose(heard: Transcription, *, task: str, temperature: float, has_words: bool) -> dict[str, Any]:
    """All that is known, as OpenAI's documentation has it."""
    told: dict[str, Any] = {
        "task": task,
        "language": heard.language,
        "duration": heard.seconds,
        "text": heard.text,
        "segments": [_segment(number, one, heard, temperature) for number, one in enumerate(segments(heard.words))],
        "usage": {"type": "duration", "seconds": math.ceil(heard.seconds)},
    }
    if has_words:
        told["words"] = [
            {"word": word.text.strip(), "start": _rounded(word.start_seconds), "end": _rounded(word.end_seconds)}
            for word in heard.words
        ]
    return told


def _segment(number: int, segment: Segment, heard: Transcription, temperature: float) -> dict[str, Any]:
    probabilities = [max(word.probability, 1e-10) for word in segment.words]
    data = segment.text.encode()
    return {
        "id": number,
        "seek": int(segment.start_seconds * _FRAMES_A_SECOND),
        "start": _rounded(segment.start_seconds),
        "end": _rounded(segment.end_seconds),
        "text": segment.text,
        "tokens": [token for word in segment.words for token in word.tokens],
        "temperature": temperature,
        "avg_logprob": sum(map(math.log, probabilities)) / len(probabilities),
        "compression_ratio": len(data) / len(zlib.compress(data)),
        "no_speech_prob": heard.no_speech_probability,
    }


def _rounded(seconds: float) -> float:
    return round(seconds, 2)


def _clock(seconds: float, point: str) -> str:
    thousandths = round(seconds * 1000)
    return (
        f"{thousandths // 3_600_000:02}:{thousandths // 60_000 % 60:02}:{thousandths // 1000 % 60:02}"
        f"{point}{thousandths % 1000:03}"
    )


def _shown(segment: Segment) -> str:
    """An arrow in it would be taken for times."""
    return segment.text.replace("-->", "->")
