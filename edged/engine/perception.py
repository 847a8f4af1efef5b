"""What a session is told of a prompt besides its tokens: positions, and what stands for pictures and recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edged.engine.encoder import Embeddings, Encoder, MediaType
from edged.engine.positions import rope_positions, rope_shift
from edged.engine.prompt import Prompt
from edged.engine.session import Sight, TokenType


class Perception:
    """The pictures and recordings of one prompt, each computed when the chunk that holds it is near.

    Without any it is idle.
    """

    def __init__(
        self, prompt: Prompt, senses: Mapping[MediaType, Encoder], *, hidden_size: int, has_axes: bool
    ) -> None:
        """has_axes: tokens of a picture stand in height and width (M-RoPE); else all stand where they are."""
        areas = [one.area for one in prompt.placed if one.percept.type is TokenType.IMAGE] if has_axes else []
        self._placed = prompt.placed
        self._encoders = {encoder.reader.type: encoder for encoder in senses.values()}
        self._hidden_size = hidden_size
        self._positions = rope_positions(len(prompt.tokens), areas)
        self._embeddings: dict[int, Embeddings] = {}
        self.shift = rope_shift(areas)
        """Of the tokens after the prompt, see Session.decode."""

    def perceive(self, start: int, stop: int, cancelled: Callable[[], bool]) -> bool:
        """Compute the first one within start..stop that is not there yet; False if there is none left."""
        for index, one in enumerate(self._placed):
            if one.start < stop and one.stop > start and index not in self._embeddings:
                embeddings = self._encoders[one.percept.type].embeddings(one.percept, cancelled)
                if embeddings is not None:
                    self._embeddings[index] = embeddings
                return True
        return False

    def of(self, start: int, stop: int) -> Sight | None:
        """Of the tokens start..stop, of which all must have been perceived; None for a prompt of text.

        Chunks follow each other: what a chunk was the last to need is forgotten.
        """
        if not self._placed:
            return None
        rows = np.zeros((stop - start, self._hidden_size), np.float32)
        types = np.full(stop - start, TokenType.TEXT, np.int64)
        for index, one in enumerate(self._placed):
            first, last = max(start, one.start), min(stop, one.stop)
            if first < last:
                rows[first - start : last - start] = self._embeddings[index][first - one.start : last - one.start]
                types[first - start : last - start] = one.percept.type
            if one.stop <= stop:
                self._embeddings.pop(index, None)
        return Sight(positions=self._positions[:, start:stop], embeddings=rows, types=types)
