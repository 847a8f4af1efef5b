"""Pictures to calibrate on: screens of a telephone, drawn by code, the same every time.

Words in letters of dots, slopes of colour, cards, discs and buttons: what agents that read screens are shown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Red, green and blue.  # (height, width, 3)"""
_Colour = NDArray[np.uint8]

_SEED = 20261123
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_COLUMNS = (
    "7E1111117E 7F49494936 3E41414122 7F4141221C 7F49494941 7F09090901 3E4149497A 7F0808087F 00417F4100 2040413F01 "
    "7F08142241 7F40404040 7F020C027F 7F0408107F 3E4141413E 7F09090906 3E4151215E 7F09192946 4649494931 01017F0101 "
    "3F4040403F 1F2040201F 3F4038403F 6314081463 0708700807 6151494543 3E5149453E 00427F4000 4261514946 2141454B31 "
    "1814127F10 2745454539 3C4A494930 0171090503 3649494936 064949291E"
)
"""Of each letter, five columns of seven dots, the uppermost dot in the lowest bit."""
_WORDS = (
    "SETTINGS BATTERY 84 NETWORK MESSAGES FROM ANNA TODAY 1530 SEARCH MAPS ORDER NOW PRICE 249 BACK NEXT CANCEL OK "
    "WEATHER RAIN 12 CALENDAR MEETING AT 9 PHOTOS CAMERA VOLUME DISPLAY LANGUAGE ACCOUNT SIGN IN UPDATE 3 FILES"
)
_LINE = 9
"""Dots from one line of text to the next."""


def screen(number: int, height: int, width: int) -> Pixels:
    """The screen of that number in so many pixels."""
    random = np.random.default_rng([_SEED, number])
    pixels = _slope(random, height, width)
    dot = max(1, width // 240)
    _write(pixels, random, (dot, dot), width - dot, dot, _colour(random))  # clock, battery
    top, margin = 12 * dot, max(2, width // 24)
    while top < height - 20 * dot:
        card = min(int(random.integers(24, 60)) * dot, height - top)
        _draw_card(pixels[top : top + card, margin : width - margin], random, dot)
        top += card + 4 * dot
    return pixels


def _draw_card(pixels: Pixels, random: np.random.Generator, dot: int) -> None:
    """A disc, lines of text beside it, and a button below them."""
    height, width = pixels.shape[:2]
    pixels[:] = _colour(random, light=bool(random.integers(2)))
    radius = min(height // 3, width // 8)
    _draw_disc(pixels, (height // 2, radius + dot), radius, _colour(random))
    left, size = 2 * radius + 4 * dot, dot * int(random.integers(1, 3))
    for top in range(dot, height - _LINE * size, _LINE * size):
        _write(pixels, random, (top, left), width - dot, size, _colour(random))
    pixels[-8 * dot : -2 * dot, -width // 4 : -2 * dot] = _colour(random)


def _slope(random: np.random.Generator, height: int, width: int) -> Pixels:
    """From one colour in a corner to another in the opposite one."""
    first, last = _colour(random).astype(np.float32), _colour(random).astype(np.float32)
    share = (np.linspace(0, 1, height)[:, None] + np.linspace(0, 1, width)[None, :])[..., None] / 2
    return (first + (last - first) * share).astype(np.uint8)


def _draw_disc(pixels: Pixels, centre: tuple[int, int], radius: int, colour: _Colour) -> None:
    y, x = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    pixels[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2] = colour


def _write(
    pixels: Pixels, random: np.random.Generator, place: tuple[int, int], right: int, dot: int, colour: _Colour
) -> None:
    """Words from (top, left) on, as long as letters end before `right`."""
    (top, left), letters = place, dict(zip(_LETTERS, _COLUMNS.split(), strict=True))
    for word in random.permutation(_WORDS.split()):
        for letter in f"{word} ":
            if left + 5 * dot > right:
                return
            if letter != " ":
                columns = np.frombuffer(bytes.fromhex(letters[letter]), np.uint8)
                dots = np.unpackbits(columns[None], axis=0, bitorder="little")[:7].astype(bool)  # (7, 5)
                area = pixels[top : top + 7 * dot, left : left + 5 * dot]
                area[np.kron(dots, np.ones((dot, dot), bool))[: len(area)]] = colour
            left += 6 * dot


def _colour(random: np.random.Generator, *, light: bool = False) -> _Colour:
    return random.integers(200 if light else 0, 256, 3).astype(np.uint8)
