"""Gradients that a GPU replays are those that are computed; on a CPU, what is kept apart and what is put together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engines.qat.recorded import Figures, Gradients, RecordedGradients


class Two(nn.Module):
    """Batches of one width pass one part, of the other width the other."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide, self.last = nn.Linear(16, 32), nn.Linear(24, 32), nn.Linear(32, 1)

    def loss(self, batch: Tensor) -> tuple[Tensor, Figures]:
        """And a figure that is a tensor, and one that is none."""
        part = self.narrow if batch.shape[1] == 16 else self.wide
        loss = self.last(part(batch).tanh()).square().mean()
        return loss, {"loss": loss.detach(), "width": float(batch.shape[1])}


NEEDS_GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no NVIDIA GPU"))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
def test_recorded_gradients_are_those_that_are_computed(device: str) -> None:
    torch.manual_seed(0)
    model = Two().to(device)
    parameters = list(model.parameters())
    batches = [torch.randn(8, width, device=device) for width in (16, 24, 16, 16, 24)]
    plain, recorded = Gradients[Tensor](parameters, model.loss), RecordedGradients[Tensor](parameters, model.loss)
    for step in ((0,), (1,), (0, 1), (2, 3), (4, 2)):
        found = []
        for gradients in (plain, recorded):
            gradients.clear()
            figures = [gradients.add(batches[index]) for index in step]
            found.append(([None if p.grad is None else p.grad.clone() for p in parameters], figures))
        for one, other in zip(found[0][0], found[1][0], strict=True):
            assert (one is None) == (other is None), "what has no part in the loss has no gradient"
            assert one is None or (other is not None and torch.allclose(one, other, rtol=1e-2, atol=1e-4))
        for one_figure, other_figure in zip(found[0][1], found[1][1], strict=True):
            assert float(one_figure["loss"]) == pytest.approx(float(other_figure["loss"]), rel=1e-2)
            assert float(other_figure["width"]) == float(one_figure["width"])


def test_batches_are_tensors_or_made_of_them() -> None:
    model = Two()
    with pytest.raises(TypeError, match="list is neither a tensor nor a dataclass of tensors"):
        RecordedGradients[list[int]](list(model.parameters()), model.loss).add([1])
