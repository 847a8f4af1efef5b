"""A menu in Chinese and English, drawn, photographed at an angle, and how wrong it was read."""

from __future__ import annotations

import io
import unicodedata
from itertools import pairwise

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

CJK = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
TITLE = "Lotus Kitchen 荷香小厨"
DISHES = (
    ("Mapo Tofu 麻婆豆腐", "hot 辣", "38.00"),
    ("Steamed Fish 清蒸鱼", "mild 不辣", "62.00"),
    ("Egg Fried Rice 蛋炒饭", "mild 不辣", "25.00"),
    ("Hot and Sour Soup 酸辣汤", "hot 辣", "18.00"),
    ("Kung Pao Chicken 宫保鸡丁", "hot 辣", "45.00"),
    ("Sweet Corn Cake 玉米饼", "mild 不辣", "16.00"),
    ("Boiled Beef 水煮牛肉", "very hot 特辣", "58.00"),
    ("Jasmine Tea 茉莉花茶", "", "12.00"),
)
ROWS = ((TITLE,), *(tuple(cell for cell in dish if cell) for dish in DISHES))
_WIDTH, _HEIGHT = 1280, 960


def menu(width: int = _WIDTH) -> Image.Image:
    """As it was printed; four wide by three high."""
    scale = width / _WIDTH
    image = Image.new("RGB", (width, round(_HEIGHT * scale)), (250, 246, 235))
    draw = ImageDraw.Draw(image)

    def write(x: float, y: float, text: str, size: int, colour: tuple[int, int, int] = (30, 20, 20)) -> None:
        font = ImageFont.truetype(CJK, round(size * scale))
        draw.text((x * scale, y * scale), text, fill=colour, font=font)

    write(380, 40, TITLE, 52, (120, 20, 20))
    for index, (dish, heat, price) in enumerate(DISHES):
        y = 150 + 95 * index
        write(80, y, dish, 40)
        write(760, y, heat, 36, (160, 20, 20))
        write(1080, y, price, 40)
    return image


def photographed(image: Image.Image, *, lean: float = 0.08, blur: float = 1.2, quality: int = 40) -> bytes:
    """A JPEG of it on a table, from one side. lean: share of the picture that a corner moves."""
    width, height = image.size
    corners = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
    moved = corners + np.array(((1.2, 1), (-0.5, 0.2), (-1.1, -0.4), (0.2, -0.1)), np.float32) * lean * (width, height)
    transform = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    seen = cv2.warpPerspective(
        np.asarray(image), transform, image.size, flags=cv2.INTER_CUBIC, borderValue=(90, 80, 70)
    )
    blurred = Image.fromarray(seen.astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur * width / _WIDTH))
    return encoded(blurred, "JPEG", quality=quality)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def character_error_rate(expected: str, found: str) -> float:
    """Edits by the character; blanks, and whether a character is wide or narrow, do not count."""
    wanted, got = (unicodedata.normalize("NFKC", "".join(text.split())) for text in (expected, found))
    costs = list(range(len(got) + 1))
    for row, character in enumerate(wanted, start=1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(got, start=1):
            diagonal, costs[column] = (
                costs[column],
                min(costs[column] + 1, costs[column - 1] + 1, diagonal + (character != other)),
            )
    return costs[-1] / len(wanted)


def expected_text() -> str:
    return "\n".join("\t".join(row) for row in ROWS)


def is_in_order(text: str, *words: str) -> bool:
    places = [text.find(word) for word in words]
    return places[0] >= 0 and all(first < second for first, second in pairwise(places))
