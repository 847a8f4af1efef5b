"""Sound to a file of a kind that players know, piece by piece as it is made; FFmpeg's libraries encode."""

from __future__ import annotations

import io
import struct
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, cast

from edged.audio.pcm import Pcm, to_bytes
from edged.errors import MissingExtra

if TYPE_CHECKING:
    from av import AudioStream


class Encoding(NamedTuple):
    """A kind of file."""

    media_type: str
    muxer: str
    """FFmpeg's name of the container; empty where nothing is compressed."""
    codec: str = ""
    sample_rate: int = 0
    """Samples a second in the file, whatever comes in; 0 takes what comes in."""
    is_streamed: bool = True
    """Otherwise its beginning says how long it is, so that all of it comes at the end."""


ENCODINGS = MappingProxyType(
    {
        "wav": Encoding("audio/wav", ""),
        "pcm": Encoding("audio/pcm", ""),
        "mp3": Encoding("audio/mpeg", "mp3", "libmp3lame"),
        "opus": Encoding("audio/ogg", "ogg", "libopus", 48_000),
        "flac": Encoding("audio/flac", "flac", "flac", is_streamed=False),
        "aac": Encoding("audio/aac", "adts", "aac"),
    }
)
_BITS_A_SECOND = 64_000
"""Of codecs that lose something; plenty for one voice."""
_UNKNOWN_BYTES = 0xFFFF_FFFF
"""What a WAV header says of a length that nobody knows yet."""


class SoundEncoder:
    """One file. Not thread-safe."""

    def __init__(self, encoding: Encoding, *, sample_rate: int) -> None:
        """sample_rate: of what comes in. Raises MissingExtra."""
        self._sink = _Sink()
        self._whole = io.BytesIO()
        self._is_plain = not encoding.muxer
        if encoding.media_type == ENCODINGS["wav"].media_type:
            self._sink.write(_wav_header(sample_rate))
        if self._is_plain:
            return
        try:
            import av
        except ImportError as exc:
            name = encoding.muxer
            raise MissingExtra(
                f"{name} needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'"
            ) from exc
        self._av = av
        options = {"write_xing": "0"} if encoding.muxer == "mp3" else {}  # a table at the beginning, written at the end
        self._container = av.open(self._sink if encoding.is_streamed else self._whole, "w", encoding.muxer, options)
        stream = self._container.add_stream(encoding.codec, rate=encoding.sample_rate or sample_rate)
        self._stream = cast("AudioStream", stream)
        self._stream.layout = "mono"
        self._stream.bit_rate = _BITS_A_SECOND
        self._sample_rate = sample_rate
        self._done = 0

    def push(self, pcm: Pcm) -> bytes:
        """What the file has more of; often nothing, since codecs take some sound at once."""
        if self._is_plain:
            self._sink.write(to_bytes(pcm))
            return self._sink.taken()
        frame = self._av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._sample_rate
        frame.pts = self._done
        self._done += len(pcm)
        self._container.mux(self._stream.encode(frame))
        return self._sink.taken()

    def flush(self) -> bytes:
        """The rest of the file, after which nothing is pushed any more."""
        if not self._is_plain:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        return self._sink.taken() + self._whole.getvalue()


class _Sink:
    """A file that can only be written to: what is in it may be on its way already."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data = b"".join(self._written)
        self._written.clear()
        return data


def _wav_header(sample_rate: int) -> bytes:
    """Of one channel of 16 bits."""
    sound = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return b"RIFF" + struct.pack("<I", _UNKNOWN_BYTES) + b"WAVE" + sound + b"data" + struct.pack("<I", _UNKNOWN_BYTES)
