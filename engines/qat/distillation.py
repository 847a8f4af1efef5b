"""A student in four bits learns to say what its teacher, the same model in float, says."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as recomputed

from .decoder import Decoder

_STEP = 1024
"""Places whose scores are in memory at a time: each has as many as the vocabulary has tokens."""


class Distillation:
    """Satisfies `engines.qat.training.Task`."""

    def __init__(
        self,
        teacher: Decoder,
        held_out: Tensor,
        reported: Sequence[Tensor],
        best: Callable[[nn.Module], object],
        folder: Path,
    ) -> None:
        """held_out: texts that decide which student is the best, which `best` is told of  # (texts, tokens)
        reported: texts that only the log speaks of, of any length; folder: for what the best one reached, and on
        which texts."""
        self._teacher, self._best, self._reached = teacher, best, folder / "best.json"
        self._checksum = hashlib.sha256(held_out.cpu().numpy().tobytes()).hexdigest()[:16]
        self._held_out, self._reported = [text[None] for text in held_out], [text[None] for text in reported]

    def loss(self, module: nn.Module, batch: Tensor) -> tuple[Tensor, Mapping[str, float]]:
        """KL divergence of the student's next token from the teacher's, over the vocabulary, mean over places."""
        student = cast(Decoder, module)
        batch = batch.to(student.table.device)
        with torch.no_grad():
            expected = self._teacher(batch).flatten(0, 1)
        found = student(batch).flatten(0, 1)
        total = torch.zeros((), device=batch.device)
        for start in range(0, len(found), _STEP):
            piece = slice(start, start + _STEP)
            total = total + recomputed(self._divergence, student, found[piece], expected[piece], use_reentrant=False)
        return total / len(found), {}

    def _divergence(self, student: Decoder, found: Tensor, expected: Tensor) -> Tensor:
        """Summed over places."""
        with torch.no_grad():
            truth = self._teacher.logits(expected).float().log_softmax(-1)
        ours = student.logits(found).float().log_softmax(-1)
        return functional.kl_div(ours, truth, reduction="sum", log_target=True)

    def evaluate(self, module: nn.Module) -> Mapping[str, float]:
        """In the precision that the caller has set. The best student so far on these held out texts is kept."""
        student = cast(Decoder, module)
        figures = {f"held out {name}": value for name, value in self._compared(student, self._held_out).items()}
        figures |= self._compared(student, self._reported)
        if self._is_better(figures["held out kl"]):
            self._best(student)
            reached = figures | {"held out texts": self._checksum}
            self._reached.write_text(json.dumps(reached) + "\n", encoding="utf-8")
        return figures

    def _is_better(self, divergence: float) -> bool:
        """Than the best on the same texts: what was reached on others says nothing here."""
        if not self._reached.is_file():
            return True
        best = json.loads(self._reached.read_text(encoding="utf-8"))
        return best.get("held out texts") != self._checksum or divergence < float(best["held out kl"])

    def _compared(self, student: Decoder, texts: Sequence[Tensor]) -> dict[str, float]:
        """Perplexity of both, their divergence, and how often their likeliest token is the same."""
        surprise = torch.zeros(2, dtype=torch.float64)
        divergence, agreements, places, predictions = 0.0, 0, 0, 0
        for text in texts:
            text = text.to(student.table.device)
            states = torch.stack([model(text)[0] for model in (self._teacher, student)])
            for piece, following in zip(torch.split(states, _STEP, 1), torch.split(text[0, 1:], _STEP), strict=False):
                truth, ours = (student.logits(each).float().log_softmax(-1) for each in piece)
                divergence += functional.kl_div(ours, truth, reduction="sum", log_target=True).item()
                agreements += int((truth.argmax(-1) == ours.argmax(-1)).sum())
                for number, scores in enumerate((truth, ours)):
                    surprise[number] -= scores[: len(following)].gather(-1, following[:, None]).sum().item()
                places, predictions = places + len(ours), predictions + len(following)
        before, after = (math.exp(value / predictions) for value in surprise.tolist())
        return {
            "float perplexity": round(before, 4),
            "perplexity": round(after, 4),
            "loss of perplexity": round(after / before - 1, 5),
            "kl": round(divergence / places, 5),
            "top-1": round(agreements / places, 4),
        }
