"""Piper (VITS on ONNX Runtime): a voice that reads aloud, sentence by sentence.

piper-tts is GPL-3.0-or-later: it is used where the user installed it, and nothing of it is part of edged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.audio.pcm import Pcm
from edged.errors import ArtefactError
from edged.speech.pieces import pieces
from edged.speech.quiet import trimmed
from edged.speech.weights import missing

if TYPE_CHECKING:
    from piper import PiperConfig

_MAX_JSON_BYTES = 1 << 20
_OFFLINE = ("espeak", "text")
"""Ways to phonemes for which Piper fetches nothing."""


class PiperVoice:
    """A voice in memory. Phonemes are found by one thread at a time, which Piper sees to."""

    def __init__(self, model: Path, *, threads: int = 2) -> None:
        """model: the .onnx file, its JSON beside it. Raises MissingExtra, ArtefactError naming the file."""
        try:
            import piper
        except ImportError as exc:
            raise missing() from exc
        logging.getLogger("piper").setLevel(logging.ERROR)  # its debug messages quote what is read aloud
        config = _read_config(model.with_name(f"{model.name}.json"))
        self._voice = piper.PiperVoice(
            session=_session(model, threads), config=config, download_dir=Path("/nonexistent"), use_tashkeel=False
        )
        self.sample_rate: int = config.sample_rate
        """Of what `synthesize` yields."""

    def synthesize(self, text: str, *, speed: float = 1.0) -> Iterator[Pcm]:
        """The sound of each sentence as soon as it is there; nothing for what cannot be read aloud.

        speed: 2 is twice as fast, at the same pitch. Closing the iterator stops before the next sentence.
        """
        from piper import SynthesisConfig

        settings = SynthesisConfig(length_scale=self._voice.config.length_scale / speed)
        for piece in pieces(text):
            for sentence in self._voice.synthesize(piece, settings):
                sound = trimmed(sentence.audio_int16_array, self.sample_rate)
                if len(sound):
                    yield sound


def _read_config(path: Path) -> PiperConfig:
    from piper import PiperConfig

    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ArtefactError(f"{path}: larger than {_MAX_JSON_BYTES} bytes")
        config = PiperConfig.from_dict(json.loads(path.read_bytes()))
    except OSError as exc:
        raise ArtefactError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
        raise ArtefactError(f"{path}: is no JSON of a Piper voice") from exc
    if config.phoneme_type.value not in _OFFLINE:
        raise ArtefactError(f"{path}: its phonemes ({config.phoneme_type.value}) need files that Piper would download")
    if type(config.sample_rate) is not int or not 8_000 <= config.sample_rate <= 48_000:
        raise ArtefactError(f"{path}: audio.sample_rate is out of range")
    return config


def _session(model: Path, threads: int) -> Any:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the cores meanwhile
    options.log_severity_level = 4  # what fails is raised below
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as exc:  # the runtime's errors share no base class
        reason = str(exc).partition("\n")[0][:300]
        raise ArtefactError(f"{model}: ONNX Runtime cannot load it: {reason}") from exc
