"""Four-bit weights while training, against what is exported and what the reader of a checkpoint makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engines.checkpoint.int4 import joined_blocks, write_int4_checkpoint
from engines.checkpoint.safetensors import _read_tensors
from engines.qat.fake_quant import (
    best_scales,
    exported,
    half,
    integers,
    quantize_module,
)
from engines.quantize import Rounding, rounded


def _network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(64, 96), nn.Tanh(), nn.Linear(96, 16, bias=False))


def _quantized(*, learned_scales: bool = True) -> nn.Sequential:
    network = _network()
    quantize_module(network, lambda name: True, 32, learned_scales=learned_scales)
    return network


def test_what_is_exported_is_what_the_module_computes_with() -> None:
    network = _quantized()
    found = exported(network)

    assert sorted(found) == ["0.weight", "2.weight"]
    for name, (q, scale) in found.items():
        layer = network.get_submodule(name.removesuffix(".weight"))
        dense = q.reshape(*scale.shape, -1) * scale.astype(np.float32)[..., None]
        assert (q.dtype, scale.dtype) == (np.int8, np.float16)
        assert q.min() >= -8 and q.max() <= 7
        assert np.array_equal(dense.reshape(q.shape), layer.weight.detach().numpy())


def test_a_checkpoint_of_what_is_exported_reads_as_the_same_weights(tmp_path: Path) -> None:
    network = _quantized()
    write_int4_checkpoint(tmp_path, {}, {}, exported(network), 32)

    tensors = joined_blocks(_read_tensors(tmp_path, {"F16": 2, "U8": 1}), 32)

    assert np.array_equal(tensors["0.weight"].read(), network[0].weight.detach().numpy())


def test_gradients_pass_where_nothing_is_cut_off_and_reach_the_scales() -> None:
    weight = torch.tensor([[0.1, -0.31, 0.52, 9.0] * 4])
    layer = nn.Linear(16, 1, bias=False)
    layer.weight.data.copy_(weight)
    quantize_module(layer_in := nn.Sequential(layer), lambda name: True, 16, learned_scales=True)
    fake = layer.parametrizations.weight[0]  # type: ignore[union-attr,index]
    fake.scale.data.fill_(0.125)

    layer_in(torch.ones(1, 16)).sum().backward()

    original = layer.parametrizations.weight.original  # type: ignore[union-attr]
    assert original.grad is not None and original.grad.tolist() == [[1.0, 1.0, 1.0, 0.0] * 4]
    expected = 4 * sum((round(value / 0.125) - value / 0.125) for value in (0.1, -0.31, 0.52)) + 4 * 7
    assert fake.scale.grad.item() == pytest.approx(expected, abs=1e-4)


def test_scales_that_are_not_learned_have_no_gradient() -> None:
    fake = _quantized(learned_scales=False)[0].parametrizations.weight[0]  # type: ignore[union-attr,index]

    assert not fake.scale.requires_grad


def test_the_best_scales_err_less_than_plain_rounding() -> None:
    weight = torch.randn(200, 64, generator=torch.Generator().manual_seed(1)) * 0.02
    scale = best_scales(weight, 32)
    ours = integers(weight, scale).view(200, 2, 32) * scale[..., None]
    theirs = rounded(weight.numpy(), Rounding(bits=4, block_size=32)).dense()

    assert torch.equal(scale, scale.half().float())
    assert (scale < 0).any()  # eight steps lie below zero, seven above
    assert (ours.view(200, 64) - weight).square().sum() < ((torch.from_numpy(theirs) - weight) ** 2).sum()


def test_blocks_of_zeros_stay_zeros() -> None:
    weight = torch.zeros(2, 32)

    assert torch.equal(integers(weight, best_scales(weight, 32)), torch.zeros(2, 32, dtype=torch.int8))
    assert half(torch.tensor([0.0, -0.0, -1e-9])).abs().min() > 0


def test_mixed_precision_leaves_the_weights_themselves_in_float32() -> None:
    network = _quantized()
    with torch.autocast("cpu", torch.bfloat16):
        assert network[0].weight.dtype is torch.float32
        assert network(torch.ones(1, 64)).dtype is torch.bfloat16
