"""How far a student's next token is from its teacher's, and which way its states should go, in one pass.

The gradient of the divergence by the scores is the difference of the two distributions, so that nothing as wide as the
vocabulary is kept for a way back.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_STEP = 2048
"""Places whose scores are in memory at a time."""


@torch.no_grad()
def divergence(found: Tensor, expected: Tensor, head: Tensor, *, slope: bool) -> tuple[Tensor, Tensor | None]:
    """KL divergence from the teacher, mean over places, and with `slope` its gradient by the student's states.

    found, expected: states after the last norm  # (places, hidden); head: (vocabulary, hidden)
    """
    total = torch.zeros((), device=found.device)
    gradients = []
    for theirs, ours in zip(torch.split(expected, _STEP), torch.split(found, _STEP), strict=True):
        truth = functional.log_softmax(functional.linear(theirs, head), -1, dtype=torch.float32)
        scores = functional.log_softmax(functional.linear(ours, head), -1, dtype=torch.float32)
        likely = truth.exp()
        total = total + torch.dot(likely.flatten(), truth.sub_(scores).flatten())
        if slope:
            gradients.append(scores.exp_().sub_(likely).to(head.dtype) @ head)
    return total / len(found), torch.cat(gradients) / len(found) if slope else None
