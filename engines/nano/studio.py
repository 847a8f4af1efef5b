"""Drafts to batches, on the device that trains."""

from __future__ import annotations

import torch

from engines.autoglm_phone.experts import can_look_at

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
        # A GPU wants the same lengths again and again; a CPU computes what all rows leave empty for nothing.
        until = int(draft.used.sum(1).max()) if can_look_at(draft.used) else draft.used.shape[1]
        return Batch(
            tokens=draft.tokens[:, :until],
            types=draft.types[:, :until],
            targets=draft.targets[:, :until],
            used=draft.used[:, :until],
            pixels=pixels,
            mels=mels,
            cells=cells,
            said=said,
        )
