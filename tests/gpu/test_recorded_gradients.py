"""Steps of training that are recorded on a GPU: the gradients are those that Python computes step by step."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

torch = pytest.importorskip("torch")

from engines.qat.recorded import Figures, Gradients, RecordedGradients  # noqa: E402  # needs torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no NVIDIA GPU"),
]


class Two(nn.Module):
    """Batches of one width pass one part, of the other width the other."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide, self.last = nn.Linear(16, 32), nn.Linear(24, 32), nn.Linear(32, 1)

    def loss(self, batch: Tensor) -> tuple[Tensor, Figures]:
        part = self.narrow if batch.shape[1] == 16 else self.wide
        loss = self.last(part(batch).tanh()).square().mean()
        return loss, {"loss": loss.detach(), "width": float(batch.shape[1])}


def test_recorded_gradients_are_those_that_are_computed() -> None:
    torch.manual_seed(0)
    model = Two().cuda()
    parameters = list(model.parameters())
    batches = [torch.randn(8, width, device="cuda") for width in (16, 24, 16, 16, 24)]
    plain, recorded = Gradients[Tensor](parameters, model.loss), RecordedGradients[Tensor](parameters, model.loss)
    for step in ((0,), (1,), (0, 1), (2, 3), (4, 2)):
        found = []
        for gradients in (plain, recorded):
            gradients.clear()
            figures = [gradients.add(batches[index]) for index in step]
            found.append(([None if p.grad is None else p.grad.clone() for p in parameters], figures))
        for one, other in zip(found[0][0], found[1][0], strict=True):
            assert (one is None) == (other is None), "a part without a part in the loss has no gradient"
            assert one is None or torch.allclose(one, other, rtol=1e-2, atol=1e-4)
        for one, other in zip(found[0][1], found[1][1], strict=True):
            assert float(one["loss"]) == pytest.approx(float(other["loss"]), rel=1e-2)
            assert float(other["width"]) == float(one["width"])
