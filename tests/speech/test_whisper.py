from __future__ import annotations

import resource
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, Pcm, to_samples
from edged.errors import ArtefactError, InvalidInput
from edged.speech.weights import WHISPER_BASE_FIRST, WHISPER_BASE_SECOND, whisper_base_folder, whisper_folder
from edged.speech.whisper import AUTO, Whisper, _joined, _repeats_itself, windows
from tests.speech.voices import QUESTIONS, chords, hum, in_a_quiet_room, librivox, noise, spoken, words, wrong_words

TWO_HOURS = 2 * 3600 * SAMPLE_RATE


def test_it_hears_a_woman_read(whisper: Whisper) -> None:
    clips = librivox()
    wrong = sum(wrong_words(said, whisper.transcribe(samples).text) for said, samples in clips)
    assert len(clips) == 5
    assert wrong / sum(len(words(said)) for said, _ in clips) <= 0.06


def test_it_hears_what_the_voice_says(whisper: Whisper) -> None:
    wrong = sum(wrong_words(said, whisper.transcribe(to_samples(spoken(said))).text) for said in QUESTIONS)
    assert wrong / sum(len(words(said)) for said in QUESTIONS) <= 0.03


def test_what_is_heard_says_how_sure_it_is(whisper: Whisper) -> None:
    pcm = in_a_quiet_room(spoken("What is the capital of France?"))
    heard = whisper.transcribe(to_samples(pcm))
    assert heard.is_speech
    assert heard.language == "en"
    assert heard.seconds == pytest.approx(len(pcm) / SAMPLE_RATE)
    assert -0.5 < heard.log_probability < 0


@pytest.mark.parametrize("seconds", [1.0, 4.0, 12.0])
@pytest.mark.parametrize("sound", [noise, hum, chords])
def test_noise_is_not_taken_for_speech(whisper: Whisper, sound: object, seconds: float) -> None:
    assert callable(sound)
    heard = whisper.transcribe(to_samples(sound(seconds)))
    assert (heard.text, heard.is_speech, heard.language) == ("", False, "")


@pytest.mark.parametrize("loudness", [0.0001, 0.01, 0.2])
def test_no_noise_is_too_loud_or_too_low(whisper: Whisper, loudness: float) -> None:
    assert not whisper.transcribe(to_samples(noise(3.0, loudness))).is_speech


def test_thanks_are_heard_where_they_are_said(whisper: Whisper) -> None:
    """It is what Whisper hears in noise, too."""
    assert words(whisper.transcribe(to_samples(in_a_quiet_room(spoken("Thank you.")))).text) == ["thank", "you"]


def test_a_long_recording_is_heard_to_its_end(whisper: Whisper) -> None:
    said = QUESTIONS * 2
    samples = to_samples(np.concatenate([part for text in said for part in (spoken(text), noise(0.5))]))
    heard = whisper.transcribe(samples)
    assert len(samples) > 80 * SAMPLE_RATE
    assert wrong_words(" ".join(said), heard.text) / len(words(" ".join(said))) <= 0.05
    assert heard.seconds == pytest.approx(len(samples) / SAMPLE_RATE)


def test_it_stops_where_nobody_wants_to_know(whisper: Whisper) -> None:
    answers = iter([False, False, True])
    samples = np.concatenate([to_samples(np.concatenate((spoken(QUESTIONS[0]), noise(40.0))))] * 2)
    heard = whisper.transcribe(samples, cancelled=lambda: next(answers))
    assert words(heard.text) == words(QUESTIONS[0])
    assert heard.seconds < 30


def test_cancelled_before_it_begins(whisper: Whisper) -> None:
    heard = whisper.transcribe(to_samples(spoken(QUESTIONS[0])), cancelled=lambda: True)
    assert (heard.text, heard.seconds, heard.is_speech) == ("", 0.0, False)


def test_two_hours_of_silence_take_little_memory(whisper: Whisper) -> None:
    samples = np.broadcast_to(np.float32(0), TWO_HOURS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    heard = whisper.transcribe(samples)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert (heard.is_speech, round(heard.seconds)) == (False, 7200)


@pytest.mark.parametrize("count", [0, 1, 2, 159, 400, 3199])
def test_hardly_any_sound(whisper: Whisper, count: int) -> None:
    whisper.transcribe(np.full(count, 0.5, np.float32))
    assert not whisper.transcribe(np.zeros(count, np.float32)).is_speech


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(whisper: Whisper, value: float) -> None:
    samples = to_samples(spoken(QUESTIONS[0])).copy()
    samples[1000] = value
    with pytest.raises(InvalidInput, match="no numbers"):
        whisper.transcribe(samples)


def test_clipped_speech_is_heard(whisper: Whisper) -> None:
    clipped = np.clip(to_samples(spoken(QUESTIONS[2])) * 20, -1, 1)
    assert wrong_words(QUESTIONS[2], whisper.transcribe(clipped).text) <= 2


@pytest.mark.parametrize("language", ["zh", "xx", "", "<|en|>", "en-US"])
def test_a_language_it_does_not_know(language: str) -> None:
    with pytest.raises(InvalidInput, match="does not know the language"):
        Whisper(whisper_folder(), language=language, threads=1)


def test_english_alone_needs_no_detection() -> None:
    heard = Whisper(whisper_folder(), language=AUTO, threads=1).transcribe(to_samples(spoken(QUESTIONS[0])))
    assert heard.language == "en"


@pytest.mark.parametrize("torn", ["model.bin", "tokenizer.json", "config.json"])
def test_a_torn_folder(tmp_path: Path, torn: str) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(whisper_folder(), folder)
    (folder / torn).write_bytes((folder / torn).read_bytes()[:1000])
    with pytest.raises(ArtefactError, match="torn"):
        Whisper(folder, threads=1)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="cannot load"):
        Whisper(tmp_path, threads=1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100 * SAMPLE_RATE), st.integers(0, 5))
def test_windows_leave_nothing_out(count: int, seed: int) -> None:
    samples = np.random.default_rng(seed).standard_normal(count).astype(np.float32)
    cut = list(windows(samples))
    np.testing.assert_array_equal(np.concatenate(cut), samples)
    assert all(len(window) <= 28 * SAMPLE_RATE for window in cut)
    assert all(len(window) >= 18 * SAMPLE_RATE for window in cut[:-1])


def test_windows_are_cut_between_words() -> None:
    word, pause = noise(21.0, 0.1), np.zeros(SAMPLE_RATE, np.int16)
    first, _ = windows(to_samples(np.concatenate((word, pause, word))))
    assert 21 < len(first) / SAMPLE_RATE < 22


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        ([], ""),
        (["One."], "One."),
        (["One.", "Two."], "One. Two."),
        (["今天。", "明天。"], "今天。明天。"),
        (["今天", "OK"], "今天 OK"),
        (["Où ?", "Là."], "Où ? Là."),
    ],
)
def test_windows_are_joined_as_people_write(texts: list[str], joined: str) -> None:
    assert _joined(texts) == joined


def test_it_does_not_say_the_same_over_and_over(whisper: Whisper) -> None:
    backwards = np.concatenate([samples for _, samples in librivox()])[::-1]
    assert not _repeats_itself(whisper.transcribe(backwards).text)


def test_a_loop_that_goes_on_when_it_is_forbidden_is_not_heard(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = to_samples(spoken(QUESTIONS[0]))
    assert whisper.transcribe(samples).text
    monkeypatch.setattr("edged.speech.whisper._repeats_itself", lambda text: True)
    assert whisper.transcribe(samples).text == ""


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("", False),
        ("No. " * 8, False),
        ("I'll be right there, " * 6, True),
        (" ".join(QUESTIONS), False),
        ("好的" * 60, True),
    ],
)
def test_what_is_a_loop(text: str, repeats: bool) -> None:
    assert _repeats_itself(text) == repeats


def test_several_threads_at_once(whisper: Whisper) -> None:
    with ThreadPoolExecutor(3) as threads:
        heard = list(threads.map(whisper.transcribe, [to_samples(spoken(text)) for text in QUESTIONS[:6]]))
    assert all(wrong_words(said, found.text) <= 1 for said, found in zip(QUESTIONS, heard, strict=False))


if find_spec(WHISPER_BASE_FIRST.package) and find_spec(WHISPER_BASE_SECOND.package):  # the extra zh

    def test_many_languages(tmp_path: Path) -> None:
        whisper = Whisper(whisper_base_folder(tmp_path), language=AUTO)
        heard = whisper.transcribe(to_samples(spoken(QUESTIONS[0])))
        assert (words(heard.text), heard.language) == (words(QUESTIONS[0]), "en")
        assert not whisper.transcribe(to_samples(noise(3.0, 0.01))).is_speech
        with pytest.raises(InvalidInput, match="does not know the language"):
            Whisper(whisper_base_folder(tmp_path), language="xx")


def _quiet(pcm: Pcm) -> Samples:
    return to_samples(pcm) * np.float32(0.02)


def test_a_whisper_is_heard(whisper: Whisper) -> None:
    assert wrong_words(QUESTIONS[0], whisper.transcribe(_quiet(spoken(QUESTIONS[0]))).text) <= 1
