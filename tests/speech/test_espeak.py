from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soxr

from edged.audio.pcm import SAMPLE_RATE, to_samples
from edged.errors import ArtefactError, InvalidInput, MissingExtra
from edged.speech import espeak
from edged.speech.espeak import EspeakVoice
from edged.speech.whisper import Whisper
from tests.speech.test_piper import HOSTILE
from tests.speech.voices import wrong_words

SENTENCE = "I would like to know what time it is in London."


@pytest.mark.parametrize(
    ("language", "text"), [("en-us", "What time is it?"), ("cmn", "现在几点了？"), ("zh", "现在几点了？")]
)
def test_it_speaks(language: str, text: str) -> None:
    voice = EspeakVoice(language)
    (sound,) = voice.synthesize(text)
    assert voice.sample_rate == 22_050
    assert sound.dtype == np.int16
    assert 0.5 < len(sound) / voice.sample_rate < 4


def test_it_can_be_understood(whisper: Whisper) -> None:
    voice = EspeakVoice("en")
    (sound,) = voice.synthesize(SENTENCE)
    heard = whisper.transcribe(soxr.resample(to_samples(sound), voice.sample_rate, SAMPLE_RATE))
    assert wrong_words(SENTENCE, heard.text) <= 3


@pytest.mark.parametrize("text", ["", " \n ", "\0"])
def test_nothing_to_say(text: str) -> None:
    assert list(EspeakVoice().synthesize(text)) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_read_and_nothing_else_done(text: str) -> None:
    voice = EspeakVoice()
    assert all(0 < len(sound) < 120 * voice.sample_rate for sound in voice.synthesize(text))


def test_a_text_without_end_comes_in_pieces() -> None:
    first = next(EspeakVoice().synthesize("and then " * 100_000))
    assert len(first) < 60 * 22_050


@pytest.mark.parametrize("language", ["xx", "../../etc", "-x", "en;ls", "", "e" * 1000, "EN us"])
def test_a_language_it_does_not_speak(language: str) -> None:
    with pytest.raises(InvalidInput):
        EspeakVoice(language)


def test_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingExtra, match="apt-get install espeak-ng"):
        EspeakVoice()


def test_one_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    _program(tmp_path, monkeypatch, f"echo $$ > {pid}; exec /bin/sleep 600")
    monkeypatch.setattr(espeak, "_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ArtefactError, match="does not answer"):
        EspeakVoice()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_one_that_says_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, monkeypatch, "echo RIFF, but no sound")
    with pytest.raises(ArtefactError, match="something else"):
        EspeakVoice()


def _program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "espeak-ng"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_text_never_is_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[object] = []
    run = subprocess.run

    def watched(command: object, **options: object) -> object:
        commands.append(command)
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", watched)
    list(EspeakVoice().synthesize("aubergine"))
    assert len(commands) == 2
    assert "aubergine" not in str(commands)
