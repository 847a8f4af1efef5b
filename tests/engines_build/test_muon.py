"""Muon against what it is meant to do, and against PyTorch's own."""

from __future__ import annotations

import torch

from engines.qat.muon import Muon, orthogonal


def test_updates_are_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in ((3, 32, 96), (3, 96, 32), (1, 64, 64)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
        assert values.min() > 0.3 and values.max() < 1.4


def test_a_step_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    ours, theirs = ([torch.nn.Parameter(torch.ones(32, 48))] for _ in range(2))
    optimizers = (
        Muon(ours, lr=0.01, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        gradient = torch.randn(32, 48)
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameters[0].grad = gradient.clone()
            optimizer.step()
    assert torch.allclose(ours[0], theirs[0], atol=6e-4)  # both compute in bfloat16; three steps make 6e-3


def test_what_has_no_gradient_stays() -> None:
    parameters = [torch.nn.Parameter(torch.ones(16, 16)) for _ in range(2)]
    parameters[0].grad = torch.randn(16, 16)
    Muon(parameters, lr=0.1).step()
    assert torch.equal(parameters[1].detach(), torch.ones(16, 16))
    assert not torch.equal(parameters[0].detach(), torch.ones(16, 16))
