from __future__ import annotations

import json
import logging
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from edged.errors import ArtefactError
from edged.speech.piper import PiperVoice
from edged.speech.weights import piper_voice_file
from tests.speech.voices import voice

HOSTILE = ["-v de", "<speak>hi</speak>", "[[hello]]", "a\0b\x01c", "\ud800 surrogate", "🎉", "你好", "x" * 1000]


def test_a_sentence_at_a_time() -> None:
    sounds = list(voice().synthesize("The first one. The second one? The third one!"))
    assert len(sounds) == 3
    assert all(sound.dtype == np.int16 and 0.4 < len(sound) / voice().sample_rate < 3 for sound in sounds)


def test_little_silence_around_it() -> None:
    (sound,) = voice().synthesize("What time is it?")
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 300) / voice().sample_rate
    assert loud[0] <= 0.021
    assert len(sound) / voice().sample_rate - loud[-1] <= 0.151


@pytest.mark.parametrize("text", ["", " \n\t ", "...", "\0"])
def test_nothing_to_say(text: str) -> None:
    assert list(voice().synthesize(text)) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_read(text: str) -> None:
    sounds = list(voice().synthesize(text))
    assert all(0 < len(sound) < 60 * voice().sample_rate for sound in sounds)


def test_double_brackets_are_no_phonemes() -> None:
    (plain,), (bracketed,) = voice().synthesize("hello"), voice().synthesize("[[hello]]")
    assert len(plain) == pytest.approx(len(bracketed), rel=0.3)


def test_a_text_without_end_comes_in_pieces() -> None:
    first = next(voice().synthesize("and then " * 100_000))
    assert 5 < len(first) / voice().sample_rate < 40


def test_what_is_read_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        list(voice().synthesize("My secret word is aubergine."))
    assert "aubergine" not in caplog.text


def test_several_threads_at_once() -> None:
    lengths: list[float] = []
    threads = [
        threading.Thread(target=lambda: lengths.extend(len(sound) for sound in voice().synthesize("What time is it?")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lengths) == 3
    assert all(0.5 < length / voice().sample_rate < 2 for length in lengths)


class TestVoiceOfTheUser:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        """Only its JSON is whole."""
        (tmp_path / "mine.onnx").write_bytes(b"no graph")
        shutil.copyfile(piper_voice_file().with_suffix(".onnx.json"), tmp_path / "mine.onnx.json")
        return tmp_path / "mine.onnx"

    def test_a_graph_that_is_none(self, model: Path) -> None:
        with pytest.raises(ArtefactError, match=r"mine\.onnx: ONNX Runtime"):
            PiperVoice(model)

    def test_no_graph_at_all(self, model: Path) -> None:
        model.unlink()
        with pytest.raises(ArtefactError, match=r"mine\.onnx"):
            PiperVoice(model)

    def test_no_json_beside_it(self, tmp_path: Path) -> None:
        with pytest.raises(ArtefactError, match=r"mine\.onnx\.json: cannot be read"):
            PiperVoice(tmp_path / "mine.onnx")

    @pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 5000, '"text"'])
    def test_json_that_is_none_of_a_voice(self, model: Path, text: str) -> None:
        model.with_name("mine.onnx.json").write_text(text)
        with pytest.raises(ArtefactError, match=r"mine\.onnx\.json"):
            PiperVoice(model)

    @pytest.mark.parametrize(
        ("change", "why"), [({"phoneme_type": "pinyin"}, "download"), ({"audio": {"sample_rate": 1}}, "range")]
    )
    def test_json_of_a_voice_that_is_not_read(self, model: Path, change: dict[str, object], why: str) -> None:
        path = model.with_name("mine.onnx.json")
        path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
        with pytest.raises(ArtefactError, match=why):
            PiperVoice(model)
