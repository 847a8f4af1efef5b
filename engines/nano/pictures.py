"""Pictures of words and numbers, and of coloured shapes, with questions about them in English and Chinese."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

from PIL import ImageDraw

from . import vocabulary
from .canvas import Colour, Look, Mark, Picture, blank, lettered, paper, photographed
from .fonts import resized
from .samples import Sample, Turn

READING = (
    "What is written in the picture?", "What does it say?", "Read the text.", "What is written here?",
    "What does the picture say?", "图片里写着什么？", "上面写的是什么？",
)  # fmt: skip
NAMING = ("What is in the picture?", "Describe the picture.", "What do you see?", "图里有什么？", "描述这张图片。")
HUES: dict[str, tuple[Colour, str]] = {
    "red": ((215, 30, 35), "红色"),
    "green": ((25, 150, 50), "绿色"),
    "blue": ((30, 70, 210), "蓝色"),
    "yellow": ((245, 215, 25), "黄色"),
    "orange": ((245, 130, 20), "橙色"),
    "purple": ((125, 40, 160), "紫色"),
    "black": ((15, 15, 15), "黑色"),
    "white": ((250, 250, 250), "白色"),
    "brown": ((120, 70, 30), "棕色"),
    "pink": ((250, 150, 185), "粉色"),
}
SHAPES = {"circle": "圆形", "square": "正方形", "triangle": "三角形", "star": "星形", "cross": "十字", "ring": "圆环"}
_ORDINALS = ("first", "second", "third")


def written(rng: random.Random, look: Look) -> tuple[Picture, str]:
    """A word or a number, anywhere, of any size that fits, and what it says."""
    text = vocabulary.number(rng) if rng.random() < 0.4 else vocabulary.word(rng)
    size = rng.choice(look.sizes)
    scale = rng.choice((1, 1, 2))
    ground, ink = paper(rng)
    image, draw = blank(size, ground, scale)
    high, wide = size[0] * scale, size[1] * scale
    font = look.fonts.pick(rng, rng.uniform(0.1, 0.45) * high)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    if right - left > 0.94 * wide:
        font = resized(font, max(8, int(font.size * 0.94 * wide / (right - left))))
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    x = rng.uniform(0.03 * wide, max(0.03 * wide, 0.97 * wide - (right - left)))
    y = rng.uniform(0.03 * high, max(0.03 * high, 0.97 * high - (bottom - top)))
    if rng.random() < 0.15:
        _frame(rng, draw, (x, y, x + right - left, y + bottom - top), ink)
    marks = lettered(draw, (x - left, y - top), text, fill=ink, font=font)
    return photographed(rng, image, marks, size, look, tilt=7), text


def _frame(rng: random.Random, draw: ImageDraw.ImageDraw, box: tuple[float, ...], ink: Colour) -> None:
    room = rng.uniform(4, 10)
    x0, y0, x1, y1 = box
    draw.rectangle((x0 - room, y0 - room, x1 + room, y1 + room), outline=ink, width=rng.randint(1, 3))


def reading(rng: random.Random, look: Look) -> Sample:
    """What is written there?"""
    picture, text = written(rng, look)
    return Sample(task="read", turns=(Turn(parts=(picture, rng.choice(READING)), answer=text),))


def several(rng: random.Random, look: Look) -> Sample:
    """Two pictures in one question, which of them to read is said in words."""
    look = replace(look, sizes=(rng.choice(look.sizes),))
    pairs = [written(rng, look) for _ in range(2)]
    wanted = rng.randrange(2)
    ask = rng.choice(
        (f"What is written in the {_ORDINALS[wanted]} picture?", f"第{'一二三'[wanted]}张图片里写着什么？")
    )
    pictures = tuple(picture for picture, _ in pairs)
    return Sample(task="several", turns=(Turn(parts=(*pictures, ask), answer=pairs[wanted][1]),))


def shapes(rng: random.Random, look: Look) -> tuple[Picture, list[tuple[str, str]]]:
    """One to three shapes of different kinds and colours, left to right, and (colour, shape) of each."""
    size = rng.choice(look.sizes)
    scale = rng.choice((1, 2))
    count = rng.choice((1, 1, 1, 2, 2, 3))
    found = list(zip(rng.sample(list(HUES), count), rng.sample(list(SHAPES), count), strict=True))
    ground = _ground(rng, [HUES[hue][0] for hue, _ in found])
    image, draw = blank(size, ground, scale)
    high, wide = size[0] * scale, size[1] * scale
    column = wide / count
    marks: list[Mark] = []
    for index, (hue, shape) in enumerate(found):
        radius = rng.uniform(0.2, 0.46) * min(column, high)
        x = rng.uniform(index * column + radius, (index + 1) * column - radius)
        y = rng.uniform(radius, high - radius)
        red, green, blue = (max(0, min(255, part + rng.randint(-14, 14))) for part in HUES[hue][0])
        _DRAWN[shape](draw, x, y, radius, (red, green, blue), rng.uniform(-0.3, 0.3), ground)
        marks += _around(x, y, 0 if shape != "ring" else 0.77 * radius, f"{hue} {shape}")
    return photographed(rng, image, marks, size, look, tilt=5), found


def _around(x: float, y: float, distance: float, name: str) -> list[Mark]:
    """The middle of a shape, or points of the ring around its hole."""
    sides = ((1, 0), (0, 1), (-1, 0), (0, -1)) if distance else ((0, 0),)
    return [Mark(x=x + distance * across, y=y + distance * down, name=name) for across, down in sides]


def _ground(rng: random.Random, colours: list[Colour]) -> Colour:
    while True:
        ground = paper(rng)[0]
        if all(sum(abs(a - b) for a, b in zip(ground, colour, strict=True)) > 150 for colour in colours):
            return ground


def naming(rng: random.Random, look: Look) -> Sample:
    """Which shape, of which colour, how many?"""
    picture, found = shapes(rng, look)
    asked = [_described(rng, found), rng.choice((_colour, _shape, _count))(rng, found)]
    rng.shuffle(asked)
    turns = [Turn(parts=(words,), answer=answer) for words, answer in asked]
    turns[0] = Turn(parts=(picture, *turns[0].parts), answer=turns[0].answer)
    return Sample(task="shape", turns=tuple(turns))


def _described(rng: random.Random, found: list[tuple[str, str]]) -> tuple[str, str]:
    words = rng.choice(NAMING)
    if words[0] > "\x7f":
        return words, "、".join(f"{HUES[hue][1]}的{SHAPES[shape]}" for hue, shape in found)
    named = [f"{'an' if hue[0] in 'aeio' else 'a'} {hue} {shape}" for hue, shape in found]
    return words, ", ".join(named[:-1]) + (" and " if named[:-1] else "") + named[-1]


def _colour(rng: random.Random, found: list[tuple[str, str]]) -> tuple[str, str]:
    hue, shape = rng.choice(found)
    if rng.random() < 0.25:
        return f"{SHAPES[shape]}是什么颜色？", HUES[hue][1]
    if len(found) == 1 and rng.random() < 0.5:
        return rng.choice(("What colour is it?", "What color is it?")), hue
    return f"What {rng.choice(('colour', 'color'))} is the {shape}?", hue


def _shape(rng: random.Random, found: list[tuple[str, str]]) -> tuple[str, str]:
    hue, shape = rng.choice(found)
    if rng.random() < 0.25:
        return f"{HUES[hue][1]}的是什么形状？", SHAPES[shape]
    if len(found) == 1 and rng.random() < 0.5:
        return rng.choice(("What shape is it?", "Which shape is it?")), shape
    return f"Which shape is {hue}?", shape


def _count(rng: random.Random, found: list[tuple[str, str]]) -> tuple[str, str]:
    return rng.choice(("How many shapes are there?", "图里有几个图形？")), str(len(found))


Draw = Callable[[ImageDraw.ImageDraw, float, float, float, Colour, float, Colour], None]


def _circle(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour, turn: float, ground: Colour) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)


def _ring(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour, turn: float, ground: Colour) -> None:
    _circle(draw, x, y, r, fill, turn, ground)
    _circle(draw, x, y, 0.55 * r, ground, turn, ground)


def _polygon(*corners: tuple[float, float]) -> Draw:
    """By radius and angle, in whole turns clockwise from the top."""

    def drawn(
        draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour, turn: float, ground: Colour
    ) -> None:
        angles = [(length * r, 2 * math.pi * part + turn) for length, part in corners]
        draw.polygon([(x + length * math.sin(a), y - length * math.cos(a)) for length, a in angles], fill=fill)

    return drawn


_ARM = 1 / math.hypot(1, 3)
_DRAWN: dict[str, Draw] = {
    "circle": _circle,
    "ring": _ring,
    "square": _polygon(*((1.0, (2 * index + 1) / 8) for index in range(4))),
    "triangle": _polygon(*((1.0, index / 3) for index in range(3))),
    "star": _polygon(*((1.0 if index % 2 == 0 else 0.4, index / 10) for index in range(10))),
    "cross": _polygon(
        *(
            pair
            for quarter in range(4)
            for pair in (
                (1.0, quarter / 4 - math.atan(1 / 3) / (2 * math.pi)),
                (1.0, quarter / 4 + math.atan(1 / 3) / (2 * math.pi)),
                (_ARM * math.sqrt(2), quarter / 4 + 1 / 8),
            )
        )
    ),
}
