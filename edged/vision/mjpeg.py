"""Pictures out of what a network camera sends without end: MIME type multipart/x-mixed-replace (RFC 2046)."""

from __future__ import annotations

import re

from edged.errors import DeviceUnavailable

MAX_JPEG_BYTES = 8 * 1024 * 1024
"""Of one picture from a camera."""
MAX_HEAD_BYTES = 4096
"""Of what stands before one."""
_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([!-~ ]{1,100})"|([!-~]{1,100}))', re.IGNORECASE)
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_START_OF_IMAGE = b"\xff\xd8\xff"


class MjpegParts:
    """Fed with bytes as they come. Cameras differ in how they write boundaries, and in whether they give lengths."""

    def __init__(self, content_type: str) -> None:
        """content_type: of the whole. Raises DeviceUnavailable where it names no boundary."""
        match = _BOUNDARY.search(content_type)
        if match is None:
            raise DeviceUnavailable("the camera sends parts without saying what is between them")
        # Some name their boundary with the dashes that stand before it.
        self._delimiter = b"\n--" + (match[1] or match[2]).rstrip(";").removeprefix("--").encode()
        self._buffer = bytearray()
        self._searched = 0
        self._is_in_picture = False
        self._length: int | None = None

    def push(self, data: bytes) -> list[bytes]:
        """The pictures that are complete with that, oldest first. Raises DeviceUnavailable for anything else."""
        self._buffer += data
        pictures = []
        while self._begin_picture() and (picture := self._end_picture()) is not None:
            if not picture.startswith(_START_OF_IMAGE):
                raise DeviceUnavailable("the camera sends something that is no JPEG picture")
            pictures.append(picture)
        return pictures

    def _begin_picture(self) -> bool:
        """Read up to the first byte of a picture."""
        if self._is_in_picture:
            return True
        blank = len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))
        del self._buffer[:blank]
        end = _HEAD_END.search(self._buffer, 0, MAX_HEAD_BYTES)
        if end is None:
            if len(self._buffer) >= MAX_HEAD_BYTES:
                raise DeviceUnavailable("the camera sends something that is no MJPEG")
            return False
        length = _LENGTH.search(self._buffer, 0, end.end())
        self._length = int(length[1]) if length else None
        del self._buffer[: end.end()]
        self._searched, self._is_in_picture = 0, True
        return True

    def _end_picture(self) -> bytes | None:
        end = self._length if self._length is not None else self._find_delimiter()
        if (end if end >= 0 else len(self._buffer)) > MAX_JPEG_BYTES:
            raise DeviceUnavailable(f"the camera sends pictures of more than {MAX_JPEG_BYTES >> 20} MiB")
        if not 0 <= end <= len(self._buffer):
            return None
        picture = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._is_in_picture = False
        return picture

    def _find_delimiter(self) -> int:
        """Where the picture ends; -1 as long as it does not."""
        end = self._buffer.find(self._delimiter, self._searched)
        self._searched = max(0, len(self._buffer) - len(self._delimiter))
        return end - (end > 0 and self._buffer[end - 1] == ord("\r"))
