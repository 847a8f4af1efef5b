"""Whisper (Radford et al., 2022) on CTranslate2: what is said in a recording, however long.

Whisper was trained on 30 seconds at a time and takes as long for a word as for all of them. Here its encoder hears
little more than what was said, and the decoder gets the rest of the 30 seconds as silence that was encoded once:
without it, it would not know that the end is the end and say everything again. CTranslate2 is used without
faster-whisper around it, which brings FFmpeg and a client of the hub along.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE
from edged.errors import ArtefactError, InvalidInput
from edged.records import SpokenWord, Transcription, TranscriptionOptions
from edged.speech.quiet import quietest
from edged.speech.slaney_mel import HOP, WINDOW, band_power
from edged.speech.weights import missing
from edged.speech.word_times import is_wide, word_times

if TYPE_CHECKING:
    from tokenizers import Tokenizer

AUTO = "auto"
"""The language that is spoken most in each window."""
_WINDOW_SECONDS = 28.0
"""Heard at once; the rest of Whisper's 30 seconds is silence, so that the end is one."""
_EARLIEST_CUT_SECONDS = 18.0
_LEAST_SECONDS = 10.0
"""Encoded at least: with less around it, a short question is misheard more often."""
_SILENCE_SECONDS = 1.0
"""Encoded after what was said."""
_FRAMES_A_STATE = 2
_ALL_STATES = 1500
_BEAMS = 2
_TOKENS_A_SECOND = 14
"""Nobody says more; what goes on has lost its way."""
_FEWEST_TOKENS = 16
_INAUDIBLE = 10 ** (-70 / 20)
"""The loudest sample of a window in which there is nothing to hear."""
_NO_SPEECH = 0.6
"""Measured: noise, music and silence 0.75 to 0.95, speech 0.4 at most."""
_UNSURE = -0.7
"""Measured: noise, music and silence -0.87 and less, speech -0.71 and more, with noise 10 dB below it too."""

_LOST = -1.0
"""Below this the words are wrong, whoever speaks."""
_LONGEST_REPETITION = 5
"""Tokens that may come twice in the same order where it began to say one thing over and over."""
_MOST_COMPRESSED = 2.4
"""Text that zlib makes shorter by more than this factor is such; openai/whisper's value."""
_SHORTEST_LOOP = 100
"""Characters; less may well be repeated by whoever speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """In one window."""

    text: str
    language: str
    log_probability: float
    no_speech_probability: float
    words: tuple[SpokenWord, ...]


_AS_IT_IS = TranscriptionOptions()
_MOST_PROMPT = 200
"""Tokens of what was said before."""
_DECODER_TOKENS = 448
"""All that the decoder has room for."""


class Whisper:
    """A model in memory. Calls from several threads wait for each other."""

    def __init__(self, folder: Path, *, language: str = "en", threads: int = 2) -> None:
        """language: a code that the model knows, or AUTO.

        Raises MissingExtra, ArtefactError naming the folder, InvalidInput for a language it does not know.
        """
        self._model, self._tokenizer = _load(folder, threads)
        self._is_multilingual: bool = self._model.is_multilingual
        self._bands: int = self._model.n_mels
        self._language = language if self._is_multilingual else "en"
        self._require_known(language)
        self._end = self._id("<|endoftext|>")
        self._silence = self._states(np.zeros(0, np.float32), seconds=_ALL_STATES * _FRAMES_A_STATE * HOP / SAMPLE_RATE)

    def transcribe(
        self,
        samples: Samples,
        *,
        options: TranscriptionOptions = _AS_IT_IS,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Transcription:
        """What is said in 16 kHz samples, window by window.

        cancelled: asked before each window is encoded and decoded; what was heard until then is returned.
        Raises InvalidInput for samples that are no numbers, and what `require` raises.
        """
        self.require(options)
        heard: list[_Heard] = []
        seconds = 0.0
        for window in windows(samples):
            if not np.isfinite(window).all():
                raise InvalidInput("the recording is damaged: it has samples that are no numbers", field="parts")
            if cancelled():
                break
            if (one := self._hear(window, options, cancelled)) is not None:
                heard.append(replace(one, words=tuple(_later(word, seconds) for word in one.words)))
            seconds += len(window) / SAMPLE_RATE
        return Transcription(
            text=_joined([one.text for one in heard]),
            language=heard[0].language if heard else "",
            is_speech=bool(heard),
            seconds=seconds,
            log_probability=sum(one.log_probability for one in heard) / max(1, len(heard)),
            no_speech_probability=sum(one.no_speech_probability for one in heard) / max(1, len(heard)),
            words=tuple(word for one in heard for word in one.words),
        )

    def require(self, options: TranscriptionOptions) -> None:
        """Raises InvalidInput naming what this model cannot do."""
        if options.language:
            self._require_known(options.language)
        if options.translates and not self._is_multilingual:
            message = 'the speech model knows English alone: voice.language = "auto" (extra zh) translates'
            raise InvalidInput(message, field="model")

    def _require_known(self, language: str) -> None:
        if self._is_multilingual:
            token = self._tokenizer.token_to_id(f"<|{language}|>")
            # Languages lie between these two; other control tokens look the same.
            is_language = token is not None and self._id("<|startoftranscript|>") < token < self._id("<|translate|>")
            is_known = language == AUTO or is_language
        else:
            is_known = language in (AUTO, "en")
        if not is_known:
            raise InvalidInput(f"the speech model does not know the language {language[:20]!r}", field="language")

    def _hear(self, window: Samples, options: TranscriptionOptions, cancelled: Callable[[], bool]) -> _Heard | None:
        """None where nobody speaks, or nobody wants to know any more."""
        if len(window) == 0 or np.abs(window).max() < _INAUDIBLE:
            return None
        seconds = len(window) / SAMPLE_RATE
        states = self._states(window, seconds=max(_LEAST_SECONDS, seconds + _SILENCE_SECONDS))
        features = _storage(np.concatenate((states, self._silence[:, states.shape[1] :]), axis=1))
        if cancelled():
            return None
        language = self._spoken(features, options)
        start = self._start(language, translates=options.translates)
        prompt = [*self._before(options.prompt), *start, self._id("<|notimestamps|>")]
        # It makes half as many tokens as max_length, and no more than the prompt leaves of it.
        most = _FEWEST_TOKENS + int(seconds * _TOKENS_A_SECOND)
        length = min(_DECODER_TOKENS, max(2 * most, most + len(prompt)))
        settings: dict[str, Any] = {"max_length": length, "beam_size": _BEAMS}
        if options.temperature > 0:
            settings |= {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": options.temperature}
        found, text = self._decoded(features, prompt, settings)
        if _repeats_itself(text):
            found, text = self._decoded(features, prompt, settings | {"no_repeat_ngram_size": _LONGEST_REPETITION})
            if _repeats_itself(text):  # a loop all the same: nothing was understood
                return None
        sure = float(found.scores[0])
        if not any(map(str.isalnum, text)) or sure < (_UNSURE if found.no_speech_prob > _NO_SPEECH else _LOST):
            return None
        words: tuple[SpokenWord, ...] = ()
        if options.has_words:
            words = word_times(self._model, features, start, self._text(found), self._tokenizer, seconds=seconds)
        return _Heard(
            text=text,
            language=language,
            log_probability=sure,
            no_speech_probability=float(found.no_speech_prob),
            words=words,
        )

    def _decoded(self, features: Any, prompt: list[int], settings: dict[str, Any]) -> tuple[Any, str]:
        """The likeliest text, and how likely it is."""
        (found,) = self._model.generate(
            features,
            [prompt],
            return_scores=True,
            return_no_speech_prob=True,
            **settings,
        )
        return found, str(self._tokenizer.decode(self._text(found))).strip()

    def _text(self, found: Any) -> list[int]:
        """Tokens that spell something."""
        return [token for token in found.sequences_ids[0] if token < self._end]

    def _states(self, window: Samples, *, seconds: float) -> NDArray[np.float32]:
        """What the encoder makes of a window and silence up to so many seconds.  # (1, states, hidden)"""
        frames = min(_ALL_STATES, int(np.ceil(seconds * SAMPLE_RATE / HOP / _FRAMES_A_STATE))) * _FRAMES_A_STATE
        padded = np.zeros(frames * HOP, np.float32)
        padded[: len(window)] = window
        return np.array(self._model.encode(_storage(_log_mel(padded, self._bands)[None])))

    def _spoken(self, features: Any, options: TranscriptionOptions) -> str:
        language = options.language or self._language
        if language != AUTO or not self._is_multilingual:
            return language if self._is_multilingual else "en"
        ((likeliest, *_),) = self._model.detect_language(features)
        return str(likeliest[0]).strip("<|>")

    def _start(self, language: str, *, translates: bool) -> list[int]:
        task = "<|translate|>" if translates else "<|transcribe|>"
        named = [f"<|{language}|>", task] if self._is_multilingual else []
        return [self._id(token) for token in ("<|startoftranscript|>", *named)]

    def _before(self, text: str) -> list[int]:
        if not text.strip():
            return []
        tokens = self._tokenizer.encode(f" {text.strip()}", add_special_tokens=False).ids
        return [self._id("<|startofprev|>"), *[token for token in tokens if token < self._end][-_MOST_PROMPT:]]

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ArtefactError(f"the speech model's tokenizer.json has no {token}: it is no Whisper's")
        return int(found)


def windows(samples: Samples) -> Iterator[Samples]:
    """Pieces that fit Whisper, cut where it is quietest."""
    most, earliest = int(_WINDOW_SECONDS * SAMPLE_RATE), int(_EARLIEST_CUT_SECONDS * SAMPLE_RATE)
    while len(samples) > most:
        cut = earliest + quietest(samples[earliest:most])
        yield samples[:cut]
        samples = samples[cut:]
    yield samples


def _later(word: SpokenWord, seconds: float) -> SpokenWord:
    """The same word, where its window begins after so many seconds."""
    return replace(word, start_seconds=word.start_seconds + seconds, end_seconds=word.end_seconds + seconds)


def _repeats_itself(text: str) -> bool:
    data = text.encode()
    return len(text) >= _SHORTEST_LOOP and len(data) > _MOST_COMPRESSED * len(zlib.compress(data))


def _log_mel(samples: Samples, bands: int) -> NDArray[np.float32]:
    """As openai/whisper has it.  # (bands, frames)"""
    power = band_power(np.pad(samples, WINDOW // 2, mode="reflect"), bands)[:-1]
    loudness = np.log10(np.maximum(power, 1e-10)).T
    scaled: NDArray[np.float32] = (np.maximum(loudness, loudness.max() - 8.0) + 4.0) / 4.0
    return scaled


def _joined(texts: list[str]) -> str:
    """One after another; Chinese and Japanese without spaces."""
    joined = ""
    for text in texts:
        gap = " " if joined.isascii() or text.isascii() or not is_wide(joined[-1] + text[0]) else ""
        joined += gap + text if joined else text
    return joined


def _storage(array: NDArray[np.float32]) -> Any:
    import ctranslate2

    return ctranslate2.StorageView.from_array(np.ascontiguousarray(array, np.float32))


def _load(folder: Path, threads: int) -> tuple[Any, Tokenizer]:
    try:
        import ctranslate2
        from tokenizers import Tokenizer
    except ImportError as exc:
        raise missing() from exc
    try:
        model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8", intra_threads=threads)
        return model, Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as exc:  # tokenizers raises nothing more specific, CTranslate2 RuntimeError and ValueError
        reason = " ".join(str(exc).split())[:200]
        raise ArtefactError(f"{folder}: CTranslate2 cannot load it: {reason}") from exc
