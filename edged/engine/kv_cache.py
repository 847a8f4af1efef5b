"""Keys and values of recent conversations, so that a follow-up turn computes only what is new.

A sequence is known by the tokens whose keys and values it holds. A prompt takes over the free sequence
it continues; where it shares only a beginning (a system prompt), that beginning is copied, because
copying a token's keys and values takes a small part of the time of computing them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, ParamSpec

import numpy as np

from edged.engine.session import Logits, Memory, Session, Sight
from edged.errors import Code, EdgedError, Unavailable

_Arguments = ParamSpec("_Arguments")


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

    def prefill(self, tokens: Sequence[int], sight: Sight | None = None) -> Logits:
        """Append a chunk; scores after its last token, (vocab_size,). For `sight` see Session.

        Raises BrokenSession where it cannot be computed.
        """
        logits = _computed(self.session.prefill, self.memory, len(self.tokens), tokens, sight=sight)
        self._extend(tokens)
        return logits.reshape(-1)

    def decode(self, token: int, shift: int = 0) -> Logits:
        """Append one token; scores after it, (vocab_size,), valid until the next call. For the rest see prefill."""
        logits = _computed(self.session.decode, self.memory, len(self.tokens), token, shift)
        self._extend((token,))
        return logits

    def _extend(self, tokens: Sequence[int]) -> None:
        self.tokens.extend(tokens)
        self.peak_tokens = max(self.peak_tokens, len(self.tokens))


class BrokenSession(Exception):
    """What computes has failed, whatever it was asked: a GPU that is gone, say."""


def _computed(step: Callable[_Arguments, Logits], *arguments: _Arguments.args, **named: _Arguments.kwargs) -> Logits:
    """What the step returns. Refusals stay what they are."""
    try:
        return step(*arguments, **named)
    except Exception as exc:
        if isinstance(exc, EdgedError) and exc.code is not Code.INTERNAL:
            raise
        raise BrokenSession from exc


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
        return sum(self._bytes_of(sequence.peak_tokens) for sequence in self._sequences)

    @property
    def conversations(self) -> int:
        """Sequences held."""
        return len(self._sequences)

    @contextmanager
    def lease(self, prompt: Sequence[int], *, anew: bool = False) -> Iterator[CachedSequence[Memory]]:
        """A sequence for this prompt alone, holding the longest beginning of it that is known.

        anew: holding nothing, so that the scores are the same, to the last bit, whatever was computed before.
        At least the prompt's last token is left to compute, since its scores are needed. What the
        sequence holds at the end stays for the next prompt, as far as the limit allows.
        """
        sequence = self._acquire(prompt, anew=anew)
        try:
            yield sequence
        finally:
            sequence.in_use = False
            sequence.last_used = next(self._clock)
            self._shrink(0)

    def _acquire(self, prompt: Sequence[int], *, anew: bool) -> CachedSequence[Memory]:
        best, common = None, 0
        for candidate in () if anew else self._sequences:
            shared = min(common_prefix(candidate.tokens, prompt), len(prompt) - 1)
            if shared > common or (shared == common > 0 and not candidate.in_use):
                best, common = candidate, shared
        if best is not None and not best.in_use and 2 * common >= len(best.tokens):
            return self._take_over(best, common, len(prompt))
        # Room is made before it is taken: a GPU has no more than it has.
        self._shrink(self._bytes_of(len(prompt)), but=best)
        try:
            fresh = CachedSequence(self._session, self._allocate(but=best))
        except Unavailable:
            if best is None or best.in_use:
                raise
            return self._take_over(best, common, len(prompt))
        if best is not None:
            self._session.copy_prefix(best.memory, fresh.memory, common)
            fresh._extend(best.tokens[:common])
        self._sequences.append(fresh)
        self._shrink(self._bytes_of(len(prompt)) - self._bytes_of(common))
        return fresh

    def _take_over(self, sequence: CachedSequence[Memory], common: int, length: int) -> CachedSequence[Memory]:
        """The sequence, of which the first `common` tokens stay, for a prompt of `length`."""
        del sequence.tokens[common:]
        sequence.in_use = True
        self._shrink(self._bytes_of(max(sequence.peak_tokens, length)) - self._bytes_of(sequence.peak_tokens))
        return sequence

    def _allocate(self, but: CachedSequence[Memory] | None) -> Memory:
        """A memory. Where the device is full below the limit, free sequences except one make room for it."""
        while True:
            try:
                return self._session.allocate()
            except Unavailable:
                if not self._drop_oldest(but):
                    raise

    def _drop_oldest(self, but: CachedSequence[Memory] | None) -> bool:
        """Drop the least recently used free sequence, unless it is the one; returns whether there was any."""
        free = [one for one in self._sequences if not one.in_use and one is not but]
        if free:
            self._sequences.remove(min(free, key=lambda one: one.last_used))
        return bool(free)

    def _bytes_of(self, tokens: int) -> int:
        """What a sequence takes that has held so many."""
        return self._session.committed_positions(tokens) * self._bytes_per_token

    def _shrink(self, coming_bytes: int, but: CachedSequence[Memory] | None = None) -> None:
        """Drop the least recently used free sequences, except one, until so many bytes more fit the limit."""
        free = sorted((one for one in self._sequences if not one.in_use), key=lambda one: one.last_used)
        for sequence in free:
            if self.used_bytes + coming_bytes <= self._limit_bytes:
                return
            if sequence is not but:
                self._sequences.remove(sequence)


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many leading tokens are equal."""
    length = min(len(left), len(right))
    different = np.flatnonzero(np.asarray(left[:length]) != np.asarray(right[:length]))
    return int(different[0]) if len(different) else length
