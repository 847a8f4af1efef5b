"""Four-bit weights while training: rounded on the way forward, as if not on the way back.

A matrix is cut into blocks along its inputs; w is computed as scale * q with q from -8 to 7, exactly the numbers that
the INT4 layout of engines/checkpoint/int4.py stores. Scales are float16 numbers, so that no engine rounds them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

LEAST, MOST = -8, 7
_ENDS = (-9.0, -8.5, -8.0, -7.5, -7.0, 6.5, 7.0, 7.5, 8.0)
"""Where a block's weight of largest magnitude may come to lie: what is cut off may cost less than coarser steps. Beyond
-7 there is one integer more, so that scales have a sign."""


def best_scales(weight: Tensor, block_size: int) -> Tensor:
    """The scale of each block that leaves the least squared error, among some; it may be negative.

    (rows, columns) to (rows, columns / block_size), float32 but float16 numbers.
    """
    blocks = _blocks(weight.detach().float(), block_size)
    largest = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))[..., 0]
    best, least = torch.zeros_like(largest), torch.full_like(largest, torch.inf)
    for end in _ENDS:
        scale = half(largest / end)
        q = _rounded(blocks, scale)
        scale = half((q * blocks).sum(-1) / q.square().sum(-1).clamp(min=1))
        error = (_rounded(blocks, scale) * scale[..., None] - blocks).square().sum(-1)
        best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
    return best


def half(scale: Tensor) -> Tensor:
    """The nearest float16 number that is not 0."""
    tiny = torch.finfo(torch.float16).tiny
    return torch.where(scale < 0, scale.clamp(max=-tiny), scale.clamp(min=tiny)).half().float()


def integers(weight: Tensor, scale: Tensor) -> Tensor:
    """q of every weight.  # int8 (rows, columns)"""
    blocks = _blocks(weight.detach().float(), weight.shape[1] // scale.shape[1])
    return _rounded(blocks, half(scale.detach())).to(torch.int8).view(weight.shape)


def _blocks(weight: Tensor, block_size: int) -> Tensor:
    return weight.view(weight.shape[0], -1, block_size)


def _rounded(blocks: Tensor, scale: Tensor) -> Tensor:
    return torch.round(blocks / scale[..., None]).clamp_(LEAST, MOST)


class _StraightThrough(torch.autograd.Function):
    """scale * q; gradients as of Learned Step Size Quantization (arXiv:1902.08153, eq. 3), clipped weights' are 0."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor) -> Tensor:
        blocks, step = _blocks(weight.float(), weight.shape[1] // scale.shape[1]), half(scale)
        q = _rounded(blocks, step)
        ctx.save_for_backward(blocks, step, q)
        return (q * step[..., None]).view(weight.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None]:
        blocks, step, q = ctx.saved_tensors
        gradient = gradients[0].view(blocks.shape).float()
        place = blocks / step[..., None]
        is_within = (place >= LEAST - 0.5) & (place <= MOST + 0.5)
        of_scale = None
        if ctx.needs_input_grad[1]:
            of_scale = (gradient * torch.where(is_within, q - place, q)).sum(-1)
        return (gradient * is_within).view(gradients[0].shape), of_scale


class FakeQuantized(nn.Module):
    """What a matrix is computed with, as a parametrization of `weight`."""

    def __init__(self, scale: Tensor, *, learned_scales: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(scale, requires_grad=learned_scales)

    def forward(self, weight: Tensor) -> Tensor:
        """The weights that the integers stand for, in float32."""
        apply = cast(Callable[[Tensor, Tensor], Tensor], _StraightThrough.apply)
        return apply(weight, self.scale)


def quantize_module(
    module: nn.Module,
    is_chosen: Callable[[str], bool],
    block_size: int,
    *,
    learned_scales: bool,
    scales: Callable[[Tensor, int], Tensor] = best_scales,
) -> list[str]:
    """Compute the chosen linear layers with four bits from here on; the names of their weights.

    is_chosen: by the name of a layer in the module. Blocks are `block_size` inputs, or all where there are fewer.
    scales: those of a weight to begin with, by the size of its blocks.
    """
    chosen = [
        (name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear) and is_chosen(name)
    ]
    for _, layer in chosen:
        size = min(block_size, layer.in_features)
        fake = FakeQuantized(scales(layer.weight, size), learned_scales=learned_scales)
        parametrize.register_parametrization(layer, "weight", fake)
    return [f"{name}.weight" for name, _ in chosen]


def exported(module: nn.Module) -> Mapping[str, tuple[NDArray[np.int8], NDArray[np.float16]]]:
    """(q, scale) of every fake-quantized weight by its name: bit for bit what the module computes with."""
    found = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear) and parametrize.is_parametrized(layer, "weight"):
            original, fake = parts_of(layer)
            scale = half(fake.scale.detach())
            found[f"{name}.weight"] = (integers(original, scale).cpu().numpy(), scale.half().cpu().numpy())
    return found


def parts_of(layer: nn.Module) -> tuple[Tensor, FakeQuantized]:
    """The weight before rounding, and what rounds it, of a fake-quantized layer."""
    found = cast(parametrize.ParametrizationList, layer.get_submodule("parametrizations.weight"))
    return found.original, cast(FakeQuantized, found[0])
