"""What a line of text says, and whether it stands on its head.

The recognizer reads a strip 48 pixels high from left to right and says at each step which character it sees, or none
(connectionist temporal classification, doi:10.1145/1143844.1143891).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.errors import ArtefactError
from edged.vision.pictures import Pixels
from edged.vision.text_detection import normalized
from edged.vision.weights import load

_HEIGHT = 48
_LONGEST = 3200
"""Pixels of a strip; one that is longer is squeezed."""
_CLASSIFIED_WIDTH = 192
"""The same of what says which way is up."""
_VOTERS = 12
_NOTHING = 0
"""The class that stands for no character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadStrip:
    """What a strip says."""

    text: str
    confidence: float
    """Mean of its characters', 0 to 1."""
    places: tuple[float, ...]
    """Where along the strip each character is seen, 0 to 1."""


class TextRecognizer:
    """Reads strips one at a time."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Raises ArtefactError."""
        self._session = load(path, threads=threads)
        characters = self._session.get_modelmeta().custom_metadata_map.get("character", "").splitlines()
        if not characters:
            raise ArtefactError(f"{path} does not name its characters")
        self._characters = ["", *characters, " "]

    def read(self, strip: Pixels) -> ReadStrip:
        """What it says; an empty text where it says nothing."""
        (probabilities,) = self._session.run(None, {"x": normalized(_resized(strip, _LONGEST))})
        return self._decoded(probabilities[0])

    def _decoded(self, probabilities: NDArray[np.float32]) -> ReadStrip:
        """Of (steps, characters): the likeliest of each step, once where it goes on."""
        best = probabilities.argmax(axis=1)
        begins = np.flatnonzero((best != _NOTHING) & (best != np.concatenate(([_NOTHING], best[:-1]))))
        text = [self._characters[index] for index in best[begins]]
        first, last = _without_blanks(text)
        begins = begins[first:last]
        sure = probabilities[begins, best[begins]]
        return ReadStrip(
            text="".join(text[first:last]),
            confidence=float(sure.mean()) if len(sure) else 0.0,
            places=tuple(((begins + 0.5) / len(best)).tolist()),
        )


class DirectionClassifier:
    """Says which way is up."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Raises ArtefactError."""
        self._session = load(path, threads=threads)

    def are_upside_down(self, strips: Sequence[Pixels]) -> bool:
        """Most of them, the longer ones counting more: in one picture all lines stand the same way."""
        longest = sorted(strips, key=_aspect_ratio, reverse=True)[:_VOTERS]
        balance = 0.0
        for strip in longest:
            frame = np.full((_HEIGHT, _CLASSIFIED_WIDTH, 3), 127, np.uint8)
            seen = _resized(strip, _CLASSIFIED_WIDTH)
            frame[:, : seen.shape[1]] = seen
            ((upright, turned),) = self._session.run(None, {"x": normalized(frame)})[0]
            balance += float(turned - upright) * min(_aspect_ratio(strip), 10.0)
        return balance > 0


def _aspect_ratio(strip: Pixels) -> float:
    return float(strip.shape[1] / strip.shape[0])


def _resized(strip: Pixels, longest: int) -> Pixels:
    import cv2

    width = min(max(int(np.ceil(_HEIGHT * _aspect_ratio(strip))), _HEIGHT // 2), longest)
    return np.asarray(cv2.resize(strip, (width, _HEIGHT)), np.uint8)


def _without_blanks(text: Sequence[str]) -> tuple[int, int]:
    """The slice that neither begins nor ends with a blank."""
    kept = [index for index, character in enumerate(text) if character.strip()]
    return (kept[0], kept[-1] + 1) if kept else (0, 0)
