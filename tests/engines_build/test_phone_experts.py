"""A mixture of experts on a CPU, expert by expert, and as a GPU computes it, all of them at once."""

from __future__ import annotations

import pytest
import torch
from tiny_phone import tiny_config

from engines.autoglm_phone import experts
from engines.autoglm_phone.experts import MixtureOfExperts

TEXT = tiny_config().text


@pytest.fixture
def mixture() -> MixtureOfExperts:
    torch.manual_seed(3)
    return MixtureOfExperts(TEXT)


@pytest.mark.parametrize("is_training", [False, True])
def test_together_they_compute_what_each_computes(
    is_training: bool, mixture: MixtureOfExperts, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.randn(3, 40, TEXT.hidden_size)
    mixture.train(is_training)
    alone = mixture(x)
    monkeypatch.setattr(experts, "can_look_at", lambda _: False)
    assert torch.allclose(mixture(x), alone, rtol=1e-4, atol=1e-6)
