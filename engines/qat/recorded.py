"""Gradients of a batch: computed, or on a GPU recorded once for each shape of batch and then replayed.

A training step of a small model is thousands of kernels of a few microseconds; a GPU would wait for Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from .graphs import Recorder, Work
from .precision import in_product_type

Batch = TypeVar("Batch")
Figures = Mapping[str, Tensor | float]
Loss = Callable[[Any], tuple[Tensor, Figures]]
"""The loss of a batch and figures for the log, by name. On a GPU nothing in it may wait for the GPU."""


class Gradients(Generic[Batch]):
    """Adds the gradients of a loss to `grad` of the parameters that have a part in it."""

    def __init__(self, parameters: Sequence[nn.Parameter], loss: Loss) -> None:
        self._parameters, self._loss = parameters, loss
        self._device = parameters[0].device

    def add(self, batch: Batch) -> Figures:
        """Of one batch; its figures."""
        with in_product_type(self._device):
            loss, figures = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        return figures

    def clear(self) -> None:
        """Before the first batch of a step."""
        for parameter in self._parameters:
            parameter.grad = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    run: Work
    inputs: list[Tensor]
    names: list[str]
    figures: Tensor
    """One number for each name."""
    moved: list[int]
    """Parameters that have a part in the loss."""


class RecordedGradients(Gradients[Batch]):
    """The same as a CUDA graph for each shape of batch. Batches are tensors, or dataclasses of tensors."""

    def __init__(self, parameters: Sequence[nn.Parameter], loss: Loss) -> None:
        super().__init__(parameters, loss)
        self._recordings: dict[tuple[object, ...], _Recording] = {}
        self._recorder = Recorder(self._device, lambda text: print(text, file=sys.stderr))
        self._buffers = [torch.zeros_like(parameter) for parameter in parameters]

    def add(self, batch: Batch) -> Figures:
        """Of one batch; its figures, which are not there yet while the GPU computes."""
        tensors = _tensors(batch)
        shape = tuple((name, value.shape, value.dtype) for name, value in tensors.items())
        if shape not in self._recordings:
            self._recordings[shape] = self._recorded(batch)
        recording = self._recordings[shape]
        for held, given in zip(recording.inputs, tensors.values(), strict=True):
            held.copy_(given, non_blocking=True)
        recording.run()
        for index in recording.moved:
            self._parameters[index].grad = self._buffers[index]
        return dict(zip(recording.names, recording.figures.clone().unbind(), strict=True))

    def clear(self) -> None:
        """Parameters without a part in the next batches have no gradient, so that no optimizer moves them."""
        super().clear()
        torch._foreach_zero_(self._buffers)

    def _recorded(self, batch: Batch) -> _Recording:
        """Computes the batch a few times; the gradients so far stay."""
        held = _with(batch, {name: value.to(self._device).clone() for name, value in _tensors(batch).items()})
        before = [parameter.grad for parameter in self._parameters]
        kept = [buffer.clone() for buffer in self._buffers]
        found: dict[str, Tensor | float] = {}

        def compute() -> None:
            found.update(super(RecordedGradients, self).add(held))

        super().clear()
        self._recorder.tried(compute)
        moved = [index for index, parameter in enumerate(self._parameters) if parameter.grad is not None]
        figures = torch.zeros(len(found), device=self._device)

        def work() -> None:
            for index in moved:
                self._parameters[index].grad = self._buffers[index]
            compute()
            figures.copy_(torch.stack([self._number(value) for value in found.values()]))

        run = self._recorder.captured(work)
        torch._foreach_copy_(self._buffers, kept)
        for parameter, gradient in zip(self._parameters, before, strict=True):
            parameter.grad = gradient
        return _Recording(
            run=run, inputs=list(_tensors(held).values()), names=list(found), figures=figures, moved=moved
        )

    def _number(self, value: Tensor | float) -> Tensor:
        return value.float() if isinstance(value, Tensor) else torch.full((), value, device=self._device)


def _tensors(batch: object) -> dict[str, Tensor]:
    """By the names of their fields."""
    if isinstance(batch, Tensor):
        return {"": batch}
    if not is_dataclass(batch):
        raise TypeError(f"{type(batch).__name__} is neither a tensor nor a dataclass of tensors")
    named = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def _with(batch: Batch, tensors: Mapping[str, Tensor]) -> Batch:
    if isinstance(batch, Tensor):
        return tensors[""]  # type: ignore[return-value]  # the batch is a tensor
    return replace(batch, **tensors)  # type: ignore[type-var]  # it is a dataclass
