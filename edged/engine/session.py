"""What the engine needs from whatever computes the model."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]
Memory = TypeVar("Memory")
"""A session's own keys and values of one sequence; nobody else looks inside."""


class TokenType(enum.IntEnum):
    """What a token is part of, which chooses its adapter in a model that has some."""

    TEXT = 0
    IMAGE = 1
    AUDIO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a model that sees or hears is told about a chunk of tokens besides the tokens themselves."""

    positions: NDArray[np.int64]
    """Position of each token in time, height and width; all the same where a model knows one axis.  # (3, tokens)"""
    embeddings: NDArray[np.float32]
    """Rows that stand for the tokens below 0, parts of pictures and recordings.  # (tokens, hidden_size)"""
    types: NDArray[np.int64]
    """`TokenType` of each token.  # (tokens,)"""


class Session(Protocol, Generic[Memory]):
    """A loaded model. Not thread-safe: it belongs to the device thread.

    A session remembers nothing of a sequence but what is in its `Memory`; the caller says at which
    position the given tokens stand, and the memory must hold every position before it.
    """

    @property
    def capacity(self) -> int:
        """Positions that fit one memory: the context length."""
        ...

    @property
    def device(self) -> str:
        """What really computes, for people, e.g. "onnxruntime CPU, 2 threads"."""
        ...

    def allocate(self) -> Memory:
        """Room for `capacity` positions; a CPU commits pages only as they are written."""
        ...

    def committed_positions(self, tokens: int) -> int:
        """Positions that a memory takes room for once it has held `tokens`: all of them on a GPU."""
        ...

    def copy_prefix(self, source: Memory, target: Memory, length: int) -> None:
        """Copy the keys and values of the first `length` positions."""
        ...

    def prefill(
        self,
        memory: Memory,
        position: int,
        tokens: Sequence[int],
        logits_index: Sequence[int] = (-1,),
        sight: Sight | None = None,
    ) -> Logits:
        """Compute tokens from `position` on; scores of the positions within `tokens` named by logits_index.

        Without `sight` the tokens are text (type 0), at the positions where they stand.
        Returns (len(logits_index), vocab_size), the caller's to keep.
        """
        ...

    def decode(self, memory: Memory, position: int, token: int, shift: int = 0) -> Logits:
        """Compute one token of text. Returns (vocab_size,), overwritten by this memory's next decode.

        shift: what pictures before it took fewer (negative) positions than tokens.
        """
        ...


@runtime_checkable
class CountsExperts(Protocol):
    """A session that can say how the work of a mixture of experts is spread."""

    @property
    def expert_load(self) -> NDArray[np.integer | np.floating] | None:
        """How often each expert was chosen since the model was loaded; None for other models.  # (layers, experts)

        Any thread may ask.
        """
        ...
