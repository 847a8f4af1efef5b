"""Texts with what a teacher thinks at every place of them, kept on the device that learns from them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


class Lessons:
    """As many as there is room for; then new ones take the place of the oldest."""

    def __init__(self, room: int, tokens: Tensor, states: Tensor) -> None:
        """room: texts; tokens, states: of what shape and kind a text is  # (any, length), (any, length, hidden)"""
        self._tokens = tokens.new_zeros((room, *tokens.shape[1:]))
        self._states = states.new_zeros((room, *states.shape[1:]))
        self._written = 0
        self._new = 0

    @torch.no_grad()
    def add(self, tokens: Tensor, states: Tensor) -> None:
        """Texts that come next in `round`, not more than there is room for."""
        room = len(self._tokens)
        places = torch.arange(self._written, self._written + len(tokens), device=tokens.device) % room
        self._tokens.index_copy_(0, places, tokens)
        self._states.index_copy_(0, places, states)
        self._written += len(tokens)
        self._new = min(self._new + len(tokens), room)

    def round(self, size: int, repeated: float, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of `size` texts: those that are new, each once, mixed with so many times their number of old ones.

        What is left over when it does not come out even is left out.  # (size, length), (size, length, hidden)
        """
        room, kept = len(self._tokens), min(self._written, len(self._tokens))
        newest = (torch.arange(self._written - self._new, self._written)) % room
        old = (torch.arange(self._written - kept, self._written - self._new)) % room
        again = old[torch.randperm(len(old), generator=generator)[: int(repeated * len(newest))]]
        self._new = 0
        order = torch.cat([newest, again])
        order = order[torch.randperm(len(order), generator=generator)].to(self._tokens.device)
        for chosen in torch.split(order, size):
            if len(chosen) == size:
                yield self._tokens.index_select(0, chosen), self._states.index_select(0, chosen)
