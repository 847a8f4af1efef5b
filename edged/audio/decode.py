"""An encoded recording to the samples that a model listens to: one channel at the model's sample rate.

Files come from anywhere. What a file is, is judged by its first bytes; how long it is, by its header before a sample
is decoded. As pictures, they are decoded one after another, in the order they came, by a thread of their own.
libsndfile decodes, soxr resamples.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edged.audio.containers import Container, broken_off, container_of, require_whole
from edged.audio.mel import Samples
from edged.errors import EdgedError, InvalidInput, MissingExtra

if TYPE_CHECKING:
    from soundfile import SoundFile

MAX_CHANNELS = 8
SAMPLE_RATES = range(1_000, 192_001)
_ENCODINGS = {
    Container.WAV: (
        "PCM_U8",
        "PCM_16",
        "PCM_24",
        "PCM_32",
        "FLOAT",
        "DOUBLE",
        "ULAW",
        "ALAW",
        "IMA_ADPCM",
        "MS_ADPCM",
    ),
    Container.FLAC: ("PCM_S8", "PCM_16", "PCM_24"),
    Container.OGG: ("VORBIS", "OPUS"),
    Container.MP3: ("MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"),
}
_BLOCK = 65_536
"""Samples of each channel that are decoded at once."""
_UNKNOWN_LENGTH = 1 << 48
"""From this on a length means that the file does not say."""
_SLACK_SECONDS = 0.25
"""Encoders pad what they encode, and an MP3 without a table of contents only estimates its length."""
_DECODER = ThreadPoolExecutor(1, thread_name_prefix="edged-recording")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFormat:
    """How a model wants its recordings."""

    sample_rate: int
    max_seconds: int


def read_length(data: bytes, recording_format: RecordingFormat) -> int:
    """Samples that `read_samples` will give, by the header. Raises InvalidInput, MissingExtra."""
    with _opened(data) as file:
        return _resampled_length(_length(file, recording_format), file.samplerate, recording_format)


def read_samples(data: bytes, recording_format: RecordingFormat) -> Samples:
    """The recording in a file, all channels mixed.

    Raises InvalidInput for what is no whole recording of a known kind, or too long a one; MissingExtra.
    """
    with _opened(data) as file:
        length = _length(file, recording_format)
        mono = np.zeros(length, np.float32)
        done = 0
        for block in _blocks(file):
            mono[done : done + len(block)] = block[: length - done]
            done += len(block)
        if done < length - _SLACK_SECONDS * file.samplerate:
            raise broken_off()
        return _resampled(mono, file.samplerate, recording_format)


def begin_samples(data: bytes, recording_format: RecordingFormat) -> Future[Samples]:
    """The same once the files before it are read; who no longer wants it may cancel it until then."""
    return _DECODER.submit(read_samples, data, recording_format)


def _length(file: SoundFile, recording_format: RecordingFormat) -> int:
    """Samples of each channel, at the file's own rate. Raises InvalidInput where that is nothing, or too much."""
    most = int((recording_format.max_seconds + _SLACK_SECONDS) * file.samplerate)
    length: int = file.frames
    if length >= _UNKNOWN_LENGTH:
        raise InvalidInput("the recording does not say how long it is; save it again", field="parts")
    if length > most:
        raise InvalidInput(
            f"the model hears recordings of {recording_format.max_seconds} seconds at most, this one is "
            f"{length / file.samplerate:.1f} seconds long; cut it",
            field="parts",
        )
    if length <= 0:
        raise InvalidInput("the recording is empty", field="parts")
    return length


def _blocks(file: SoundFile) -> Iterator[Samples]:
    """From where the file stands, all channels mixed, -1 to 1."""
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        if not np.isfinite(block).all():
            raise InvalidInput("the recording is damaged: it has samples that are no numbers", field="parts")
        mixed: NDArray[np.float32] = np.clip(block, -1, 1).mean(axis=1, dtype=np.float32)
        yield mixed


def _resampled_length(length: int, rate: int, recording_format: RecordingFormat) -> int:
    return max(1, -(-length * recording_format.sample_rate // rate))


def _resampled(mono: Samples, rate: int, recording_format: RecordingFormat) -> Samples:
    """At the model's rate, and exactly as long as `read_length` says."""
    import soxr

    wanted = _resampled_length(len(mono), rate, recording_format)
    if rate == recording_format.sample_rate:
        return mono
    found = soxr.resample(mono, rate, recording_format.sample_rate, quality="HQ")
    exact = np.zeros(wanted, np.float32)
    exact[: len(found)] = np.clip(found[:wanted], -1, 1)
    return exact


@contextmanager
def _opened(data: bytes) -> Iterator[SoundFile]:
    """The file, its kind and shape checked; whatever goes wrong within becomes InvalidInput."""
    try:
        import soundfile
        import soxr  # noqa: F401  # needed later: better refused before anything is decoded
    except (ImportError, OSError) as exc:  # OSError: the library in C is not there
        raise MissingExtra("recordings need an extra: `make setup EXTRAS=media` or pip install 'edged[media]'") from exc
    container = container_of(data)
    if container is None:
        raise InvalidInput("the recording is not a WAV, MP3, FLAC or OGG file", field="parts")
    require_whole(data, container)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _require_known(file, container)
            yield file
    except EdgedError:
        raise
    except soundfile.LibsndfileError as exc:
        raise InvalidInput(f"the recording is damaged: {_one_line(exc.error_string)}", field="parts") from exc
    except Exception as exc:  # decoders of foreign bytes raise anything
        raise InvalidInput(f"the recording is damaged: {_one_line(exc)}", field="parts") from exc


def _require_known(file: SoundFile, container: Container) -> None:
    if file.subtype not in _ENCODINGS[container]:
        raise InvalidInput(
            f"the recording is encoded as {file.subtype}, which is not read; save it as WAV", field="parts"
        )
    if file.channels > MAX_CHANNELS:
        raise InvalidInput(f"the recording has {file.channels} channels, {MAX_CHANNELS} are the most", field="parts")
    if file.samplerate not in SAMPLE_RATES:
        raise InvalidInput(
            f"the recording has {file.samplerate} samples a second; "
            f"{SAMPLE_RATES.start} to {SAMPLE_RATES.stop - 1} are read",
            field="parts",
        )


def _one_line(problem: object) -> str:
    return " ".join(str(problem).split())[:100].rstrip(".") or type(problem).__name__
