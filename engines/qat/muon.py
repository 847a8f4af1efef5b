"""Muon: momentum whose matrices are made orthogonal before they are applied.

Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with the step sizes of
arXiv:2502.16982, which make a rate that suits AdamW suit Muon. torch.optim.Muon takes one matrix after another; here
all matrices of one shape are taken at once, which a mixture of experts has hundreds of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from .precision import product_type

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5


class Muon(torch.optim.Optimizer):
    """For the matrices within a network; vectors, embeddings and convolutions want another optimizer."""

    def __init__(
        self, params: Iterable[Tensor], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for parameter in params:
            by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
        groups = [{"params": same} for same in by_shape.values()]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nothing is computed anew
        """Parameters without a gradient are left alone."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not moved:
                continue
            updates = orthogonal(self._nesterov(moved, group["momentum"]))
            size = 0.2 * max(updates.shape[1:]) ** 0.5 * group["lr"]
            torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(moved, list(updates.to(moved[0].dtype).unbind()), alpha=-size)

    def _nesterov(self, parameters: list[Tensor], momentum: float) -> Tensor:
        """Gradients led by their momentum.  # (matrices, rows, columns)"""
        gradients = [cast(Tensor, parameter.grad) for parameter in parameters]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(gradient)
        gathered = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(gathered, gradients, 1 - momentum)
        return torch.stack(torch._foreach_lerp(gradients, gathered, momentum))


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly the orthogonal part of each: singular values between 0.7 and 1.2, by a Newton-Schulz iteration.

    (matrices, rows, columns) to the same, in bfloat16 where that is faster.
    """
    kind = product_type(matrices.device)
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if is_tall else matrices).to(kind)
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).to(kind)
    a, b, c = _COEFFICIENTS
    for _ in range(_STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = x.mT if is_tall else x
    return result
