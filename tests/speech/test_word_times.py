from __future__ import annotations

import numpy as np
import pytest

from edged.audio.pcm import SAMPLE_RATE, to_samples
from edged.errors import InvalidInput
from edged.records import TranscriptionOptions
from edged.speech.whisper import Whisper
from tests.speech.voices import QUESTIONS, noise, spoken, words

WITH_WORDS = TranscriptionOptions(has_words=True)


def test_each_word_has_its_time(whisper: Whisper) -> None:
    first, pause, second = spoken(QUESTIONS[2]), noise(1.5), spoken(QUESTIONS[3])
    heard = whisper.transcribe(to_samples(np.concatenate([first, pause, second])), options=WITH_WORDS)
    assert words("".join(word.text for word in heard.words)) == words(heard.text)
    times = [time for word in heard.words for time in (word.start_seconds, word.end_seconds)]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= heard.seconds
    assert all(0 < word.probability <= 1 and word.tokens for word in heard.words)
    begin, end = len(first) / SAMPLE_RATE, (len(first) + len(pause)) / SAMPLE_RATE
    france = next(word for word in heard.words if "France" in word.text)
    how = next(word for word in heard.words if "How" in word.text)
    assert france.start_seconds < begin and how.end_seconds > end, "before the pause, and after it"
    assert how.start_seconds - france.end_seconds > 0.3, "the pause belongs to no word"


def test_words_of_a_long_recording_go_on_where_the_window_before_ended(whisper: Whisper) -> None:
    samples = to_samples(np.concatenate([part for text in QUESTIONS[:14] for part in (spoken(text), noise(0.5))]))
    heard = whisper.transcribe(samples, options=WITH_WORDS)
    starts = [word.start_seconds for word in heard.words]
    assert heard.seconds > 30 and starts == sorted(starts) and starts[-1] > heard.seconds - 5


def test_silence_has_no_words(whisper: Whisper) -> None:
    assert whisper.transcribe(to_samples(noise(2.0)), options=WITH_WORDS).words == ()


@pytest.mark.parametrize(
    ("options", "field"),
    [(TranscriptionOptions(language="de"), "language"), (TranscriptionOptions(translates=True), "model")],
)
def test_what_an_english_model_cannot_do_is_refused(
    whisper: Whisper, options: TranscriptionOptions, field: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        whisper.transcribe(to_samples(noise(1.0)), options=options)
    assert raised.value.field == field


def test_a_prompt_teaches_how_a_name_is_spelt(whisper: Whisper) -> None:
    """And is no part of what is heard; nor does a temperature make something up."""
    said = to_samples(spoken(QUESTIONS[2]))
    prompt = "Fraunce and other countries. " * 100
    for options in (TranscriptionOptions(prompt=prompt), TranscriptionOptions(temperature=0.4)):
        heard = whisper.transcribe(said, options=options).text
        assert "capital" in heard and len(words(heard)) == 6
