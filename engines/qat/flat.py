"""All four-bit matrices of a student as one tensor of blocks, so that a GPU rounds them in a handful of kernels.

All are counted in what they began with, a weight in the scale that its block had then: one rate suits large and small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from .decoder import Decoder
from .fake_quant import LEAST, MOST, FakeQuantized, half, parts_of
from .forward import GROUPS, NORMS, LayerWeights, Weights, require_plain, with_layers


class FlatStudent:
    """What is learned, and the weights that follow from it, always in the same memory."""

    def __init__(self, module: Decoder, kind: torch.dtype) -> None:
        """module: fake-quantized, all in blocks of one size; it is read now and by `store` written.

        Raises InvalidInput for a model that `forward` does not compute.
        """
        require_plain(module)
        self._module = module
        with torch.no_grad():
            scales = torch.cat([fake.scale.flatten() for _, fake in self._matrices()])
            self._base = half(scales)
            size = self._block_size()
            blocks = torch.cat([original.view(-1, size) for original, _ in self._matrices()])
            norms = torch.cat(list(self._norms()))
            self._first = torch.cat([_sizes(norm) for norm in self._norms()])
            self.weights = _learned(blocks / self._base[:, None])
            self.scales = _learned(scales / self._base)
            self.norms = _learned(norms / self._first)
        self._dense = torch.empty_like(blocks, dtype=kind)
        self._vectors = torch.empty_like(norms)
        self._slope = torch.empty_like(blocks)
        self.computing, self.leaves = self._laid_out(kind)
        self.spread()

    @property
    def parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (blocks, block size), scales (blocks,) and norms; their gradients are there from the start."""
        return self.weights, self.scales, self.norms

    @torch.no_grad()
    def spread(self) -> None:
        """Bring what is computed with up to date."""
        step, place = self._places()
        self._dense.copy_(place.round_().clamp_(LEAST, MOST).mul_(step[:, None]))
        torch.mul(self.norms, self._first, out=self._vectors)

    @torch.no_grad()
    def gather(self, slopes: Sequence[Tensor]) -> None:
        """Gradients by the leaves become those by what is learned: see `fake_quant`."""
        at = 0
        flat = self._slope.view(-1)
        for slope in slopes[: -self._vector_count]:
            flat[at : at + slope.numel()].view(slope.shape).copy_(slope)
            at += slope.numel()
        slope = self._slope.mul_(self._base[:, None])  # of what is counted in scales
        _, place = self._places()
        is_within = (place >= LEAST - 0.5) & (place <= MOST + 0.5)
        q = place.round().clamp_(LEAST, MOST)
        torch.mul(slope, is_within, out=cast(Tensor, self.weights.grad))
        of_scales = q.sub_(place.mul_(is_within)).mul_(slope)
        torch.sum(of_scales, -1, out=cast(Tensor, self.scales.grad))
        torch.mul(torch.cat(list(slopes[-self._vector_count :])), self._first, out=cast(Tensor, self.norms.grad))

    @torch.no_grad()
    def store(self) -> Decoder:
        """The module, with what was learned."""
        scales, at = half(self._base * self.scales), 0
        weights = self.weights * self._base[:, None]
        for original, fake in self._matrices():
            count = fake.scale.numel()
            original.copy_(weights[at : at + count].view(original.shape))
            fake.scale.copy_(scales[at : at + count].view(fake.scale.shape))
            at += count
        norms, at = self.norms * self._first, 0
        for norm in self._norms():
            norm.copy_(norms[at : at + len(norm)])
            at += len(norm)
        return self._module

    def _places(self) -> tuple[Tensor, Tensor]:
        """The scale of each block, and where its weights lie between the integers."""
        step = half(self._base * self.scales)
        return step, self.weights / (step / self._base)[:, None]

    def _laid_out(self, kind: torch.dtype) -> tuple[Weights, list[Tensor]]:
        """Views of the memory that `spread` fills, and those of them that gradients are wanted of."""
        matrices, vectors, at = [], [], 0
        flat = self._dense.view(-1)
        for layer in self._module.layers:
            for group in GROUPS:
                parts = [cast(nn.Linear, layer.get_submodule(part)) for part in group]
                shape = (sum(part.out_features for part in parts), parts[0].in_features)
                matrices.append(flat[at : at + shape[0] * shape[1]].view(shape).detach().requires_grad_())
                at += shape[0] * shape[1]
        at = 0
        for norm in self._norms():
            vectors.append(self._vectors[at : at + len(norm)].detach().requires_grad_())
            at += len(norm)
        self._vector_count = len(vectors)
        layers = [
            LayerWeights(*matrices[4 * number : 4 * number + 4], *vectors[2 * number : 2 * number + 2])
            for number in range(len(self._module.layers))
        ]
        return with_layers(self._module, kind, layers, vectors[-1]), [*matrices, *vectors]

    def _matrices(self) -> Iterator[tuple[Tensor, FakeQuantized]]:
        """Each matrix before rounding and what rounds it, in the order of the model."""
        for layer in self._module.layers:
            for part in (part for group in GROUPS for part in group):
                yield parts_of(layer.get_submodule(part))

    def _norms(self) -> Iterator[Tensor]:
        for layer in self._module.layers:
            yield from (cast(Tensor, layer.get_submodule(name).weight) for name in NORMS)
        yield self._module.norm.weight

    def _block_size(self) -> int:
        (size,) = {original.numel() // fake.scale.numel() for original, fake in self._matrices()}
        return size


def _sizes(norm: Tensor) -> Tensor:
    """Of its numbers, as far as they are not next to nothing."""
    return norm.abs().clamp(min=float(norm.abs().mean()) / 100)


def _learned(value: Tensor) -> Tensor:
    value = value.contiguous().requires_grad_()
    value.grad = torch.zeros_like(value)
    return value
