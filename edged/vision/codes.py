"""QR codes, barcodes and their like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.records import VisualCode
from edged.vision.corners import normalized_corners
from edged.vision.pictures import Pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from zxingcpp import Barcode

    Grey = NDArray[Any]

MAX_CODES = 16
MAX_CODE_CHARACTERS = 500
_LONG_SIDE = 1600
"""Pixels: what is smaller in a picture of that size is no code that somebody meant to show."""
_SQUARES = {
    "QRCode": "QR",
    "DataMatrix": "DATA_MATRIX",
    "Aztec": "AZTEC",
    "PDF417": "PDF_417",
}
_BARS = {
    "EAN13": "EAN_13",
    "EAN8": "EAN_8",
    "UPCE": "UPC_E",
    "Code128": "CODE_128",
    "Code39": "CODE_39",
}
_KINDS = _SQUARES | _BARS
"""Kinds by their names in ZXing, which reads a UPC-A as the EAN-13 that it is; ITF and Codabar it sees in any fence."""


def read_codes(pixels: Pixels) -> tuple[VisualCode, ...]:
    """Those that can be read, at most `MAX_CODES`, each cut at `MAX_CODE_CHARACTERS`."""
    import cv2

    height, width = pixels.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    found = [(code, _corners(code)) for code in _read(grey, _KINDS)] or _slanting(grey)
    return tuple(
        VisualCode(
            kind=_KINDS[code.format.name],
            text=code.text[:MAX_CODE_CHARACTERS],
            corners=normalized_corners(corners, *size),
        )
        for code, corners in found[:MAX_CODES]
        if code.text
    )


def _slanting(grey: Grey) -> list[tuple[Barcode, NDArray[np.float64]]]:
    """Bars are looked for level and upright, give or take 25 degrees; these are the others."""
    import cv2

    height, width = grey.shape
    side = round(float(np.hypot(height, width)))
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), 45, 1.0)
    turned[:, 2] += (side - width) / 2, (side - height) / 2
    back = cv2.invertAffineTransform(turned)
    level = cv2.warpAffine(grey, turned, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return [(code, _corners(code) @ back[:, :2].T + back[:, 2]) for code in _read(level, _BARS)]


def _read(grey: Grey, kinds: Iterable[str]) -> list[Barcode]:
    import zxingcpp

    formats = zxingcpp.BarcodeFormats([getattr(zxingcpp.BarcodeFormat, name) for name in kinds])
    return zxingcpp.read_barcodes(grey, formats=formats, text_mode=zxingcpp.TextMode.Plain)


def _corners(code: Barcode) -> NDArray[np.float64]:
    place = code.position
    corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
    return np.array([(corner.x, corner.y) for corner in corners], np.float64)
