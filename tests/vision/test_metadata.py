"""Photographs lose what their files say of place, time and person, and not a pixel."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from edged.vision.metadata import without_metadata
from edged.vision.pictures import read_picture
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
    profile = b"a profile that some screen needs"
    for kind in KINDS:
        bare = without_metadata(photo(kind, 1, icc_profile=profile))
        with Image.open(io.BytesIO(bare)) as image:
            assert image.info["icc_profile"] == profile
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
def test_what_is_no_picture_is_left_as_it_is(data: bytes) -> None:
    assert without_metadata(data) == data


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
    cut = bytes(data[: int(len(data) * share)])
    assert len(without_metadata(cut)) <= len(cut) + 40
