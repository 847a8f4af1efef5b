"""Opus packets (RFC 6716) to samples at 16 kHz; FFmpeg's libraries decode."""

from __future__ import annotations

from itertools import chain

import numpy as np

from edged.audio.pcm import Pcm, to_pcm
from edged.audio.resample import Resampler
from edged.errors import InvalidInput, MissingExtra

OPUS_RATE = 48_000
MAX_PACKET_BYTES = 61_440
"""120 ms, the most that a packet holds, in 48 frames of 1,275 bytes and their headers."""


class OpusDecoder:
    """Of one stream: packets build on those before them."""

    def __init__(self) -> None:
        """Raises MissingExtra."""
        try:
            import av
        except ImportError as exc:
            raise MissingExtra("Opus needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'") from exc
        self._av = av
        self._codec = av.CodecContext.create("libopus", "r")
        self._codec.sample_rate = OPUS_RATE
        self._codec.layout = "mono"
        self._resampler = Resampler(OPUS_RATE)

    def __call__(self, data: bytes) -> Pcm:
        """The sound that this packet adds. Raises InvalidInput for what is no packet."""
        if not 0 < len(data) <= MAX_PACKET_BYTES:
            raise InvalidInput(f"an Opus packet has 1 to {MAX_PACKET_BYTES} bytes", field="audio.data")
        try:
            frames = self._codec.decode(self._av.Packet(data))
        except self._av.FFmpegError as exc:
            raise InvalidInput("this is no Opus packet", field="audio.data") from exc
        pieces = [self._resampler.push(_mono(frame.to_ndarray())) for frame in frames]
        return np.concatenate(list(chain([np.zeros(0, np.int16)], pieces)))


def _mono(samples: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Pcm:
    """Of planar or interleaved, 16-bit or float samples of one channel."""
    flat = samples.reshape(-1)
    return flat.astype(np.int16) if flat.dtype == np.int16 else to_pcm(flat.astype(np.float32))
