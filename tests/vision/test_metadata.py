"""Photographs lose what their files say of place, time and person, and not a pixel."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from edged.errors import InvalidInput
from edged.vision.metadata import without_metadata
from edged.vision.pictures import opened, read_picture
from tests.vision.menu import encoded

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")
SECRET = b"Ada Lovelace"
KINDS = ["JPEG", "PNG", "WEBP"]


def photo(kind: str, orientation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x013B] = SECRET.decode()
    exif.get_ifd(0x8825)[1] = "N"
    image = Image.radial_gradient("L").resize((60, 40)).convert("RGB")
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", SECRET.decode())
        text.add_itxt("XML:com.adobe.xmp", f"<x>{SECRET.decode()}</x>")
        options["pnginfo"] = text
    elif kind == "JPEG":
        options |= {"comment": SECRET, "xmp": b"<x>" + SECRET + b"</x>"}
    else:
        options |= {"xmp": b"<x>" + SECRET + b"</x>"}
    return encoded(image, kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_metadata_goes_and_the_picture_stays(kind: str, orientation: int) -> None:
    data = photo(kind, orientation)
    assert SECRET in data
    bare = without_metadata(data)
    assert SECRET not in bare and b"<x>" not in bare and len(bare) < len(data)
    np.testing.assert_array_equal(read_picture(bare).pixels, read_picture(data).pixels)
    with Image.open(io.BytesIO(bare)) as image:
        image.load()
        assert dict(image.getexif()) == ({0x0112: orientation} if orientation != 1 else {})
    assert without_metadata(bare) == bare


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 100}, {"restart_marker_blocks": 1}])
def test_every_kind_of_jpeg(options: dict[str, Any]) -> None:
    data = photo("JPEG", 6, **options)
    bare = without_metadata(data)
    assert SECRET not in bare
    np.testing.assert_array_equal(read_picture(bare).pixels, read_picture(data).pixels)


def test_colours_stay() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in KINDS:
        for put, kept in ((profile, profile), (profile + SECRET, None), (SECRET, None)):
            bare = without_metadata(photo(kind, 1, icc_profile=put))
            assert SECRET not in bare
            with Image.open(io.BytesIO(bare)) as image:
                image.load()
                assert image.info.get("icc_profile") == kept
    cmyk = encoded(Image.radial_gradient("L").convert("CMYK"), "JPEG", exif=Image.Exif().tobytes())
    np.testing.assert_array_equal(read_picture(without_metadata(cmyk)).pixels, read_picture(cmyk).pixels)


def test_what_telephones_put_behind_a_picture_goes() -> None:
    data = photo("JPEG", 1)
    assert without_metadata(data + photo("JPEG", 3)) == without_metadata(data)
    both = encoded(Image.new("RGB", (40, 30), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (40, 30))])
    with Image.open(io.BytesIO(without_metadata(both))) as image:
        assert (image.format, image.getpixel((5, 5))) == ("JPEG", (254, 0, 0))
    assert without_metadata(photo("PNG", 1) + SECRET).endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_a_moving_picture_moves_on(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    with Image.open(io.BytesIO(without_metadata(data))) as image:
        assert image.n_frames == 3


@pytest.mark.parametrize(
    "data", [b"", b"some picture", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a"]
)
def test_what_no_reader_takes_for_a_picture_is_left_as_it_is(data: bytes) -> None:
    assert without_metadata(data) == data


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def riff_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)


def full_jpeg() -> bytes:
    """With the secret in every segment that is not about pixels, before the picture, among its tables and behind it."""
    bodies = [
        (0xE0, b"JFIF\0\1\1\0\0\1\0\1\4\1" + SECRET),
        (0xE0, b"JFXX\0\x13\4\1" + SECRET),
        (0xE2, b"MPF\0" + SECRET),
        (0xE2, b"ICC_PROFILE\0\1\1" + SECRET),
        (0xED, b"Photoshop 3.0\x008BIM\4\4" + SECRET),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1" + SECRET),
        *((marker, SECRET) for marker in (*range(0xE0, 0xF0), 0xFE)),
    ]
    extra = b"".join(segment(*body) for body in bodies)
    data = photo("JPEG", 6)
    for place in (data.index(b"\xff\xda"), data.index(b"\xff\xc4"), 2):
        data = data[:place] + extra + data[place:]
    return data + SECRET + data


def full_png() -> bytes:
    data = photo("PNG", 6)
    names = (b"tEXt", b"iTXt", b"tIME", b"hIST", b"sPLT", b"prVt", b"PRVT", b"eXIf")
    extra = b"".join(chunk(name, b"Author\0" + SECRET) for name in names)
    extra += chunk(b"zTXt", SECRET + b"\0\0" + zlib.compress(SECRET))
    extra += chunk(b"iCCP", SECRET + b"\0\0" + zlib.compress(SECRET))
    return data[:33] + extra + data[33:-12] + extra + data[-12:] + SECRET


def full_webp() -> bytes:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    data = encoded(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], exif=SECRET, xmp=SECRET, icc_profile=SECRET
    )
    extra = riff_chunk(b"note", SECRET + b"!")
    place = data.index(b"ANMF")
    (length,) = struct.unpack_from("<I", data, place + 4)
    frame = riff_chunk(b"ANMF", data[place + 8 : place + 8 + length] + extra)
    body = data[8:place] + extra + frame + data[place + 8 + length :] + extra
    return struct.pack("<4sI", b"RIFF", len(body)) + body + SECRET


def full_gif() -> bytes:
    frames = [Image.radial_gradient("L").resize((side, 20)) for side in (30, 29)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=3)
    block = bytes((len(SECRET),)) + SECRET + b"\0"
    extra = b"!\xfe" + block
    for name in (b"XMP DataXMP", b"NETSCAPE2.0"):
        extra += b"!\xff\x0b" + name + block
    extra += b"!\x01\x0c" + SECRET + block
    first, second = data.index(b"!\xf9"), data.rindex(b"!\xf9")
    return data[:first] + extra + data[first:second] + extra + data[second:-1] + extra + b";" + SECRET


FULL: dict[str, Callable[[], bytes]] = {"JPEG": full_jpeg, "PNG": full_png, "WEBP": full_webp, "GIF": full_gif}


@pytest.mark.parametrize("kind", FULL)
def test_every_place_for_words_is_emptied(kind: str) -> None:
    data = FULL[kind]()
    bare = without_metadata(data)
    assert data.count(SECRET) > 5 and SECRET not in bare
    np.testing.assert_array_equal(read_picture(bare).pixels, read_picture(data).pixels)
    with Image.open(io.BytesIO(bare)) as image, Image.open(io.BytesIO(data)) as before:
        assert (image.format, getattr(image, "n_frames", 1)) == (kind, getattr(before, "n_frames", 1))
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            before.seek(frame)
            assert image.convert("RGBA").tobytes() == before.convert("RGBA").tobytes()
    assert without_metadata(bare) == bare


def with_fill(data: bytes) -> bytes:
    place = data.index(b"\xff\xe1")
    return data[:place] + b"\xff\xff\xff" + data[place:]


def with_junk(data: bytes) -> bytes:
    place = data.index(b"\xff\xdb")
    return data[:place] + b"\0" + data[place:]


IRREGULAR: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "fill bytes before a marker": ("JPEG", with_fill),
    "a byte between two segments": ("JPEG", with_junk),
    "no IEND": ("PNG", lambda data: data[:-12]),
    "cut within IEND": ("PNG", lambda data: data[:-3]),
    "cut behind the first frame": ("GIF", lambda data: data[: data.rindex(b"!\xf9")]),
}


@pytest.mark.parametrize("name", IRREGULAR)
def test_what_decoders_forgive_hides_nothing(name: str) -> None:
    kind, spoil = IRREGULAR[name]
    data = spoil(FULL["GIF"]() if kind == "GIF" else photo(kind, 6))
    bare = without_metadata(data)
    assert SECRET in data and SECRET not in bare
    before, after = read_picture(data).pixels, read_picture(bare).pixels
    np.testing.assert_allclose(after.astype(int), before.astype(int), atol=2)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
        *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
        *(("GIF", mode) for mode in ("1", "L", "P", "RGBA")),
    ],
)
def test_a_picture_that_is_drawn_anew_looks_the_same(kind: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.radial_gradient("L").resize((60, 40))
    deep = Image.fromarray(np.asarray(image, np.uint16) * 257)
    data = encoded(deep if mode == "I;16" else image.convert(mode), kind)
    for name in ("jpeg", "png", "webp", "gif"):
        monkeypatch.setattr(f"edged.vision.metadata.bare_{name}", not_followed)
    before, after = read_picture(data).pixels, read_picture(without_metadata(data)).pixels
    np.testing.assert_allclose(after.astype(int), before.astype(int), atol=3)


def not_followed(data: bytes) -> bytes:
    raise ValueError("not written as it should be")


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(list(FULL)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.none() | st.binary(min_size=1, max_size=2)), max_size=4),
)
def test_no_damage_saves_the_words(kind: str, changes: list[tuple[float, bytes | None]]) -> None:
    """Bytes come in or go anywhere: what is stored has none of it, or is refused by who looks."""
    data = bytearray(FULL[kind]())
    for share, inserted in changes:
        place = int(share * (len(data) - 1))
        data[place : place + (inserted is None)] = inserted or b""
    try:
        bare = without_metadata(bytes(data))
    except InvalidInput:
        return
    if SECRET in bare:
        with pytest.raises(InvalidInput), opened(bare):
            pass


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12),
    share=st.floats(0, 1),
)
def test_damaged_files_are_never_a_problem(kind: str, changes: list[tuple[int, int]], share: float) -> None:
    data = bytearray(photo(kind, 6))
    for place, value in changes:
        data[place % len(data)] = value
    with suppress(InvalidInput):
        without_metadata(bytes(data[: int(len(data) * share)]))
