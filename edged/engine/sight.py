"""What a session is told of a prompt besides its tokens: positions, and embeddings in place of pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edged.engine.positions import rope_positions, rope_shift
from edged.engine.prompt import Prompt
from edged.engine.session import Sight, TokenType
from edged.engine.vision_encoder import Embeddings, VisionEncoder


class PromptSight:
    """The pictures of one prompt, computed when the chunk that holds them is near. Without pictures it is idle."""

    def __init__(self, prompt: Prompt, eyes: VisionEncoder | None, hidden_size: int) -> None:
        areas = [area for area, _ in prompt.pictures]
        self._pictures = prompt.pictures
        self._eyes = eyes
        self._hidden_size = hidden_size
        self._positions = rope_positions(len(prompt.tokens), areas)
        self._embeddings: dict[int, Embeddings] = {}
        self.shift = rope_shift(areas)
        """Of the tokens after the prompt, see Session.decode."""

    def open_eyes(self, start: int, stop: int, cancelled: Callable[[], bool]) -> bool:
        """Compute the first picture within start..stop that is not there yet; False if there is none left."""
        for index, (area, picture) in enumerate(self._pictures):
            if area.start < stop and area.stop > start and index not in self._embeddings:
                assert self._eyes is not None
                embeddings = self._eyes.embeddings(picture, cancelled)
                if embeddings is not None:
                    self._embeddings[index] = embeddings
                return True
        return False

    def of(self, start: int, stop: int) -> Sight | None:
        """Of the tokens start..stop, whose pictures must have been computed; None for a prompt without pictures.

        Chunks follow each other: what a chunk was the last to need is forgotten.
        """
        if not self._pictures:
            return None
        rows = np.zeros((stop - start, self._hidden_size), np.float32)
        types = np.full(stop - start, TokenType.TEXT, np.int64)
        for index, (area, _) in enumerate(self._pictures):
            first, last = max(start, area.start), min(stop, area.stop)
            if first < last:
                rows[first - start : last - start] = self._embeddings[index][first - area.start : last - area.start]
                types[first - start : last - start] = TokenType.IMAGE
            if area.stop <= stop:
                self._embeddings.pop(index, None)
        return Sight(positions=self._positions[:, start:stop], embeddings=rows, types=types)
