"""Pictures and recordings to the embeddings that stand for them in a prompt, kept while one talks about them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edged.engine.session import TokenType
from edged.events import Audio, Image

Embeddings = NDArray[np.float32]
"""(tokens, hidden_size)"""
Media = Image | Audio
MediaType = type[Image] | type[Audio]
_LOOK_SECONDS = 0.1
"""Between two looks at whether the answer is still wanted: others' files may take seconds each."""


class TowerSession(Protocol):
    """A loaded vision or audio tower; it belongs to the device thread."""

    def run(self, inputs: Mapping[str, NDArray[np.float32]], cancelled: Callable[[], bool]) -> Embeddings | None:
        """Embeddings of one picture or recording from the inputs of its reader; None if cancelled meanwhile."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Percept:
    """What a prompt has to know of a picture or a recording."""

    type: TokenType
    data: bytes
    """The file."""
    rows: int
    """Of tokens; a recording is one row."""
    columns: int
    tokens: tuple[int, ...]
    """Numbers below 0 in place of tokens, made of the content: equal for equal files, else different."""


class Reader(Protocol):
    """How one engine reads one kind of file; needs no loaded model."""

    type: TokenType
    token: int
    """Where the chat template wants such a file it writes this token."""
    text: str
    """Of that token."""
    file: str
    """The tower's graph in ONNX Runtime's operators."""
    input_names: frozenset[str]
    """Of that graph."""

    def perceive(self, data: bytes) -> Percept:
        """The file's place in a prompt, by its header; any thread may ask. Raises InvalidInput, MissingExtra."""
        ...

    def begin(self, data: bytes) -> Future[Any]:
        """Decode it by a thread of its own; fails with InvalidInput."""
        ...

    def inputs(self, decoded: Any) -> Mapping[str, NDArray[np.float32]]:
        """What the tower reads, from what `begin` brought."""
        ...


class Encoder:
    """The eyes or the ears of one engine."""

    def __init__(self, reader: Reader, session: TowerSession, *, limit_bytes: int) -> None:
        """limit_bytes: of embeddings kept, the least recently used go first."""
        self.reader = reader
        self._session = session
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[tuple[int, ...], Embeddings] = OrderedDict()

    @property
    def kept_bytes(self) -> int:
        """Memory of embeddings kept."""
        return sum(embeddings.nbytes for embeddings in self._kept.values())

    def embeddings(self, percept: Percept, cancelled: Callable[[], bool]) -> Embeddings | None:
        """Of each token of the file; None if cancelled before they were there. Raises InvalidInput."""
        if (kept := self._kept.get(percept.tokens)) is not None:
            self._kept.move_to_end(percept.tokens)
            return kept
        decoded = self._decoded(percept.data, cancelled)
        if decoded is None:
            return None
        computed = self._session.run(self.reader.inputs(decoded), cancelled)
        if computed is not None:
            self._kept[percept.tokens] = computed
            while self.kept_bytes > self._limit_bytes:
                self._kept.popitem(last=False)
        return computed

    def _decoded(self, data: bytes, cancelled: Callable[[], bool]) -> Any:
        """What the reader makes of the file; None if cancelled while other files were read before it."""
        reading = self.reader.begin(data)
        while not wait([reading], timeout=_LOOK_SECONDS).done:
            if cancelled():
                reading.cancel()
                return None
        return reading.result()


def content_tokens(data: bytes, count: int) -> tuple[int, ...]:
    """That many numbers below 0 from the hash of a file: 63 bits each, so five are a whole SHAKE256."""
    digest = hashlib.shake_256(data).digest(8 * count)
    return tuple((np.frombuffer(digest, "<i8") | np.iinfo(np.int64).min).tolist())
