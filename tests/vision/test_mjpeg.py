"""Pictures out of a stream, however it is cut into pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import DeviceUnavailable
from edged.vision.mjpeg import MAX_HEAD_BYTES, MAX_JPEG_BYTES, MjpegParts

START = b"\xff\xd8\xff"
pictures = st.lists(st.binary(max_size=300).map(lambda data: START + data.replace(b"--", b"..")), max_size=5)
cuts = st.lists(st.integers(0, 2000), max_size=10)


def stream(parts: list[bytes], boundary: str, newline: bytes, *, with_length: bool) -> bytes:
    out = b""
    for part in parts:
        length = b"content-LENGTH: %d%b" % (len(part), newline) if with_length else b""
        out += b"--" + boundary.encode() + newline + b"Content-Type: image/jpeg" + newline + length + newline
        out += part + newline
    return out + b"--" + boundary.encode() + newline


@given(pictures, cuts, st.booleans(), st.sampled_from([b"\r\n", b"\n"]), st.sampled_from(["frame", '"a b"', "--frame"]))
def test_pieces_make_no_difference(
    parts: list[bytes], places: list[int], with_length: bool, newline: bytes, name: str
) -> None:
    boundary = name.strip('"').removeprefix("--")
    data = stream(parts, boundary, newline, with_length=with_length)
    reader, seen = MjpegParts(f"multipart/x-mixed-replace; boundary={name}"), []
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    for begin, end in itertools.pairwise(edges):
        seen += reader.push(data[begin:end])
    if not with_length:  # a picture's own last line ends are not to be told from those before the boundary
        seen, parts = ([one.rstrip(b"\r\n") for one in some] for some in (seen, parts))
    assert seen == parts


@given(st.lists(st.binary(max_size=20_000), max_size=20))
def test_whatever_comes_it_keeps_no_more_than_it_may(pieces: list[bytes]) -> None:
    reader = MjpegParts("multipart/x-mixed-replace;boundary=x")
    try:
        for piece in pieces:
            reader.push(piece)
            assert len(reader._buffer) <= MAX_HEAD_BYTES
    except DeviceUnavailable as exc:
        assert "\n" not in exc.message


def test_a_picture_without_end_is_refused() -> None:
    reader = MjpegParts("multipart/x-mixed-replace;boundary=x")
    reader.push(b"--x\r\n\r\n" + START)
    with pytest.raises(DeviceUnavailable, match="8 MiB"):
        for _ in range(2 * MAX_JPEG_BYTES // 65_536):
            reader.push(bytes(65_536))
    assert len(reader._buffer) <= MAX_JPEG_BYTES + 65_536
