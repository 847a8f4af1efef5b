"""Pictures to the embeddings that stand for them in a prompt, kept while conversations go on about them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edged.engine.senses import Vision
from edged.vision.preprocess import ImageFormat, Patches, begin_patches, read_grid
from edged.vision.tower_inputs import tower_inputs

Embeddings = NDArray[np.float32]
"""(tokens, hidden_size)"""
_LOOK_SECONDS = 0.1
"""Between two looks at whether the answer is still wanted: others' pictures may take seconds each."""


class VisionSession(Protocol):
    """A loaded vision tower; it belongs to the device thread."""

    def run(self, inputs: Mapping[str, NDArray[np.float32]], cancelled: Callable[[], bool]) -> Embeddings | None:
        """Embeddings of one picture from the inputs of `edged.vision.tower_inputs`; None if cancelled meanwhile."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a prompt has to know of a picture."""

    data: bytes
    """The file."""
    rows: int
    """Of tokens."""
    columns: int
    tokens: tuple[int, ...]
    """Numbers below 0 in place of tokens, made of the content: equal for equal files, else different."""


class VisionEncoder:
    """The eyes of one engine."""

    def __init__(self, vision: Vision, session: VisionSession, *, limit_bytes: int) -> None:
        """limit_bytes: of embeddings kept, the least recently used go first."""
        self.vision = vision
        self.image_format = image_format(vision)
        self._session = session
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[tuple[int, ...], Embeddings] = OrderedDict()

    @property
    def kept_bytes(self) -> int:
        """Memory of embeddings kept."""
        return sum(embeddings.nbytes for embeddings in self._kept.values())

    def look(self, data: bytes) -> Picture:
        """The picture's place in a prompt; any thread may ask. Raises InvalidInput, MissingExtra."""
        grid = read_grid(data, self.image_format)
        merge = self.vision.merge_size
        rows, columns = grid.height // merge, grid.width // merge
        return Picture(data=data, rows=rows, columns=columns, tokens=content_tokens(data, rows * columns))

    def embeddings(self, picture: Picture, cancelled: Callable[[], bool]) -> Embeddings | None:
        """Of each token of the picture; None if cancelled before they were there. Raises InvalidInput."""
        if (kept := self._kept.get(picture.tokens)) is not None:
            self._kept.move_to_end(picture.tokens)
            return kept
        read = self._read(picture.data, cancelled)
        if read is None:
            return None
        patches, grid = read
        inputs = tower_inputs(patches, grid, merge_size=self.vision.merge_size, position_side=self.vision.position_side)
        computed = self._session.run(inputs, cancelled)
        if computed is not None:
            self._kept[picture.tokens] = computed
            while self.kept_bytes > self._limit_bytes:
                self._kept.popitem(last=False)
        return computed

    def _read(self, data: bytes, cancelled: Callable[[], bool]) -> Patches | None:
        """The patches; None if cancelled while other files were read before it."""
        reading = begin_patches(data, self.image_format)
        while not wait([reading], timeout=_LOOK_SECONDS).done:
            if cancelled():
                reading.cancel()
                return None
        return reading.result()


def image_format(vision: Vision) -> ImageFormat:
    """How the model wants its pictures."""
    return ImageFormat(
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        merge_size=vision.merge_size,
        min_pixels=vision.min_pixels,
        max_pixels=vision.max_pixels,
        rescale_factor=vision.rescale_factor,
        mean=vision.mean,
        std=vision.std,
    )


def content_tokens(data: bytes, count: int) -> tuple[int, ...]:
    """That many numbers below 0 from the hash of a file: 63 bits each, so five are a whole SHAKE256."""
    digest = hashlib.shake_256(data).digest(8 * count)
    return tuple((np.frombuffer(digest, "<i8") | np.iinfo(np.int64).min).tolist())
