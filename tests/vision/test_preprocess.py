"""Pictures to patches: transformers' own processor is the judge, and no file may do more than be refused."""

from __future__ import annotations

import dataclasses
import io
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

from edged.errors import InvalidInput, MissingExtra
from edged.vision.pictures import MAX_PICTURE_PIXELS
from edged.vision.preprocess import (
    Grid,
    ImageFormat,
    Patches,
    begin_patches,
    read_grid,
    read_patches,
)

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")
"""As edged.vision.pictures has it, which pytest forgets."""
GLM4V = ImageFormat(
    patch_size=14,
    temporal_patch_size=2,
    merge_size=2,
    min_pixels=112 * 112,
    max_pixels=28 * 28 * 15000,
    rescale_factor=1 / 255,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
)
SIDES = st.integers(1, 400)


def picture(height: int, width: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (max(1, height // 7), max(1, width // 7), 3), dtype=np.uint8))
    return coarse.resize((width, height)).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def judged(image: Image.Image, format_: ImageFormat = GLM4V) -> tuple[Any, list[int]]:
    processor = Glm4vImageProcessorPil(size={"shortest_edge": format_.min_pixels, "longest_edge": format_.max_pixels})
    found = processor(image, return_tensors="np")
    return found["pixel_values"], found["image_grid_thw"][0].tolist()


def limits(min_pixels: int, max_pixels: int) -> ImageFormat:
    return ImageFormat(
        patch_size=14,
        temporal_patch_size=2,
        merge_size=2,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        rescale_factor=GLM4V.rescale_factor,
        mean=GLM4V.mean,
        std=GLM4V.std,
    )


@settings(max_examples=40, deadline=None)
@given(
    height=SIDES,
    width=SIDES,
    seed=st.integers(0, 99),
    edges=st.sampled_from([(12544, 11_760_000), (12544, 5_000_000), (56 * 56, 28 * 28 * 2 * 20), (400_000, 900_000)]),
)
def test_patches_equal_those_of_transformers(height: int, width: int, seed: int, edges: tuple[int, int]) -> None:
    format_ = limits(*edges)
    image = picture(height, width, seed)
    data = encoded(image)
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(InvalidInput, match="200 times"):
            read_patches(data, format_)
        return
    patches, grid = read_patches(data, format_)
    expected, thw = judged(image, format_)
    assert [1, grid.height, grid.width] == thw
    assert read_grid(data, format_) == grid
    np.testing.assert_array_equal(patches, expected)


def test_a_screenshot_has_the_tokens_it_is_known_for() -> None:
    format_, image = limits(12544, 5_000_000), picture(2400, 1080)
    patches, grid = read_patches(encoded(image, compress_level=1), format_)
    assert (grid.height // 2, grid.width // 2, grid.patches // 4) == (84, 37, 3108)
    np.testing.assert_array_equal(patches, judged(image, format_)[0])


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("JPEG", mode) for mode in ("RGB", "L", "CMYK", "1")),
        *(("PNG", mode) for mode in ("RGB", "L", "P", "RGBA", "LA", "1")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
        *(("GIF", mode) for mode in ("RGB", "L", "P", "1")),
    ],
)
def test_every_format_and_mode(kind: str, mode: str) -> None:
    data = encoded(picture(60, 90, mode=mode), kind)
    patches, _ = read_patches(data, GLM4V)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(patches, judged(image.convert("RGB"))[0])


def test_grey_of_16_bits_is_seen_in_8() -> None:
    """Pillow would clip it to white; OpenCV is the judge."""
    deep = np.tile(np.linspace(0, 65_535, 90).astype(np.uint16), (60, 1))
    data = encoded(Image.fromarray(deep))
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert seen[0, ::30, 0].tolist() == [0, 86, 172]
    np.testing.assert_array_equal(read_patches(data, GLM4V)[0], judged(Image.fromarray(seen))[0])


def test_a_palette_with_transparency() -> None:
    image = picture(40, 40, mode="P")
    data = encoded(image, transparency=bytes(range(256)))
    np.testing.assert_array_equal(read_patches(data, GLM4V)[0], judged(image.convert("RGB"))[0])


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_of_a_moving_picture_the_first_frame_counts(kind: str) -> None:
    frames = [picture(56, 84, seed) for seed in range(3)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    with Image.open(io.BytesIO(data)) as image:
        expected = judged(image.convert("RGB"))[0]
    np.testing.assert_array_equal(read_patches(data, GLM4V)[0], expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pictures_stand_upright(orientation: int, kind: str) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(50, 130), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected, thw = judged(ImageOps.exif_transpose(image).convert("RGB"))
    patches, grid = read_patches(data, GLM4V)
    np.testing.assert_array_equal(patches, expected)
    assert [1, grid.height, grid.width] == thw
    assert read_grid(data, GLM4V) == grid


def test_a_damaged_orientation_is_ignored() -> None:
    data = encoded(picture(50, 130), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert read_patches(data, GLM4V)[1].width > read_patches(data, GLM4V)[1].height


def exif_of(entries: int, size: int) -> bytes:
    """So many tags, of which each claims the same bytes."""
    first = 8 + 2 + 12 * entries + 4
    tags = b"".join(struct.pack("<HHLL", 0x8000 + number, 1, size, first) for number in range(entries))
    return b"Exif\0\0II*\0" + struct.pack("<LH", 8, entries) + tags + bytes(4 + size)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_exif_bomb_takes_no_memory(kind: str) -> None:
    """A megabyte to which 30,000 tags point would be 30 GB."""
    data = encoded(picture(56, 56), kind, exif=exif_of(30_000, 1_000_000))
    grid = read_grid(encoded(picture(56, 56), kind), GLM4V)
    tracemalloc.start()
    try:
        assert read_grid(data, GLM4V) == read_patches(data, GLM4V)[1] == grid
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_pillow_neither_logs_nor_warns_what_is_in_a_file(tmp_path: Path) -> None:
    """At DEBUG it would log every tag: where a photo was taken, and by whom."""
    exif = Image.Exif()
    exif[0x013B] = "Ada Lovelace"
    for name, extra in (("photo", exif.tobytes()), ("bomb", exif_of(2000, 20_000))):
        (tmp_path / name).write_bytes(encoded(picture(30, 30), "JPEG", exif=extra))
    code = f"""
import logging, pathlib
logging.basicConfig(level=logging.DEBUG)
from edged.vision.preprocess import ImageFormat, read_patches
format_ = ImageFormat(**{dataclasses.asdict(GLM4V)!r})
for name in ("photo", "bomb"):
    read_patches(pathlib.Path({str(tmp_path)!r}, name).read_bytes(), format_)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout + done.stderr == ""


def test_the_grid_is_known_from_the_header() -> None:
    data = encoded(picture(90, 60), "PNG")
    end = data.index(b"IDAT") + 4
    assert read_grid(data[:end] + bytes(len(data) - end), GLM4V) == read_grid(data, GLM4V)
    with pytest.raises(InvalidInput, match="damaged"):
        read_patches(data[:end] + bytes(len(data) - end), GLM4V)


def test_an_orientation_behind_the_pixels_turns_neither_grid_nor_patches() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(50, 130), exif=exif)
    start = data.index(b"eXIf") - 4
    stop = start + 12 + struct.unpack(">L", data[start : start + 4])[0]
    moved = data[:start] + data[stop:-12] + data[start:stop] + data[-12:]
    assert read_grid(data, GLM4V).height > read_grid(data, GLM4V).width
    assert read_patches(moved, GLM4V)[1] == read_grid(moved, GLM4V)
    assert read_grid(moved, GLM4V).height < read_grid(moved, GLM4V).width


def test_files_are_decoded_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order they came, and those that nobody wants any more not at all."""
    order: list[bytes] = []
    entered, leave = threading.Event(), threading.Event()

    def decoded(data: bytes, image_format: ImageFormat) -> Patches:
        order.append(data)
        entered.set()
        assert leave.wait(10)
        return np.zeros((0, 0), np.float32), Grid(height=0, width=0)

    monkeypatch.setattr("edged.vision.preprocess.read_patches", decoded)
    first, second, third = (begin_patches(name, GLM4V) for name in (b"1", b"2", b"3"))
    assert entered.wait(10) and not second.running()
    assert second.cancel()
    leave.set()
    third.result(10)
    assert first.done() and order == [b"1", b"3"]


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]), share=st.floats(0.02, 0.95), seed=st.integers(0, 9))
def test_a_file_that_breaks_off_is_refused_in_one_line(kind: str, share: float, seed: int) -> None:
    data = encoded(picture(64, 64, seed), kind)
    with pytest.raises(InvalidInput, match="picture") as error:
        read_patches(data[: int(len(data) * share)], GLM4V)
    assert "\n" not in error.value.message
    assert error.value.field == "parts"


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=12),
)
def test_changed_bytes_give_a_picture_or_one_line(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(picture(48, 48), kind))
    for place, value in changes:
        data[place % len(data)] = value
    for read in (read_patches, read_grid):
        try:
            read(bytes(data), GLM4V)
        except InvalidInput as exc:
            assert "\n" not in exc.message


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0" + bytes(100), b"\xff\xd8\xff"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="picture"):
        read_patches(data, GLM4V)


@pytest.mark.parametrize(("width", "height"), [(8193, 8193), (30_000, 30_000), (65_535, 65_535)])
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    assert width * height > MAX_PICTURE_PIXELS
    with pytest.raises(InvalidInput, match="67 million pixels"):
        read_patches(data, GLM4V)


@pytest.mark.parametrize("frames", [0, 1])
def test_a_jpeg_of_endless_scans_is_refused(frames: int) -> None:
    """Also one that says it is one of several pictures: telephones write such files."""
    others = [picture(64, 64, 1)] * frames
    data = encoded(picture(64, 64), "MPO", save_all=True, append_images=others, progressive=True)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == ("MPO" if frames else "JPEG")
    start = data.index(b"\xff\xda")
    with pytest.raises(InvalidInput, match="too much work"):
        read_patches(data[:start] + data[start:-2] * 300 + data[-2:], GLM4V)


def test_a_strip_is_refused() -> None:
    with pytest.raises(InvalidInput, match="200 times"):
        read_grid(encoded(Image.new("RGB", (6001, 30))), GLM4V)
    assert read_grid(encoded(Image.new("RGB", (6000, 30))), GLM4V).patches


def test_pillow_is_loaded_by_the_first_picture_only() -> None:
    code = "import sys, edged.engine.worker, edged.vision.preprocess; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"pip install 'edged\[media\]'"):
        read_grid(b"", GLM4V)
