"""What a model is told of a picture: what was seen, how surely, what was not looked for, and never too much."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from edged.records import ColourShare, PictureText, SeenObject, TextLine, VisualCode
from edged.vision.codes import MAX_CODE_CHARACTERS, read_codes
from edged.vision.colours import common_colours
from edged.vision.description import MAX_BYTES, described
from edged.vision.pictures import read_picture
from tests.vision.menu import encoded

SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
EAN_LEFT = (
    "0001101",
    "0011001",
    "0010011",
    "0111101",
    "0100011",
    "0110001",
    "0101111",
    "0111011",
    "0110111",
    "0001011",
)
EAN_PARITY = ("000000", "001011", "001101", "001110", "010011", "011001", "011100", "010101", "010110", "011010")


def read(rows: list[list[str]], confidence: float = 0.95) -> PictureText:
    lines = tuple(TextLine(text=text, confidence=confidence, corners=SQUARE) for row in rows for text in row)
    cells = tuple(map(tuple, rows))
    return PictureText(width=1280, height=960, lines=lines, rows=cells, text="", markdown="")


def ean_13(digits: str) -> np.ndarray:
    """ISO/IEC 15420: modules of 3 pixels."""

    def swapped(modules: str) -> str:
        return modules.translate({48: 49, 49: 48})

    left = [EAN_LEFT[int(digit)] for digit in digits[1:7]]
    parity = EAN_PARITY[int(digits[0])]
    left = [swapped(code)[::-1] if kind == "1" else code for code, kind in zip(left, parity, strict=True)]
    right = [swapped(EAN_LEFT[int(digit)]) for digit in digits[7:]]
    modules = "101" + "".join(left) + "01010" + "".join(right) + "101"
    bars = np.repeat(np.array([0 if module == "1" else 255 for module in modules], np.uint8), 3)
    page = np.full((270, len(bars) + 120, 3), 255, np.uint8)
    page[60:210, 60:-60] = bars[None, :, None]
    return page


def test_all_that_was_seen_is_said() -> None:
    seen = read([["Lotus Kitchen"], ["Mapo Tofu", "hot", "38"]])
    code = VisualCode(kind="QR", text="table 7", corners=SQUARE)
    assert described(
        seen, [code], [ColourShare(name="beige", share=0.8), ColourShare(name="red", share=0.1)], None
    ) == (
        "A picture, 1280 x 960 pixels, mostly beige and red, as a text reader saw it.\n"
        "The text in it, row by row:\n"
        "Lotus Kitchen\n"
        "Mapo Tofu | hot | 38\n"
        "End of the text.\n"
        'It shows a QR code that says "table 7".\n'
        "Objects and people in it were not looked for."
    )


def test_objects_and_where_they_are() -> None:
    def thing(name: str, left: float, top: float, side: float) -> SeenObject:
        right, bottom = left + side, top + side
        return SeenObject(
            name=name, confidence=0.91, corners=((left, top), (right, top), (right, bottom), (left, bottom))
        )

    things = [thing("cat", 0.05, 0.05, 0.9), thing("cup", 0.0, 0.7, 0.2), thing("spoon", 0.4, 0.4, 0.1)]
    told = described(read([]), [], [], things)
    assert "cat (large, 91% sure), cup (bottom left, 91% sure), spoon (middle, 91% sure). Others" in told
    assert "No object that is known" in described(read([]), [], [], [])


def test_what_was_not_seen_is_said() -> None:
    told = described(read([]), [], [], None)
    assert "No text was found in it." in told and "not looked for" in told


def test_what_is_hard_to_read_is_marked() -> None:
    told = described(read([["Mapo Tofu", "38"]], confidence=0.6), [], [], None)
    assert "Mapo Tofu (?) | 38 (?)" in told and "(?) after what is hard to read" in told
    assert "(?)" not in described(read([["Mapo Tofu", "38"]]), [], [], None)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.lists(st.text(min_size=1, max_size=400), min_size=1, max_size=4), max_size=30),
    codes=st.lists(st.text(min_size=1, max_size=MAX_CODE_CHARACTERS), max_size=16),
)
def test_it_is_never_too_long_and_a_row_stays_a_row(rows: list[list[str]], codes: list[str]) -> None:
    told = described(read(rows), [VisualCode(kind="QR", text=text, corners=SQUARE) for text in codes], [], None)
    assert len(told.encode(errors="replace")) <= MAX_BYTES
    assert len(told.splitlines()) <= 5 + len(rows) + len(codes)


def test_of_much_text_the_beginning_is_told_and_how_much_more_there_is() -> None:
    told = described(read([[f"row {number} of a long page of text"] for number in range(500)]), [], [], None)
    assert "row 0 of" in told and len(told.encode()) <= MAX_BYTES
    kept = told.count("of a long page")
    assert f"(and {500 - kept} more rows)" in told
    assert told.endswith("were not looked for.")


@pytest.mark.parametrize("text", ["https://example.invalid/a", "荷香小厨", "WIFI:T:WPA;S:harbour;P:seven gulls;;"])
def test_a_qr_code(text: str) -> None:
    small = cv2.QRCodeEncoder.create().encode(text)
    side = 8 * len(small)
    page = np.full((600, 800), 230, np.uint8)
    page[120 : 120 + side, 400 : 400 + side] = cv2.resize(small, (side, side), interpolation=cv2.INTER_NEAREST)
    (found,) = read_codes(np.repeat(page[..., None], 3, axis=2))
    assert (found.kind, found.text) == ("QR", text)
    xs, ys = zip(*found.corners, strict=True)
    np.testing.assert_allclose((min(xs), max(xs)), (400 / 800, (400 + side) / 800), atol=0.03)
    np.testing.assert_allclose((min(ys), max(ys)), (120 / 600, (120 + side) / 600), atol=0.04)


@pytest.mark.parametrize("digits", ["4006381333931", "9780131103627"])
def test_a_barcode(digits: str) -> None:
    (found,) = read_codes(ean_13(digits))
    assert (found.kind, found.text) == ("EAN_13", digits)
    assert found.corners[0][0] < found.corners[1][0] and found.corners[0][1] < found.corners[3][1]


@pytest.mark.parametrize("kind", ["QR", "EAN_13"])
def test_codes_photographed_at_an_angle(kind: str) -> None:
    """Turned, blurred and saved at JPEG 60."""
    text = "4006381333931"
    square = np.pad(
        np.kron(cv2.QRCodeEncoder.create().encode(text), np.ones((5, 5), np.uint8)), 30, constant_values=255
    )
    drawn = ean_13(text) if kind == "EAN_13" else np.repeat(square[..., None], 3, axis=2)
    page = Image.new("RGB", (700, 700), (150, 140, 120))
    page.paste(Image.fromarray(drawn), (150, 200))
    for degrees in (0, 7, 15, 25, 45, 65, 90, 128, 180, 300):
        photo = page.rotate(degrees, resample=Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(0.8))
        (found,) = read_codes(read_picture(encoded(photo, "JPEG", quality=60)).pixels)
        assert (found.kind, found.text) == (kind, text), degrees
        angle = np.radians(degrees)
        shift = np.array((drawn.shape[1] / 2 - 200, drawn.shape[0] / 2 - 150))  # of the code's middle from the page's
        middle = 0.5 + shift @ ((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))) / 700
        np.testing.assert_allclose(np.mean(found.corners, axis=0), middle, atol=0.03)


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (640, 480)])
def test_noise_is_no_code(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert read_codes(noise) == ()


@pytest.mark.parametrize("colour", ["black", "white", "red", "green", "blue", "yellow", "orange", "purple", "pink"])
def test_a_colour_has_its_name(colour: str) -> None:
    (found,) = common_colours(np.asarray(Image.new("RGB", (30, 20), colour)))
    assert colour in found.name and found.share == 1


def test_colours_come_in_the_order_of_how_common_they_are() -> None:
    image = Image.new("RGB", (100, 100), "white")
    image.paste((200, 30, 30), (0, 0, 100, 30))
    image.paste((0, 0, 0), (0, 0, 100, 5))  # too little to be said
    assert [colour.name for colour in common_colours(np.asarray(image))] == ["white", "red"]
