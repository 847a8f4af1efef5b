"""Pictures and recordings from files or stdin, known by their first bytes and never by their name."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edged.errors import EdgedError, InvalidInput
from edged.events import Audio, Image

STDIN = Path("-")
_ADDRESS = re.compile(r"(https?|ftp):", re.IGNORECASE)
_HEIF = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftypavif")
"""What the pictures of many telephones have after four bytes."""


def read_image(path: Path, *, max_bytes: int) -> Image:
    """The picture in a file, or on stdin. Raises InvalidInput naming the file."""
    data, media_type = _read(path, max_bytes, image_type, "a PNG, JPEG, WebP or GIF picture")
    return Image(data=data, media_type=media_type)


def read_audio(path: Path, *, max_bytes: int) -> Audio:
    """The recording in a file, or on stdin. Raises InvalidInput naming the file."""
    data, media_type = _read(path, max_bytes, audio_type, "a WAV, FLAC, Ogg or MP3 recording")
    return Audio(data=data, media_type=media_type)


def read_medium(path: Path, *, max_bytes: int) -> Image | Audio:
    """Whichever of the two the file is. Raises InvalidInput naming the file."""
    data, media_type = _read(
        path, max_bytes, lambda head: image_type(head) or audio_type(head), "a picture or a recording"
    )
    kind = Image if media_type.startswith("image/") else Audio
    return kind(data=data, media_type=media_type)


def read_stdin(max_bytes: int) -> bytes:
    """All of stdin. Raises InvalidInput where it holds more than that."""
    data = sys.stdin.buffer.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise InvalidInput(f"stdin holds more than {max_bytes} bytes (daemon.max_message_bytes)")
    return data


def refuse_address(path: Path) -> None:
    """Raises InvalidInput for a URL, of which a path keeps one slash."""
    if _ADDRESS.match(str(path)) and not path.exists():
        raise InvalidInput("this is an address, and edged fetches nothing: save the file first, then name that")


@contextmanager
def naming(files: Mapping[str, Path]) -> Iterator[None]:
    """Name the file in what the daemon says of a picture or recording. files: by the field of the request."""
    try:
        yield
    except EdgedError as exc:
        if exc.field not in files:
            raise
        raise InvalidInput(f"{_name(files[exc.field])}: {exc.message}", field=exc.field) from exc


def _read(path: Path, max_bytes: int, sniff: Callable[[bytes], str], wanted: str) -> tuple[bytes, str]:
    data = read_stdin(max_bytes) if path == STDIN else _file(path, max_bytes)
    media_type = sniff(data[:16])
    if not media_type:
        hint = ": save it as JPEG" if data[4:12] in _HEIF else ""
        raise InvalidInput(f"{_name(path)}: not {wanted}{hint}")
    return data, media_type


def _file(path: Path, max_bytes: int) -> bytes:
    try:
        refuse_address(path)
        if not path.is_file():
            raise InvalidInput(f"{path}: not a file")
        if path.stat().st_size > max_bytes:
            raise InvalidInput(f"{path}: larger than {max_bytes} bytes (daemon.max_message_bytes)")
        return path.read_bytes()
    except OSError as exc:
        raise InvalidInput(f"{path}: cannot be read: {exc.strerror}") from exc


def _name(path: Path) -> str:
    return "stdin" if path == STDIN else str(path)


def image_type(head: bytes) -> str:
    """Media type of a picture by its first bytes; empty for anything else."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return ""


def audio_type(head: bytes) -> str:
    """Media type of a recording by its first bytes; empty for anything else."""
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return "audio/wav"
    if head.startswith(b"fLaC"):
        return "audio/flac"
    if head.startswith(b"OggS"):
        return "audio/ogg"
    # ID3 tag, or the sync word of an MPEG layer III frame.
    if head.startswith(b"ID3") or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2):
        return "audio/mpeg"
    return ""
