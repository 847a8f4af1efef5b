from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_pcm
from edged.errors import ArtefactError, InvalidInput
from edged.speech.micro_wake_word import MicroWakeWords, read_settings
from edged.speech.weights import WAKE_WORDS, wake_word_file
from tests.speech.voices import QUESTIONS, in_a_quiet_room, librivox, noise, spoken

STEP_SECONDS = 0.03


@pytest.fixture(scope="module")
def listener() -> MicroWakeWords:
    return MicroWakeWords([wake_word_file(name) for name in WAKE_WORDS])


@pytest.fixture
def words(listener: MicroWakeWords) -> MicroWakeWords:
    listener.reset()
    return listener


def heard(words: MicroWakeWords, pcm: Pcm) -> set[str]:
    """Phrases whose mean probability passes what their author recommends."""
    probabilities = words.push(pcm)
    found = set()
    for name, settings_ in words.settings.items():
        own = [probability for other, probability in probabilities if other == name]
        means = np.convolve(own, np.ones(settings_.window) / settings_.window, "valid")
        if means.max() >= settings_.threshold:
            found.add(name)
    return found


@pytest.mark.parametrize("name", WAKE_WORDS)
@pytest.mark.parametrize("sentence", ["{}.", "{}, what time is it?"])
def test_a_phrase_is_heard(words: MicroWakeWords, name: str, sentence: str) -> None:
    pcm = in_a_quiet_room(spoken(sentence.format(words.settings[name].phrase)))
    assert heard(words, pcm) == {name}


@pytest.mark.parametrize("text", QUESTIONS[:8])
def test_a_question_is_no_phrase(words: MicroWakeWords, text: str) -> None:
    assert heard(words, in_a_quiet_room(spoken(text))) == set()


def test_a_novel_is_no_phrase(words: MicroWakeWords) -> None:
    assert heard(words, to_pcm(np.concatenate([samples for _, samples in librivox()]))) == set()


@pytest.mark.parametrize("pcm", [np.zeros(5 * SAMPLE_RATE, np.int16), noise(5.0, 0.1)], ids=["silence", "noise"])
def test_what_is_no_speech_is_no_phrase(words: MicroWakeWords, pcm: Pcm) -> None:
    assert heard(words, pcm) == set()


def test_every_phrase_has_its_say_every_step(words: MicroWakeWords) -> None:
    probabilities = words.push(noise(3.0))
    names = [name for name, _ in probabilities]
    assert names == [*words.settings] * (len(names) // 4)
    assert len(names) / 4 == pytest.approx(3.0 / STEP_SECONDS, abs=2)
    assert all(0 <= probability <= 1 for _, probability in probabilities)


def test_settings_are_the_authors() -> None:
    found = read_settings(wake_word_file("hey_jarvis"))
    assert (found.name, found.phrase, found.threshold, found.window) == ("hey_jarvis", "Hey Jarvis", 0.97, 5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 5_000), max_size=8))
def test_it_does_not_matter_how_sound_is_cut(sizes: list[int]) -> None:
    words = MicroWakeWords([wake_word_file("alexa")])
    pcm = in_a_quiet_room(spoken("Alexa."), 0.3)
    whole = words.push(pcm)
    words.reset()
    places = np.minimum(np.cumsum([0, *sizes]), len(pcm))
    cut = [
        said
        for start, stop in zip(places, [*places[1:], len(pcm)], strict=True)
        for said in words.push(pcm[start:stop])
    ]
    assert cut == whole


def test_reset_forgets_everything(words: MicroWakeWords) -> None:
    pcm = spoken("Alexa.")
    first = words.push(pcm)
    words.push(pcm[:701])
    words.reset()
    assert words.push(pcm) == first


@pytest.mark.parametrize("count", [0, 1, 159])
def test_hardly_any_sound(words: MicroWakeWords, count: int) -> None:
    assert words.push(np.full(count, -32_768, np.int16)) == []


def test_nothing_to_listen_for() -> None:
    assert MicroWakeWords([]).push(noise(1.0)) == []


class TestModelOfTheUser:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        """A copy of Alexa under another name."""
        source = wake_word_file("alexa")
        (tmp_path / "computer.tflite").write_bytes(source.with_suffix(".tflite").read_bytes())
        document = json.loads(source.read_bytes()) | {"model": "computer.tflite", "wake_word": "Computer"}
        (tmp_path / "computer.json").write_text(json.dumps(document))
        return tmp_path / "computer.json"

    def test_it_is_heard_under_its_name(self, config: Path) -> None:
        words = MicroWakeWords([config, wake_word_file("okay_nabu")])
        assert heard(words, in_a_quiet_room(spoken("Alexa."))) == {"computer"}
        assert words.settings["computer"].phrase == "Computer"

    def test_two_of_the_same_name(self, config: Path) -> None:
        with pytest.raises(InvalidInput, match="same name"):
            MicroWakeWords([config, config])

    @pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 5000, " " * 100_000], ids=range(5))
    def test_json_that_is_none_of_a_model(self, config: Path, text: str) -> None:
        config.write_text(text)
        with pytest.raises(ArtefactError, match=r"computer\.json"):
            MicroWakeWords([config])

    @pytest.mark.parametrize(("cutoff", "window"), [(2, 5), (0, 5), (0.5, 0), (0.5, 1000), (float("nan"), 5), ("a", 5)])
    def test_settings_out_of_range(self, config: Path, cutoff: float, window: int) -> None:
        micro = {"probability_cutoff": cutoff, "sliding_window_size": window}
        config.write_text(json.dumps({"wake_word": "x", "model": "computer.tflite", "micro": micro}))
        with pytest.raises(ArtefactError, match=r"computer\.json"):
            MicroWakeWords([config])

    @pytest.mark.parametrize("data", [b"", b"\0" * 100, b"abcdTFL3" + b"\xff" * 1000, None])
    def test_a_model_that_is_none(self, config: Path, data: bytes | None) -> None:
        model = config.with_suffix(".tflite")
        model.write_bytes(model.read_bytes()[:20_000] if data is None else data)
        with pytest.raises(ArtefactError, match=r"computer\.tflite"):
            MicroWakeWords([config])

    def test_no_model_at_all(self, config: Path) -> None:
        config.with_suffix(".tflite").unlink()
        with pytest.raises(ArtefactError, match=r"computer\.tflite"):
            MicroWakeWords([config])
