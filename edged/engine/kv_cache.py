"""Keys and values of recent conversations, so that a follow-up turn computes only what is new.

A sequence is known by the tokens whose keys and values it holds. A prompt takes over the free sequence
it continues; where it shares only a beginning (a system prompt), that beginning is copied, because
copying a token's keys and values takes a small part of the time of computing them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic

import numpy as np

from edged.engine.session import Logits, Memory, Session


@dataclass(eq=False, slots=True)
class CachedSequence(Generic[Memory]):
    """Tokens whose keys and values are in memory, in order."""

    session: Session[Memory]
    memory: Memory
    tokens: list[int] = field(default_factory=list)
    peak_tokens: int = 0
    """Most it ever held: that much memory is committed, even after it was cut back."""
    in_use: bool = True
    last_used: int = 0

    def prefill(self, tokens: Sequence[int]) -> Logits:
        """Append a chunk; scores after its last token, (vocab_size,)."""
        logits = self.session.prefill(self.memory, len(self.tokens), tokens)
        self._extend(tokens)
        return logits.reshape(-1)

    def decode(self, token: int) -> Logits:
        """Append one token; scores after it, (vocab_size,), valid until the next call."""
        logits = self.session.decode(self.memory, len(self.tokens), token)
        self._extend((token,))
        return logits

    def _extend(self, tokens: Sequence[int]) -> None:
        self.tokens.extend(tokens)
        self.peak_tokens = max(self.peak_tokens, len(self.tokens))


class KvCache(Generic[Memory]):
    """The sequences of one session, bounded by bytes; the least recently used are dropped first.

    Sequences in use are never dropped: how many there can be is the scheduler's business.
    """

    def __init__(self, session: Session[Memory], *, bytes_per_token: int, limit_bytes: int) -> None:
        self._session = session
        self._bytes_per_token = bytes_per_token
        self._limit_bytes = limit_bytes
        self._sequences: list[CachedSequence[Memory]] = []
        self._clock = itertools.count(1)

    @property
    def used_bytes(self) -> int:
        """Memory committed to keys and values."""
        return sum(sequence.peak_tokens for sequence in self._sequences) * self._bytes_per_token

    @property
    def conversations(self) -> int:
        """Sequences held."""
        return len(self._sequences)

    @contextmanager
    def lease(self, prompt: Sequence[int]) -> Iterator[CachedSequence[Memory]]:
        """A sequence for this prompt alone, holding the longest beginning of it that is known.

        At least the prompt's last token is left to compute, since its scores are needed. What the
        sequence holds at the end stays for the next prompt, as far as the limit allows.
        """
        sequence = self._acquire(prompt)
        try:
            yield sequence
        finally:
            sequence.in_use = False
            sequence.last_used = next(self._clock)
            self._shrink(0)

    def _acquire(self, prompt: Sequence[int]) -> CachedSequence[Memory]:
        best, common = None, 0
        for candidate in self._sequences:
            shared = min(common_prefix(candidate.tokens, prompt), len(prompt) - 1)
            if shared > common or (shared == common > 0 and not candidate.in_use):
                best, common = candidate, shared
        if best is not None and not best.in_use and 2 * common >= len(best.tokens):
            del best.tokens[common:]
            best.in_use = True
            self._shrink(max(0, len(prompt) - best.peak_tokens))
            return best
        fresh = CachedSequence(self._session, self._session.allocate())
        if best is not None:
            self._session.copy_prefix(best.memory, fresh.memory, common)
            fresh._extend(best.tokens[:common])
        self._sequences.append(fresh)
        self._shrink(len(prompt) - common)
        return fresh

    def _shrink(self, coming_tokens: int) -> None:
        """Drop the least recently used free sequences until `coming_tokens` more fit the limit."""
        free = sorted((one for one in self._sequences if not one.in_use), key=lambda one: one.last_used)
        for sequence in free:
            if self.used_bytes + coming_tokens * self._bytes_per_token <= self._limit_bytes:
                return
            self._sequences.remove(sequence)


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many leading tokens are equal."""
    length = min(len(left), len(right))
    different = np.flatnonzero(np.asarray(left[:length]) != np.asarray(right[:length]))
    return int(different[0]) if len(different) else length
