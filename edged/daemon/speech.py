"""The speech models of one daemon, as its configuration names them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from edged.config import Config, VoiceConfig
from edged.errors import ArtefactError, MissingExtra
from edged.pipeline.ports import VoiceActivity, WakeWords
from edged.pipeline.wake_word import WakePhrase, WakeWordDetector
from edged.speech.background import (
    BackgroundRecognizer,
    BackgroundSpeakerEncoder,
    BackgroundVoice,
    Recognizes,
    Speaks,
)
from edged.speech.espeak import EspeakVoice
from edged.speech.micro_wake_word import MicroWakeWords, read_settings
from edged.speech.piper import PiperVoice
from edged.speech.silero import SileroVad
from edged.speech.speakers import SpeakerEncoder
from edged.speech.voiceprints import Voiceprints
from edged.speech.weights import (
    WHISPER_BASE_FIRST,
    WHISPER_BASE_SECOND,
    packaged_folder,
    piper_voice_file,
    silero_file,
    speakers_file,
    wake_word_file,
    whisper_base_folder,
    whisper_folder,
)
from edged.speech.whisper import AUTO, Whisper

ESPEAK = "espeak"


class Speech:
    """Recognizer and voice are shared by everybody; each conversation has ears of its own."""

    def __init__(self, config: Config) -> None:
        self._config = config.voice
        self._cache = config.paths.state / "speech"
        self._threads = config.engine.threads or len(os.sched_getaffinity(0))
        self.recognizer = BackgroundRecognizer(self._load_recognizer)
        self.voice = BackgroundVoice(self._load_voice)
        self.speakers = BackgroundSpeakerEncoder(_load_speakers)

    def activity(self) -> VoiceActivity:
        """A new one. Raises MissingExtra, ArtefactError."""
        return SileroVad(silero_file())

    def wake_words(self) -> tuple[WakeWords, WakeWordDetector]:
        """New ones. Raises MissingExtra, ArtefactError, NotFound for an unknown phrase."""
        words = MicroWakeWords([_wake_word(name) for name in _names(self._config)])
        wanted = self._config.wake_threshold
        phrases = {
            name: WakePhrase(threshold=wanted or phrase.threshold, window=phrase.window)
            for name, phrase in words.settings.items()
        }
        return words, WakeWordDetector(phrases)

    def phrases(self) -> Mapping[str, str]:
        """Each wake word as it is said, by its name. Raises MissingExtra, ArtefactError, NotFound."""
        settings = [read_settings(_wake_word(name)) for name in _names(self._config)]
        return {word.name: word.phrase for word in settings}

    def load(self) -> None:
        """What all conversations share, now, on this thread, where a second or two passes the first time.

        Raises MissingExtra, ArtefactError.
        """
        self.recognizer.load()
        self.voice.load()
        if self._config.identify_speakers:
            self.speakers.load()

    def close(self) -> None:
        """End their threads."""
        self.recognizer.close()
        self.voice.close()
        self.speakers.close()

    def voice_name(self) -> str:
        """Of the voice that speaks. Raises ArtefactError."""
        file = self._voice_file()
        return file.stem if file else ESPEAK

    def described(self) -> str:
        """What hears and speaks, in words; nothing is loaded.

        Raises MissingExtra, ArtefactError, NotFound for what is not there.
        """
        silero_file()
        self.phrases()
        if self._config.identify_speakers:
            speakers_file()
        return ", ".join(
            [
                f"recognizer {self._recognizer_name()}",
                f"voice {self.voice_name()}",
                f"wake words {self._config.wake_words}",
            ]
        )

    def _load_recognizer(self) -> Recognizes:
        language = self._config.language
        return Whisper(
            self._recognizer_folder(), language=AUTO if language == "auto" else language, threads=self._threads
        )

    def _recognizer_name(self) -> str:
        if not self._config.recognizer and self._config.language != "en":
            for part in (WHISPER_BASE_FIRST, WHISPER_BASE_SECOND):
                packaged_folder(part)
            return "Whisper base"
        return str(self._recognizer_folder())

    def _recognizer_folder(self) -> Path:
        if self._config.recognizer:
            return whisper_folder(Path(self._config.recognizer).expanduser())
        if self._config.language == "en":
            return whisper_folder()
        try:
            return whisper_base_folder(self._cache)
        except OSError as exc:
            raise ArtefactError(f"{self._cache}: Whisper base cannot be put there: {exc.strerror}") from exc

    def _load_voice(self) -> Speaks:
        file = self._voice_file()
        if file:
            return PiperVoice(file, threads=self._threads)
        return EspeakVoice("zh" if self._config.language == "zh" else "en")

    def _voice_file(self) -> Path | None:
        """Of a Piper voice; None where espeak speaks."""
        if self._config.voice == ESPEAK or (not self._config.voice and self._config.language == "zh"):
            return None
        if self._config.voice:
            return piper_voice_file(Path(self._config.voice).expanduser())
        with suppress(MissingExtra):
            return piper_voice_file()
        return None


def _load_speakers() -> Voiceprints:
    return Voiceprints(SpeakerEncoder(speakers_file()), SileroVad(silero_file()))


def _names(config: VoiceConfig) -> list[str]:
    return [name.strip() for name in config.wake_words.split(",") if name.strip()]


def _wake_word(name: str) -> Path:
    """Of a packaged phrase, or the user's own model."""
    return Path(name).expanduser() if "/" in name or name.endswith(".json") else wake_word_file(name)
