"""Drafts to batches, on the device that trains."""

from __future__ import annotations

import torch

from .batches import STRIDE, Batch, Draft
from .camera import photograph
from .microphone import Microphone
from .speech import Corpus


class Studio:
    """Photographs what is drawn and records what is spoken, each draft in a way that its seed decides."""

    def __init__(self, corpus: Corpus, device: torch.device) -> None:
        self._microphone, self._device = Microphone(corpus, device), device

    def batch(self, draft: Draft) -> Batch:
        """What the model reads, and what is in it."""
        random = torch.Generator(self._device).manual_seed(draft.seed)
        draft = draft.to(self._device)
        pixels = cells = mels = said = None
        if draft.pixels is not None and draft.marks is not None and draft.tilts is not None:
            pixels, cells = photograph(draft.pixels, draft.marks, draft.tilts, STRIDE // 2, random)
        if draft.utterances is not None:
            mels = self._microphone.record(draft.utterances, draft.length, random)
            said = self._microphone.said(draft.utterances)
        return Batch(
            tokens=draft.tokens,
            types=draft.types,
            targets=draft.targets,
            used=draft.used,
            pixels=pixels,
            mels=mels,
            cells=cells,
            said=said,
        )
