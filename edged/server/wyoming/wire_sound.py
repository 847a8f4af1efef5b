"""Sound as it comes over the wire, of any width, rate and number of channels, to one channel of 16-bit samples.

The package's own converter turns stereo to mono without room for both channels, and resamples by straight lines.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from wyoming.audio import AudioChunk

from edged.audio.pcm import Pcm
from edged.audio.resample import Interleaved, Resampler
from edged.errors import InvalidInput

RATES = (8_000, 192_000)
"""Samples a second, at least and at most."""
MAX_WIDTH = 4
"""Bytes a sample."""
MAX_CHANNELS = 8
_SLICE_BYTES = 1 << 16
"""Converted at a time."""


class WireSound:
    """One stream. The format is that of each chunk; where it changes, the old one is brought to its end."""

    def __init__(self, to_rate: int | None = None) -> None:
        """to_rate: of what comes out; None leaves it as it is."""
        self.rate = to_rate or 0
        """Of what `pieces` gave last."""
        self._to_rate = to_rate
        self._format = (0, 0, 0)
        self._rest = b""
        self._resampler: Resampler | None = None

    def pieces(self, chunk: AudioChunk) -> Iterator[Pcm]:
        """Its samples, in pieces of a second or two. Raises InvalidInput for a format that is none, MissingExtra."""
        form = _checked(chunk)
        if form != self._format:
            yield self.flush()
            self._format = form
            self.rate = self._to_rate or chunk.rate
            self._resampler = Resampler(chunk.rate, self.rate)
        assert self._resampler is not None
        frame = chunk.width * chunk.channels
        data = self._rest + chunk.audio if self._rest else chunk.audio
        whole = len(data) // frame * frame
        self._rest = data[whole:]
        step = _SLICE_BYTES // frame * frame
        for start in range(0, whole, step):
            samples = _samples(data[start : min(start + step, whole)], chunk.width)
            yield self._resampler.push(samples.reshape(-1, chunk.channels))

    def flush(self) -> Pcm:
        """What the resampler kept back; half a sample is forgotten."""
        self._rest = b""
        return self._resampler.flush() if self._resampler else np.zeros(0, np.int16)


def _checked(chunk: AudioChunk) -> tuple[int, int, int]:
    form = (chunk.rate, chunk.width, chunk.channels)
    if not all(type(number) is int for number in form):
        raise InvalidInput("rate, width and channels of sound must be whole numbers")
    if not RATES[0] <= chunk.rate <= RATES[1]:
        raise InvalidInput(f"sound has {RATES[0]} to {RATES[1]} samples a second")
    if not 1 <= chunk.width <= MAX_WIDTH or not 1 <= chunk.channels <= MAX_CHANNELS:
        raise InvalidInput(f"sound has 1 to {MAX_WIDTH} bytes a sample and 1 to {MAX_CHANNELS} channels")
    return form


def _samples(data: bytes, width: int) -> Interleaved:
    """The upper 16 bits of each; a single byte has no sign, as in WAV files."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.int16) - 128) * np.int16(256)
    upper = np.frombuffer(data, np.uint8).reshape(-1, width)[:, width - 2 :]
    return np.ascontiguousarray(upper).view("<i2")[:, 0].astype(np.int16, copy=False)
