"""microWakeWord (Kevin Ahrendt, Apache-2.0): how likely it is that each of several phrases was just said, every 30 ms.

All phrases share one front end. The probabilities are raw: `edged.pipeline.wake_word` averages them and decides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.audio.pcm import Pcm, to_bytes
from edged.errors import ArtefactError, InvalidInput
from edged.speech.weights import missing

if TYPE_CHECKING:
    from pymicro_wakeword import MicroWakeWord

_FEATURES = 40
_MAX_JSON_BYTES = 1 << 16
_MAX_WINDOW = 100
_BLOCK_SAMPLES = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWordSettings:
    """What a model's author says of it."""

    name: str
    """Of its file, such as "okay_nabu"."""
    phrase: str
    """As it is said."""
    threshold: float
    """The mean probability that counts, 0 to 1."""
    window: int
    """How many of the last probabilities are averaged."""
    model: Path
    """The .tflite file."""


class MicroWakeWords:
    """One listener: it remembers what it heard."""

    def __init__(self, files: Sequence[Path]) -> None:
        """files: the JSON of each phrase, see `edged.speech.weights.wake_word_file`.

        Raises MissingExtra, ArtefactError naming the file, InvalidInput for two of the same name.
        """
        try:
            from pymicro_wakeword import MicroWakeWordFeatures
        except ImportError as exc:
            raise missing() from exc
        self._features = MicroWakeWordFeatures()
        self._words = [_Word(read_settings(file)) for file in files]
        self.settings = {word.settings.name: word.settings for word in self._words}
        """By name."""
        if len(self.settings) < len(self._words):
            raise InvalidInput("two wake words have the same name; rename one's .json and .tflite", field="phrases")

    def push(self, pcm: Pcm) -> list[tuple[str, float]]:
        """Name and probability for each further step that these samples complete, oldest first."""
        return [
            (word.settings.name, probability)
            for start in range(0, len(pcm), _BLOCK_SAMPLES)
            for frame in self._features.process_streaming(to_bytes(pcm[start : start + _BLOCK_SAMPLES]))
            for word in self._words
            if (probability := word.push(frame)) is not None
        ]

    def reset(self) -> None:
        """Forget what was heard."""
        self._features.reset()
        for word in self._words:
            word.reset()


class _Word:
    """One phrase's model."""

    def __init__(self, settings: WakeWordSettings) -> None:
        self.settings = settings
        self._model = _load(settings)
        self._frames = 0

    def push(self, frame: Any) -> float | None:
        """None until so many frames of 10 ms came as the model takes at once."""
        probability = self._model.process_streaming_prob(frame)
        self._frames += 1
        return probability if self._frames % self._model.stride == 0 else None

    def reset(self) -> None:
        self._model.reset()
        self._frames = 0


def read_settings(file: Path) -> WakeWordSettings:
    """A wake word's JSON. Raises ArtefactError naming the file."""
    try:
        if file.stat().st_size > _MAX_JSON_BYTES:
            raise ArtefactError(f"{file}: larger than {_MAX_JSON_BYTES} bytes")
        document = json.loads(file.read_bytes())
        settings = WakeWordSettings(
            name=file.stem,
            phrase=str(document["wake_word"]),
            threshold=float(document["micro"]["probability_cutoff"]),
            window=int(document["micro"]["sliding_window_size"]),
            model=file.parent / str(document["model"]),
        )
    except OSError as exc:
        raise ArtefactError(f"{file}: cannot be read: {exc.strerror}") from exc
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as exc:
        raise ArtefactError(f"{file}: is no JSON of a microWakeWord model") from exc
    if not (0 < settings.threshold < 1 and 0 < settings.window <= _MAX_WINDOW):
        raise ArtefactError(f"{file}: probability_cutoff or sliding_window_size is out of range")
    return settings


def _load(settings: WakeWordSettings) -> MicroWakeWord:
    """With an average over one probability. The package itself does not look at what TensorFlow Lite answers."""
    from pymicro_wakeword import MicroWakeWord, microwakeword, wakeword

    library = next(Path(microwakeword.__file__).parent.glob("lib/*tensorflowlite_c.*"), None)
    if library is None:
        raise missing()
    lite = wakeword.TfLiteWakeWord(library).lib
    if not settings.model.is_file() or not (found := lite.TfLiteModelCreateFromFile(str(settings.model).encode())):
        raise ArtefactError(f"{settings.model}: is no model of TensorFlow Lite")
    lite.TfLiteModelDelete(found)
    try:
        word = MicroWakeWord(
            settings.name,
            wake_word=settings.phrase,
            tflite_model=settings.model,
            probability_cutoff=settings.threshold,
            sliding_window_size=1,
            trained_languages=[],
            libtensorflowlite_c_path=library,
        )
    except (RuntimeError, ValueError) as exc:
        raise ArtefactError(f"{settings.model}: is no microWakeWord model") from exc
    sizes = lite.TfLiteTensorByteSize(word.input_tensor), lite.TfLiteTensorByteSize(word.output_tensor)
    if sizes != (word.stride * _FEATURES, 1):
        raise ArtefactError(f"{settings.model}: is no microWakeWord model")
    return word
