"""The lines of text in a picture: found, cut out straight, turned the right way up, read.

A photograph may be held any way: lines that stand upright in it are turned by a quarter, and all by a half where most
of them stand on their heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edged.vision.pictures import Pixels
from edged.vision.text_detection import Quad, TextDetector
from edged.vision.text_recognition import DirectionClassifier, TextRecognizer
from edged.vision.weights import CLASSIFIER, DETECTOR, RECOGNIZER

_LEAST_CONFIDENCE = 0.5
"""What is read with less is no text."""
_LEAST_CONFIDENCE_ALONE = 0.9
"""The same of a single character: knobs, leaves and letters look alike."""
_TALL = 1.5
"""A line so much higher than wide runs downwards; where most do, one that is not as much wider than high does, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLine:
    """A line of text in a picture."""

    text: str
    confidence: float
    quad: Quad
    """Its corners in pixels, clockwise from where the text begins.  # (4, 2)"""
    places: tuple[float, ...]
    """Where along the line each character stands, 0 to 1."""


class Ocr:
    """Reads Chinese and English. One picture at a time."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        """Raises ArtefactError."""
        self._detector = TextDetector(folder / DETECTOR, threads=threads)
        self._classifier = DirectionClassifier(folder / CLASSIFIER, threads=threads)
        self._recognizer = TextRecognizer(folder / RECOGNIZER, threads=threads)

    def read(self, pixels: Pixels, cancelled: Callable[[], bool] = lambda: False) -> list[ReadLine]:
        """All lines, in no order; looks at `cancelled` before each."""
        quads = _running(self._detector.find(pixels))
        strips = [_cut_out(pixels, quad) for quad in quads]
        if strips and self._classifier.are_upside_down(strips):
            quads = [np.roll(quad, 2, axis=0) for quad in quads]
            strips = [strip[::-1, ::-1] for strip in strips]
        lines = []
        for quad, strip in zip(quads, strips, strict=True):
            if cancelled():
                break
            read = self._recognizer.read(strip)
            least = _LEAST_CONFIDENCE if len(read.text) > 1 else _LEAST_CONFIDENCE_ALONE
            if read.text and read.confidence >= least:
                lines.append(ReadLine(text=read.text, confidence=read.confidence, quad=quad, places=read.places))
        return lines


def _running(quads: Sequence[Quad]) -> list[Quad]:
    """Those of lines that run downwards begin at the corner where their text does: the right upper one."""
    shapes = [_size(quad) for quad in quads]
    lean = sum(
        float(height - width) for width, height in shapes if max(width, height) >= _TALL * max(1.0, min(width, height))
    )
    least = _TALL if lean <= 0 else 1 / _TALL
    return [
        np.roll(quad, -1, axis=0) if height >= least * width else quad
        for quad, (width, height) in zip(quads, shapes, strict=True)
    ]


def _size(quad: Quad) -> tuple[float, float]:
    """Width and height of a line in pixels."""
    width = max(np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[3]))
    height = max(np.linalg.norm(quad[3] - quad[0]), np.linalg.norm(quad[2] - quad[1]))
    return float(width), float(height)


def _cut_out(pixels: Pixels, quad: Quad) -> Pixels:
    """The line as if it had been photographed straight on."""
    import cv2

    width, height = (max(2, round(side)) for side in _size(quad))
    straight = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
    transform = cv2.getPerspectiveTransform(quad, straight)
    strip = cv2.warpPerspective(
        pixels, transform, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(strip, np.uint8)
