"""What the nano learns by: names for the towers first, then answers, then the answers of a float teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.autoglm_phone.model import AutoGLMPhone
from engines.qat.recorded import Figures

from .batches import Batch, normalised
from .evaluate import accuracy
from .heldout import Question
from .hints import Hints
from .shape import nano_config

_BALANCE = 0.01
"""Weight of the load-balancing loss."""


class Learner(nn.Module):
    """The model, and what tells its towers what they see and hear."""

    def __init__(self) -> None:
        super().__init__()
        self.model = AutoGLMPhone(nano_config())
        self.hints = Hints(self.model.config)

    def hinted(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of what the towers' last states say of this batch, and figures."""
        loss = torch.zeros((), device=self.device)
        found = {}
        if batch.cells is not None:
            seen, found["marks right"] = self.hints.of_pictures(self.model.model.visual.states, batch.cells)
            loss = loss + seen
        if batch.said is not None:
            heard = self.hints.of_recordings(self.model.model.audio.states, batch.said)
            found["letters loss"] = heard.detach()
            loss = loss + heard
        return loss, found

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.model.model.embed_tokens.weight.device


class SensesTask:
    """Satisfies `engines.qat.training.Task`: to name every letter and shape, and to spell what is said."""

    def __init__(self, development: Sequence[Batch]) -> None:
        self._development = development

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Figures]:
        """Of the towers alone."""
        learner = cast(Learner, module)
        self._sense(learner, batch)
        return learner.hinted(batch)

    def evaluate(self, module: nn.Module) -> Mapping[str, float]:
        """Share of marks named rightly, and of recordings spelled rightly."""
        learner = cast(Learner, module)
        marks, spelled = [], []
        for batch in self._development:
            self._sense(learner, batch)
            _, found = learner.hinted(batch)
            marks += [found["marks right"].item()] if "marks right" in found else []
            if batch.said is not None:
                heard = learner.hints.spelled(learner.model.model.audio.states)
                spelled += [said[said > 0].tolist() == letters for said, letters in zip(batch.said, heard, strict=True)]
        return {"marks exact": sum(marks) / len(marks), "spelling exact": sum(spelled) / len(spelled)}

    @staticmethod
    def _sense(learner: Learner, batch: Batch) -> None:
        towers = learner.model.model
        if batch.pixels is not None:
            towers.visual.states = towers.visual.encode(normalised(batch.pixels))
        if batch.mels is not None:
            towers.audio.states = towers.audio.encode(batch.mels)


class AnswerTask:
    """Satisfies `engines.qat.training.Task`: to give the answers, and to give them as a teacher does."""

    def __init__(self, development: Sequence[Question], teacher: AutoGLMPhone | None = None) -> None:
        self._development, self._teacher = development, teacher

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Figures]:
        """Cross-entropy of the answers, hints, the load of the experts, and the divergence from the teacher."""
        learner = cast(Learner, module)
        is_answer = batch.targets >= 0
        answers = is_answer.sum()
        logits = all_logits(learner.model, batch)
        entropy = functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        is_right = (logits.argmax(-1) == batch.targets) & is_answer
        balance = torch.stack([each.load_balance(batch.used.flatten()) for each in learner.model.mixtures()]).mean()
        hinted, found = learner.hinted(batch)
        found |= {
            f"{batch.kind} loss": entropy.detach(),
            f"{batch.kind} tokens right": is_right.sum() / answers,
            "balance": balance.detach(),
        }
        loss = entropy + _BALANCE * balance + hinted
        if self._teacher is not None:
            with torch.no_grad():
                expected = all_logits(self._teacher, batch).log_softmax(-1)
            differences = functional.kl_div(logits.log_softmax(-1), expected, reduction="none", log_target=True)
            divergence = (differences.sum(-1) * is_answer).sum() / answers
            found["divergence"] = divergence.detach()
            loss = loss + divergence
        return loss, found

    def evaluate(self, module: nn.Module) -> Mapping[str, float]:
        """Share of exact answers to the development questions, by task."""
        scores = accuracy(cast(Learner, module).model, self._development)
        return {f"{task} exact": round(score.accuracy, 4) for task, score in scores.items()}


def all_logits(model: AutoGLMPhone, batch: Batch) -> Tensor:
    """Scores of the token that follows each.  # float32 (samples, tokens, vocabulary)"""
    pixels = None if batch.pixels is None else normalised(batch.pixels)
    return model.logits(model(batch.tokens, batch.types, pixels, batch.mels)).float()
