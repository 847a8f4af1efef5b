"""Where training begins: float weights, and the scales and integers that some way of rounding gives them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor, nn

from engines.calibrate import Calibration, Method, prepared
from engines.checkpoint import Checkpoint
from engines.graph.integer_weights import IntegerFormat, Quantize
from engines.quantize import Blocks, Rounding

from .decoder import Decoder
from .fake_quant import half, parts_of, quantize_module

_WITHIN = 0.45
"""Of a step: how far a weight may lie from the number its integer stands for, so that it rounds to that integer."""


def student(
    checkpoint: Checkpoint, positions: int, block_size: int, calibration: Calibration, progress: Callable[[int], object]
) -> Decoder:
    """The model with all matrices of its layers fake-quantized and scales that are learned.

    Its integers are those of the calibration's method: by GPTQ, weights lie as near to the float ones as leaves them.
    progress: called with 1 after each layer that calibration has passed.
    """
    if calibration.method == "round":
        model = Decoder(checkpoint, positions)
        quantize_module(model, lambda name: True, block_size, learned_scales=True)
        return model
    linear = Rounding(bits=4, block_size=block_size, keep=False)
    table = Rounding(bits=8, block_size=32)
    format_ = IntegerFormat(linear=linear, minimum={}, embedding=table, head=table)
    scaled, quantize = prepared(checkpoint, format_, calibration, progress)
    model = blank(scaled, positions, block_size)
    with torch.no_grad():
        for layer, blocks in _rounded(scaled, model, quantize, linear):
            _begin(layer, blocks)
    return model


def blank(checkpoint: Checkpoint, positions: int, block_size: int) -> Decoder:
    """The same without integers that mean anything: all scales are 1, until they come from elsewhere."""
    model = Decoder(checkpoint, positions)
    quantize_module(model, lambda name: True, block_size, learned_scales=True, scales=_ones)
    return model


def _ones(weight: Tensor, block_size: int) -> Tensor:
    return torch.ones(weight.shape[0], weight.shape[1] // block_size)


def calibration_of(method: Method) -> Calibration:
    """The usual one, by that method."""
    return dataclasses.replace(Calibration(), method=method)


def _rounded(
    checkpoint: Checkpoint, model: Decoder, quantize: Quantize, rounding: Rounding
) -> Iterator[tuple[nn.Linear, Blocks]]:
    """Each matrix and its blocks, in the order of the model."""
    arch = checkpoint.architecture
    for number in range(arch.layers):
        for kind, parts in arch.matrices.items():
            names = [f"layers.{number}.{part}" for part in parts]
            tensors = [checkpoint.tensors[f"{name}.weight"] for name in names]
            blocks = quantize(f"layers.{number}.{kind}", tensors, rounding)
            start = 0
            for name, tensor in zip(names, tensors, strict=True):
                stop = start + tensor.rows
                yield cast(nn.Linear, model.get_submodule(name)), _rows(blocks, start, stop)
                start = stop


def _rows(blocks: Blocks, start: int, stop: int) -> Blocks:
    return Blocks(blocks.bits, blocks.scale[start:stop], blocks.minimum[start:stop], blocks.q[start:stop])


def _begin(layer: nn.Linear, blocks: Blocks) -> None:
    weight, fake = parts_of(layer)
    scale = half(torch.from_numpy(blocks.scale))
    given = (torch.from_numpy(blocks.q).float() - 8) * scale[..., None]
    room = _WITHIN * scale.abs()[..., None]
    near = given + (weight.view(given.shape) - given).clamp(-room, room)
    fake.scale.copy_(scale)
    weight.copy_(near.view(weight.shape))
