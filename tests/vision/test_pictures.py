"""Whatever claims to be a picture: decoded as somebody would see it, or refused in one line, and nothing is kept."""

from __future__ import annotations

import gc
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edged.errors import InvalidInput
from edged.vision.pictures import MAX_SIDE, begin_picture, opened, read_picture
from tests.vision.menu import encoded

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")
"""As edged.vision.pictures has it, which pytest forgets."""
MOST_KEPT_BYTES = 500_000
MOST_TAKEN_BYTES = 8_000_000


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """A header of any size, and little behind it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def gif_screen(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b"\x2c" + bytes(20) + b";"


def photo(side: int = 200, **options: object) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", **options)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://example.invalid/x.png" width="9" height="9"/></svg>'
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "not a JPEG, PNG, WebP or GIF"),
    "one byte": (lambda: b"\xff", "not a JPEG, PNG, WebP or GIF"),
    "truncated JPEG": (lambda: photo()[:5000], "damaged"),
    "truncated PNG": (lambda: encoded(Image.new("RGB", (300, 300), "red"))[:-40], "damaged"),
    "header alone": (lambda: photo()[:300], "picture"),
    "PNG bomb": (lambda: png(50_000, 50_000, bytes(100_000)), "67 million pixels"),
    "GIF bomb": (lambda: gif_screen(65_535, 65_535), "67 million pixels"),
    "40 MB of zeros": (lambda: bytes(40_000_000), "not a JPEG, PNG, WebP or GIF"),
    "40 MB behind a header": (lambda: png(50_000, 50_000) + bytes(40_000_000), "67 million pixels"),
    "SVG with a reference": (lambda: SVG, "not a JPEG, PNG, WebP or GIF"),
    "HTML": (lambda: b"<!doctype html><img src=x>", "not a JPEG, PNG, WebP or GIF"),
    "TIFF": (lambda: encoded(Image.new("RGB", (9, 9)), "TIFF"), "not a JPEG, PNG, WebP or GIF"),
    "BMP": (lambda: encoded(Image.new("RGB", (9, 9)), "BMP"), "not a JPEG, PNG, WebP or GIF"),
    "PDF": (lambda: b"%PDF-1.7\n" + bytes(100), "not a JPEG, PNG, WebP or GIF"),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG, PNG, WebP or GIF"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_picture_is_refused_in_a_line_and_leaves_nothing(kind: str) -> None:
    make, problem = BAD[kind]
    data = make()
    with pytest.raises(InvalidInput, match=problem):
        read_picture(data)  # Pillow's readers, which the first file loads, stay
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(3):
            with pytest.raises(InvalidInput, match=problem) as raised:
                read_picture(data, field="picture")
        assert "\n" not in raised.value.message and raised.value.field == "picture"
        del raised
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < MOST_KEPT_BYTES
    assert peak - before < MOST_TAKEN_BYTES + (len(data) if len(data) > 10**7 else 0)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("CMYK", lambda image: encoded(image.convert("CMYK"), "JPEG", quality=95)),
        ("grey", lambda image: encoded(image.convert("L"))),
        ("palette", lambda image: encoded(image.convert("P", palette=Image.Palette.ADAPTIVE))),
        ("alpha", lambda image: encoded(image.convert("RGBA"))),
        ("grey and alpha", lambda image: encoded(image.convert("LA"))),
        ("16-bit", lambda image: encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257))),
        ("WebP", lambda image: encoded(image, "WEBP", lossless=True)),
        ("GIF", lambda image: encoded(image, "GIF")),
        ("progressive", lambda image: encoded(image, "JPEG", progressive=True, quality=95)),
    ],
)
def test_every_kind_shows_what_was_drawn(name: str, make: Callable[[Image.Image], bytes]) -> None:
    grey = np.linspace(0, 255, 96).astype(np.uint8)
    image = Image.fromarray(np.repeat(np.tile(grey, (64, 1))[..., None], 3, axis=2))
    read = read_picture(make(image))
    assert read.pixels.shape == (64, 96, 3) and read.pixels.dtype == np.uint8
    np.testing.assert_allclose(read.pixels, np.asarray(image), atol=8)


def test_the_first_bytes_count_and_no_name_does() -> None:
    """A PNG that is called a JPEG is a PNG."""
    assert read_picture(encoded(Image.new("RGB", (5, 4), "red"))).pixels[0, 0].tolist() == [255, 0, 0]


def test_of_a_moving_picture_the_first_frame_is_seen() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
        assert read_picture(data).pixels[15, 20].tolist() == [255, 0, 0]


def test_transparent_pixels_show_the_ground() -> None:
    """Dark on light or light on dark, whatever colour is hidden in what is transparent."""
    for drawn, ground in (((0, 0, 0), 255), ((255, 255, 255), 0)):
        image = Image.new("RGBA", (20, 10), (*drawn, 0))
        image.paste((*drawn, 255), (0, 0, 10, 10))
        pixels = read_picture(encoded(image)).pixels
        assert pixels[5, 2].tolist() == list(drawn) and pixels[5, 15].tolist() == [ground] * 3
    nothing = read_picture(encoded(Image.new("RGBA", (9, 9), (0, 0, 0, 0)))).pixels
    assert nothing.min() == 255


def test_orientation_of_exif_and_the_size_it_makes() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (90, 40), "white")
    image.paste("black", (0, 0, 45, 40))  # held so that the left half is up
    read = read_picture(encoded(image, exif=exif))
    assert (read.width, read.height, read.pixels.shape) == (40, 90, (90, 40, 3))
    assert read.pixels[5, 20].max() == 0 and read.pixels[85, 20].min() == 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_picture_is_made_smaller_and_says_how_large_it_was(kind: str) -> None:
    read = read_picture(encoded(Image.new("RGB", (8000, 500), "navy"), kind))
    assert (read.width, read.height) == (8000, 500)
    assert read.pixels.shape == (256, MAX_SIDE, 3)


def test_pictures_are_decoded_in_the_order_they_came() -> None:
    waiting = [begin_picture(photo(64)) for _ in range(5)]
    assert all(each.result(30).width == 64 for each in waiting)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=12),
    share=st.floats(0.3, 1.0),
)
def test_changed_bytes_give_a_picture_or_one_line(kind: str, changes: list[tuple[int, int]], share: float) -> None:
    data = bytearray(encoded(Image.radial_gradient("L").resize((48, 48)).convert("RGB"), kind))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        assert read_picture(bytes(data[: int(len(data) * share)])).pixels.ndim == 3
    except InvalidInput as exc:
        assert "\n" not in exc.message


def test_a_lack_of_memory_is_no_damage() -> None:
    with pytest.raises(MemoryError), opened(encoded(Image.new("L", (8, 8)))):
        raise MemoryError
