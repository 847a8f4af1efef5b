"""Gradients of a batch: computed, or on a GPU recorded once for each shape of batch and then replayed.

A training step of a small model is thousands of kernels of a few microseconds; a GPU would wait for Python.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

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
        with torch.autocast(self._device.type, torch.bfloat16):
            loss, figures = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        return figures

    def clear(self) -> None:
        """Before the first batch of a step."""
        for parameter in self._parameters:
            parameter.grad = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
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
        self._is_refused = False
        """Whether a GPU or its driver would not record; each kernel is then launched by itself."""
        self._pool = torch.cuda.graph_pool_handle()
        self._buffers = [torch.zeros_like(parameter) for parameter in parameters]
        self._beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        """On which batches are tried and recorded: what is kept of a forward pass belongs to its stream."""

    def add(self, batch: Batch) -> Figures:
        """Of one batch; its figures, which are not there yet while the GPU computes."""
        tensors = _tensors(batch)
        shape = tuple((name, value.shape, value.dtype) for name, value in tensors.items())
        if shape not in self._recordings and not self._is_refused:
            try:
                self._recordings[shape] = self._recorded(batch)
            except RuntimeError as exc:
                self._is_refused = True
                warnings.warn(f"steps cannot be recorded, which makes them slow: {str(exc)[:200]}", stacklevel=1)
        if self._is_refused:
            return super().add(_with(batch, {name: value.to(self._device) for name, value in tensors.items()}))
        recording = self._recordings[shape]
        for held, given in zip(recording.inputs, tensors.values(), strict=True):
            held.copy_(given, non_blocking=True)
        recording.graph.replay()
        for index in recording.moved:
            self._parameters[index].grad = self._buffers[index]
        return dict(zip(recording.names, recording.figures.clone().unbind(), strict=True))

    def clear(self) -> None:
        """Parameters without a part in the next batches have no gradient, so that no optimizer moves them."""
        super().clear()
        torch._foreach_zero_(self._buffers)

    def _recorded(self, batch: Batch) -> _Recording:
        """Two runs of it choose kernels, then it is recorded; the gradients so far stay."""
        held = _with(batch, {name: value.to(self._device).clone() for name, value in _tensors(batch).items()})
        before = [parameter.grad for parameter in self._parameters]
        kept = [buffer.clone() for buffer in self._buffers]
        super().clear()
        self._beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._beside):
            for _ in range(2):
                self._run(held)
        torch.cuda.current_stream().wait_stream(self._beside)
        moved = [index for index, parameter in enumerate(self._parameters) if parameter.grad is not None]
        for parameter, buffer in zip(self._parameters, self._buffers, strict=True):
            parameter.grad = buffer
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, self._pool, self._beside, "thread_local"):
            figures = self._run(held)
            values = torch.stack([self._number(value) for value in figures.values()])
        torch._foreach_copy_(self._buffers, kept)
        for parameter, gradient in zip(self._parameters, before, strict=True):
            parameter.grad = gradient
        return _Recording(
            graph=graph, inputs=list(_tensors(held).values()), names=list(figures), figures=values, moved=moved
        )

    def _number(self, value: Tensor | float) -> Tensor:
        return value.float() if isinstance(value, Tensor) else torch.full((), value, device=self._device)

    def _run(self, batch: Batch) -> Figures:
        with torch.autocast(self._device.type, torch.bfloat16, cache_enabled=False):
            loss, figures = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        return figures


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
