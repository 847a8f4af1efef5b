"""Words in a picture and where they stand, and objects that are called so."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from edged.records import FoundText, SeenObject
from edged.vision.ocr import ReadLine
from edged.vision.text_detection import Quad

MAX_FOUND = 200


def occurrences(lines: Sequence[ReadLine], words: str) -> list[tuple[ReadLine, str, Quad]]:
    """Each place where the words stand within a line, as they stand there, and its corners in pixels.

    Neither blanks nor the difference between large and small letters counts, nor that between wide and narrow ones.
    """
    wanted, _ = _folded(words)
    found = [(line, *place) for line in lines for place in _places(line, wanted)] if wanted else []
    return found[:MAX_FOUND]


def named(objects: Sequence[SeenObject], name: str) -> list[FoundText]:
    """Those of that name, as it is compared with words."""
    wanted, _ = _folded(name)
    return [
        FoundText(text=seen.name, confidence=seen.confidence, corners=seen.corners, is_object=True)
        for seen in objects
        if _folded(seen.name)[0] == wanted
    ]


def _places(line: ReadLine, wanted: str) -> Iterator[tuple[str, Quad]]:
    folded, origins = _folded(line.text)
    begin = folded.find(wanted)
    while begin >= 0:
        first, last = origins[begin], origins[begin + len(wanted) - 1]
        yield line.text[first : last + 1], _part(line, first, last)
        begin = folded.find(wanted, begin + len(wanted))


def _folded(text: str) -> tuple[str, list[int]]:
    """The text as it is compared, and of which character each of its own comes."""
    folded, origins = [], []
    for index, character in enumerate(text):
        for each in unicodedata.normalize("NFKC", character).casefold():
            if not each.isspace():
                folded.append(each)
                origins.append(index)
    return "".join(folded), origins


def _part(line: ReadLine, first: int, last: int) -> Quad:
    """Of the line, from one character to another; each reaches halfway to its neighbours."""
    edges = [0.0, *((left + right) / 2 for left, right in zip(line.places, line.places[1:], strict=False)), 1.0]
    begin, end = edges[first], edges[last + 1]
    upper_left, upper_right, lower_right, lower_left = line.quad
    upper, lower = upper_right - upper_left, lower_right - lower_left
    return np.array(
        (upper_left + begin * upper, upper_left + end * upper, lower_left + end * lower, lower_left + begin * lower),
        np.float32,
    )
