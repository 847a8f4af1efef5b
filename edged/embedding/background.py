"""The model behind asyncio: loaded when first needed, computing one request at a time in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from edged.embedding.minilm import DIMENSIONS, NAME, MiniLm, is_installed, minilm_folder
from edged.errors import InvalidInput, QueueFull

MAX_TOKENS_AT_ONCE = 32_768
"""Of all texts of a request: a minute's work for two cores."""
MAX_WAITING = 8
"""Requests at the same time; one more is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Of some texts, in their order."""

    vectors: tuple[tuple[float, ...], ...]
    """Of length 1."""
    tokens: int
    """Of all texts."""


class BackgroundEmbedder:
    """Satisfies `edged.server.openai.parts.Embedder`."""

    name = NAME
    dimensions = DIMENSIONS

    def __init__(self) -> None:
        self._model: MiniLm | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edged-embedding")
        self._waiting = 0

    @property
    def is_installed(self) -> bool:
        """Whether its weights are on this machine."""
        return is_installed()

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Cancelling it stops the computation after the current text.

        Raises ContextOverflow for a text that is too long, InvalidInput for too many, QueueFull, MissingExtra,
        ArtefactError.
        """
        if self._waiting >= MAX_WAITING:
            raise QueueFull("too many texts are being embedded; try again soon", retry_seconds=2.0)
        cancelled = threading.Event()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, tuple(texts), cancelled)
        finally:
            cancelled.set()
            self._waiting -= 1

    def close(self) -> None:
        """End the thread, after the text it is at."""
        self._thread.shutdown(cancel_futures=True)

    def _embed(self, texts: Sequence[str], cancelled: threading.Event) -> Embeddings:
        from threadpoolctl import threadpool_limits  # of the extra web, without which nobody asks

        if self._model is None:
            self._model = MiniLm(minilm_folder())
        written = [self._model.encode(text) for text in texts]
        tokens = sum(map(len, written))
        if tokens > MAX_TOKENS_AT_ONCE:
            message = f"the texts have {tokens} tokens, {MAX_TOKENS_AT_ONCE} are the most at once; send fewer"
            raise InvalidInput(message, field="input")
        with threadpool_limits(1, "blas"):  # threads that spin while they wait would take the cores from the model
            vectors = [self._model.embed(tokens) for tokens in written if not cancelled.is_set()]
        return Embeddings(vectors=tuple(tuple(map(float, vector)) for vector in vectors), tokens=tokens)
