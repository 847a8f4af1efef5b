"""Recordings as they come, silence and all, to voiceprints: only what is speech tells who speaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, to_pcm
from edged.errors import InvalidInput
from edged.speech.silero import CHUNK_SAMPLES, SileroVad
from edged.speech.speakers import SpeakerEncoder, Voiceprint

_SPEECH = 0.5
"""Probability from which a chunk counts as speech; its neighbours are kept, too."""


class Voiceprints:
    """Satisfies `edged.speech.background.Embeds`: one recording at a time."""

    def __init__(self, encoder: SpeakerEncoder, activity: SileroVad) -> None:
        self._encoder = encoder
        self._activity = activity

    def embed(self, samples: Samples, *, least_seconds: float) -> Voiceprint:
        """The voice in 16 kHz samples of one speaker. Raises InvalidInput for less speech than that."""
        speech = self._speech(samples)
        if len(speech) < least_seconds * SAMPLE_RATE:
            raise InvalidInput(
                f"{len(speech) / SAMPLE_RATE:.1f} seconds of speech in it, at least {least_seconds:g} are needed to "
                "tell who speaks; say a whole sentence, louder or closer",
                field="samples",
            )
        return self._encoder.embed(speech)

    def _speech(self, samples: Samples) -> Samples:
        self._activity.reset()
        voiced = np.array(self._activity.push(to_pcm(samples)), np.float32) >= _SPEECH
        kept: NDArray[np.bool_] = voiced.copy()
        kept[1:] |= voiced[:-1]
        kept[:-1] |= voiced[1:]
        chunks = samples[: len(voiced) * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)
        return np.asarray(chunks[kept].reshape(-1), np.float32)
