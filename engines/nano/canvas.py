"""A surface to draw on, in the sizes that training uses, and what a camera does to it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from .fonts import Fonts

Pixels = NDArray[np.uint8]
"""(height, width, 3)"""
Colour = tuple[int, int, int]
Noise = Literal["training", "held-out"]
SIZES = ((224, 224), (160, 288), (192, 256), (256, 192))
"""(height, width): multiples of a token's side within the model's limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where in a picture something is whose name is known: a letter, or a part of a coloured shape."""

    x: float
    """Pixels from the left."""
    y: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """One picture of a question."""

    pixels: Pixels
    marks: tuple[Mark, ...] = ()
    tilt: float = 0
    """Degrees that a camera may tilt it by, of one that is not photographed yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What pictures are made with."""

    fonts: Fonts
    noise: Noise | None
    """None where pictures stay as they are drawn and voices as they are spoken, to be disturbed in batches later."""
    sizes: tuple[tuple[int, int], ...] = SIZES
    """(height, width) to choose from."""


def paper(rng: random.Random, apart: float = 70) -> tuple[Colour, Colour]:
    """A ground and an ink whose brightness (0 to 255) stands apart."""
    while True:
        ground = _any_colour(rng)
        ink = _any_colour(rng)
        if abs(_luma(ground) - _luma(ink)) > apart:
            return ground, ink


def _any_colour(rng: random.Random) -> Colour:
    kind = rng.random()
    if kind < 0.35:
        level = rng.randint(215, 255)
        return level, level - rng.randint(0, 25), level - rng.randint(0, 40)
    if kind < 0.7:
        return rng.randint(0, 70), rng.randint(0, 70), rng.randint(0, 90)
    return rng.randint(0, 255), rng.randint(0, 255), rng.randint(0, 255)


def _luma(colour: Colour) -> float:
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def blank(size: tuple[int, int], ground: Colour, scale: int = 1) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A canvas (height, width), `scale` times as large."""
    image = Image.new("RGB", (size[1] * scale, size[0] * scale), ground)
    return image, ImageDraw.Draw(image)


def lettered(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    *,
    fill: Colour,
    font: ImageFont.FreeTypeFont,
    anchor: str = "la",
) -> list[Mark]:
    """Write a line of text; where each of its letters came to stand."""
    draw.text(place, text, fill=fill, font=font, anchor=anchor)
    left, top, _, bottom = draw.textbbox(place, text, font=font, anchor=anchor)
    ends = list(accumulate((font.getlength(letter) for letter in text), initial=0.0))
    kerned = draw.textlength(text, font=font) / max(ends[-1], 1)
    middles = [kerned * (start + end) / 2 for start, end in pairwise(ends)]
    return [
        Mark(x=left + middle, y=(top + bottom) / 2, name=letter)
        for letter, middle in zip(text, middles, strict=True)
        if letter != " "
    ]


def photographed(
    rng: random.Random, image: Image.Image, marks: list[Mark], size: tuple[int, int], look: Look, *, tilt: float = 0
) -> Picture:
    """Tilted by up to so many degrees, brought to its size, unsharp, unevenly lit and noisy, each now and then."""
    angle = 0.0
    drawn = image.size
    if look.noise is None:
        return _as_drawn(image, marks, size, tilt)
    if tilt and rng.random() < 0.5:
        angle = rng.uniform(-tilt, tilt)
        border = tuple(rng.randint(0, 255) for _ in range(3)) if rng.random() < 0.5 else image.getpixel((0, 0))
        image = image.rotate(angle, resample=Image.Resampling.BILINEAR, fillcolor=border, expand=rng.random() < 0.6)
    marks = _moved(marks, drawn, image.size, angle, size)
    if image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1)))
    pixels = np.asarray(image, np.float32)
    noise = np.random.default_rng(rng.getrandbits(32))
    if rng.random() < 0.5:
        pixels = _lit(noise, pixels, look.noise)
    if rng.random() < 0.4:
        pixels = _noisy(noise, pixels, look.noise)
    return Picture(pixels=np.clip(pixels, 0, 255).astype(np.uint8), marks=tuple(marks))


def _as_drawn(image: Image.Image, marks: list[Mark], size: tuple[int, int], tilt: float) -> Picture:
    scale = image.size[1] // size[0]
    reduced = image.reduce(scale) if scale > 1 else image
    placed = tuple(Mark(x=mark.x / scale, y=mark.y / scale, name=mark.name) for mark in marks)
    return Picture(pixels=np.asarray(reduced), marks=placed, tilt=tilt)


def _moved(
    marks: list[Mark], drawn: tuple[int, int], tilted: tuple[int, int], angle: float, size: tuple[int, int]
) -> list[Mark]:
    """Where marks are once the canvas is turned counter-clockwise about its middle, and brought to its size."""
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    wide, high = size[1] / tilted[0], size[0] / tilted[1]
    return [
        Mark(
            x=(cosine * (mark.x - drawn[0] / 2) + sine * (mark.y - drawn[1] / 2) + tilted[0] / 2) * wide,
            y=(cosine * (mark.y - drawn[1] / 2) - sine * (mark.x - drawn[0] / 2) + tilted[1] / 2) * high,
            name=mark.name,
        )
        for mark in marks
    ]


def _lit(rng: np.random.Generator, pixels: NDArray[np.float32], noise: Noise) -> NDArray[np.float32]:
    """A gradient across the picture; in held-out pictures a spot of light instead."""
    high, wide = pixels.shape[:2]
    y, x = np.linspace(-1, 1, high)[:, None], np.linspace(-1, 1, wide)[None, :]
    if noise == "training":
        field = 1 + rng.uniform(-0.2, 0.2) * x + rng.uniform(-0.2, 0.2) * y + rng.uniform(-0.1, 0.1)
    else:
        centre = rng.uniform(-1, 1, 2)
        field = 0.8 + 0.35 * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2))
    return np.asarray(pixels * field[..., None], np.float32)


def _noisy(rng: np.random.Generator, pixels: NDArray[np.float32], noise: Noise) -> NDArray[np.float32]:
    """Gaussian grain; in held-out pictures single dots and grain that all colours share."""
    if noise == "training":
        return pixels + rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(1, 12))
    grain = rng.standard_normal(pixels.shape[:2], np.float32) * np.float32(rng.uniform(1, 10))
    grain += np.where(rng.random(pixels.shape[:2]) < 0.003, rng.choice([-120, 120]), 0).astype(np.float32)
    return pixels + grain[..., None]
