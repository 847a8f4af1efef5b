"""What colours a picture has, in words."""

from __future__ import annotations

import numpy as np

from edged.records import ColourShare
from edged.vision.pictures import Pixels

_SIDE = 64
"""Pixels that are looked at, each way."""
_LEAST_SHARE = 0.1
_MOST = 4
_NAMED = {
    "black": (0, 0, 0),
    "dark grey": (70, 70, 70),
    "grey": (128, 128, 128),
    "light grey": (200, 200, 200),
    "white": (255, 255, 255),
    "red": (210, 30, 30),
    "dark red": (110, 15, 20),
    "orange": (240, 130, 30),
    "brown": (120, 75, 40),
    "beige": (225, 205, 165),
    "yellow": (245, 220, 50),
    "green": (50, 150, 60),
    "dark green": (20, 70, 35),
    "light green": (150, 220, 130),
    "turquoise": (60, 190, 190),
    "blue": (40, 80, 200),
    "dark blue": (20, 30, 90),
    "light blue": (140, 190, 235),
    "purple": (120, 50, 150),
    "pink": (240, 150, 180),
}


def common_colours(pixels: Pixels) -> tuple[ColourShare, ...]:
    """The most common ones, each at least a tenth of the picture."""
    import cv2

    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).reshape(1, -1, 3)
    named = np.array([list(_NAMED.values())], np.uint8)
    # In CIELAB as far apart as people see them.
    seen, known = (cv2.cvtColor(each.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0] for each in (small, named))
    nearest = np.linalg.norm(seen[:, None] - known[None], axis=2).argmin(axis=1)
    shares = np.bincount(nearest, minlength=len(_NAMED)) / len(nearest)
    names = tuple(_NAMED)
    return tuple(
        ColourShare(name=names[index], share=round(float(shares[index]), 3))
        for index in np.argsort(-shares, kind="stable")[:_MOST]
        if shares[index] >= _LEAST_SHARE
    )
