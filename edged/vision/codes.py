"""QR codes and barcodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edged.records import VisualCode
from edged.vision.corners import normalized_corners
from edged.vision.pictures import Pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CODES = 16
MAX_CODE_CHARACTERS = 500
_LONG_SIDE = 1600
"""Pixels: what is smaller in a picture of that size is no code that somebody meant to show."""


def read_codes(pixels: Pixels) -> tuple[VisualCode, ...]:
    """Those that can be read, at most `MAX_CODES`, each cut at `MAX_CODE_CHARACTERS`."""
    import cv2

    height, width = pixels.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    found = [("QR", *each) for each in _qr_codes(grey)] + _barcodes(grey)
    return tuple(
        VisualCode(kind=kind, text=text[:MAX_CODE_CHARACTERS], corners=normalized_corners(corners, *size))
        for kind, text, corners in found[:MAX_CODES]
        if text
    )


def _qr_codes(grey: NDArray[Any]) -> list[tuple[str, NDArray[Any]]]:
    import cv2

    try:
        is_there, texts, corners, _ = cv2.QRCodeDetector().detectAndDecodeMulti(grey)
    except (cv2.error, UnicodeDecodeError):  # of what only looks like one
        return []
    return list(zip(texts, corners, strict=False)) if is_there else []


def _barcodes(grey: NDArray[Any]) -> list[tuple[str, str, NDArray[Any]]]:
    import cv2

    softened = cv2.GaussianBlur(grey, (0, 0), 1.0)  # it finds no bars whose edges are as sharp as only drawn ones are
    try:
        is_there, texts, kinds, corners = cv2.barcode.BarcodeDetector().detectAndDecodeWithType(softened)
    except (cv2.error, UnicodeDecodeError):
        return []
    if not is_there:
        return []
    # OpenCV begins at the left lower corner.
    return [(kind, text, np.roll(place, -1, axis=0)) for text, kind, place in zip(texts, kinds, corners, strict=False)]
