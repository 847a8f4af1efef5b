"""Texts that a model draws by the thousand on a GPU, with the states that it had at every place.

Keys and values lie in memory that stays; a step is one CUDA graph for each length of what is looked back at. What comes
out is what `forward` gives for the same text, so that a teacher need not read what it has written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from .forward import Weights, behind_attention, heads, normed
from .graphs import Recorder, Work

LEAST = (0.0, 0.05)
"""Of the likeliest token's probability: what is less likely is not drawn (min-p, arXiv:2407.01082). One text in
two knows no least and says unlikely things, as people do; the others keep to the point."""
_ROOM = 128
"""Places that a text's memory grows by."""


class Author:
    """Draws texts at temperature 1."""

    def __init__(
        self, weights: Weights, texts: int, length: int, say: Callable[[str], object] = lambda line: None
    ) -> None:
        """texts: drawn at a time; length: of each, in tokens. Takes memory for their keys, values and states."""
        self._weights, self._length = weights, length
        arch, device, kind = weights.arch, weights.table.device, weights.table.dtype
        self._device = device
        shape = (arch.layers, 2, texts, arch.kv_heads, length, arch.head_dim)
        self._memory = torch.zeros(shape, device=device, dtype=kind)
        self.tokens = torch.zeros((texts, length), device=device, dtype=torch.int64)
        self.states = torch.zeros((texts, length, arch.hidden_size), device=device, dtype=kind)
        self._given = torch.full((texts, length), -1, device=device)
        self._token = torch.zeros(texts, device=device, dtype=torch.int64)
        self._place = torch.zeros(1, device=device, dtype=torch.int64)
        self._least = torch.tensor(LEAST, device=device).repeat(math.ceil(texts / len(LEAST)))[:texts, None]
        self._steps: list[tuple[int, Work]] = []
        recorder = Recorder(device, say)
        for start in range(0, length, _ROOM):
            stop = min(start + _ROOM, length)
            self._steps.append((stop - start, recorder.captured(partial(self._step, stop))))

    @torch.no_grad()
    def draw(self, given: Tensor) -> None:
        """Fill `tokens` and `states`; given: tokens to begin with, -1 where they are drawn  # (texts, length)"""
        self._given.copy_(given)
        self._token.copy_(given[:, 0])
        self._place.zero_()
        for count, step in self._steps:
            for _ in range(count):
                step()

    @torch.no_grad()
    def _step(self, room: int) -> None:
        """One token of every text, with so many places to look back at."""
        weights, place = self._weights, self._place
        arch = weights.arch
        self.tokens.index_copy_(1, place, self._token[:, None])
        is_hidden = torch.arange(room, device=self._device) > place
        mask = torch.zeros(room, device=self._device, dtype=weights.table.dtype).masked_fill(is_hidden, -torch.inf)
        cosines, sines = weights.cosines.index_select(0, place), weights.sines.index_select(0, place)
        x = functional.embedding(self._token[:, None], weights.table).float()
        for layer, memory in zip(weights.layers, self._memory, strict=True):
            q, *new = heads(arch, layer, x, cosines, sines)
            for kept, values in zip(memory, new, strict=True):
                kept.index_copy_(2, place, values)
            asked = q.reshape(len(q), arch.kv_heads, -1, arch.head_dim)  # heads that share keys, as if places
            mixed = functional.scaled_dot_product_attention(
                asked, memory[0, :, :, :room], memory[1, :, :, :room], mask[None, None, None], scale=arch.query_scale
            )
            x = behind_attention(arch, layer, x, mixed.reshape(q.shape))
        state = normed(arch, x, weights.norm, weights.head.dtype)
        self.states.index_copy_(1, place, state)
        drawn = self._drawn(functional.linear(state[:, 0], weights.head))
        place.add_(1)
        given = self._given.index_select(1, place.clamp(max=self._length - 1))[:, 0]
        self._token.copy_(torch.where(given >= 0, given, drawn))

    def _drawn(self, logits: Tensor) -> Tensor:
        """A token for each row: the first to come, each coming at a rate that is its probability.  # (texts,)"""
        likely = functional.softmax(logits, -1, dtype=torch.float32)
        likely.masked_fill_(likely < self._least * likely.amax(-1, keepdim=True), 0)
        return likely.div_(torch.empty_like(likely).exponential_()).argmax(-1)


def beginnings(texts: int, length: int, vocabulary: int, turn: list[int], generator: torch.Generator) -> Tensor:
    """For `Author.draw`: half of the texts begin with any token, half with what comes before a user's words.

    Each half in pairs, so that both know of every `LEAST`.  # (texts, length)
    """
    given = torch.full((texts, length), -1)
    given[:, 0] = torch.randint(vocabulary, (texts,), generator=generator)
    if turn:
        is_asked = torch.arange(texts) // len(LEAST) % 2 == 1
        given[is_asked, : len(turn)] = torch.tensor(turn)
    return given
