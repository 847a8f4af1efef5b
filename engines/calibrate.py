"""Quantization that looks at inputs: samples are sent through the model a layer at a time.

Memory holds the float weights of one layer, the samples' states, and the second moments of that layer's inputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edged.errors import CheckpointError, InvalidInput

from .architecture import Architecture
from .checkpoint import Checkpoint
from .graph.integer_weights import IntegerFormat, Quantize, each_for_itself
from .quantize import Blocks, Rounding, fitting, kept, quantized
from .quantize.awq import channel_factors
from .quantize.blocks import stacked
from .quantize.gptq import feedback, gptq
from .reference import Array, Arrays, fastest_arrays
from .reference.arrays import to_numpy
from .reference.decoder import Layer, embedded, places_of
from .samples import PictureFile, Sample, picture_samples, text_samples
from .tensor import Floats, Tensor

Method = Literal["round", "awq", "gptq", "awq+gptq"]
"""How weights become integers: each for itself, after AWQ's change of scales, by GPTQ, or by GPTQ after AWQ."""

USUAL_IMAGES = 2
"""Where the recipe says nothing of pictures and the model sees."""
_BEFORE = {"qkv": "attention_norm", "o": "v", "gate_up": "mlp_norm", "down": "up"}
"""What can take up the inverse of a factor of the input, in its weight or the rows of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a recipe says about it."""

    method: Method = "round"
    text: str = "miscellany"
    """One of texts/, another than the gate's."""
    tokens: int = 8192
    """So many of its beginning."""
    images: int | None = None
    """Pictures that a model which sees is asked about: the recipe's, then drawn ones. None leaves it to `pictures`."""
    pictures: tuple[PictureFile, ...] = ()

    def method_for(self, architecture: Architecture) -> Method:
        """What is done: experts are rounded each for itself, for of a sample each sees a few tokens only."""
        return "round" if architecture.experts else self.method

    def passes(self, architecture: Architecture) -> int:
        """How often progress is told of each layer: once for AWQ, once for GPTQ."""
        return {"round": 0, "awq": 1, "gptq": 1, "awq+gptq": 2}[self.method_for(architecture)]

    def samples(self, checkpoint: Checkpoint) -> list[Sample]:
        """What the model is sent. Raises InvalidInput, CheckpointError."""
        samples = text_samples(checkpoint, self.text, self.tokens)
        if checkpoint.architecture.sees:
            count = self.images if self.images is not None else len(self.pictures) or USUAL_IMAGES
            samples += picture_samples(checkpoint, count, self.pictures)
        return samples

    def require_matches(self, architecture: Architecture) -> None:
        """Raise InvalidInput where the recipe speaks of pictures and the model sees none."""
        if not architecture.sees and (self.images or self.pictures):
            key = "images" if self.images else "pictures"
            raise InvalidInput(f"calibration.{key}: {architecture.model_type} reads text only, leave it out")


def prepared(
    checkpoint: Checkpoint, format_: IntegerFormat, calibration: Calibration, progress: Callable[[int], object]
) -> tuple[Checkpoint, Quantize]:
    """The checkpoint as it is to be written, computing the same, and what makes integers of its matrices.

    Where all blocks of the checkpoint are kept there is nothing to calibrate. progress: called with 1 after each
    layer that a sample has passed. Raises InvalidInput, CheckpointError.
    """
    calibration.require_matches(checkpoint.architecture)
    method = calibration.method_for(checkpoint.architecture)
    if method == "round" or not _rounds_any(checkpoint, format_):
        return checkpoint, each_for_itself
    samples = calibration.samples(checkpoint)
    if method != "gptq":
        checkpoint = with_awq(checkpoint, samples, format_, progress)
    return checkpoint, each_for_itself if method == "awq" else Gptq(checkpoint, samples, format_, progress)


def _rounds_any(checkpoint: Checkpoint, format_: IntegerFormat) -> bool:
    layers = range(checkpoint.architecture.layers)
    return not all(all(_takes_over(checkpoint, format_, number).values()) for number in layers)


def _takes_over(checkpoint: Checkpoint, format_: IntegerFormat, number: int) -> dict[str, bool]:
    """For each part of a layer that becomes integers: whether the checkpoint's own blocks are taken over."""
    found: dict[str, bool] = {}
    for kind, parts in checkpoint.architecture.matrices.items():
        if (usual := format_.rounding(f"layers.{number}.{kind}")) is not None:
            tensors = [checkpoint.tensors[f"layers.{number}.{part}.weight"] for part in parts]
            rounding = fitting(tensors, usual)
            found |= {part: kept(tensor, rounding) for part, tensor in zip(parts, tensors, strict=True)}
    return found


class _Passage:
    """Samples on their way through the layers."""

    def __init__(self, checkpoint: Checkpoint, samples: Sequence[Sample]) -> None:
        self.checkpoint = checkpoint
        self.arrays: Arrays = fastest_arrays()
        self.states = [embedded(checkpoint, sample.tokens, sample.sight, self.arrays) for sample in samples]
        self.places = [places_of(sample.tokens, sample.sight) for sample in samples]

    def layer(self, number: int) -> Layer:
        """The layer in float."""
        return Layer(self.checkpoint, number, self.arrays)

    def through(self, layer: Layer) -> list[Array]:
        """States behind the layer."""
        with np.errstate(all="ignore"):  # weights of a damaged file may overflow; the sums of `watched` show it
            return [layer(states, places) for states, places in zip(self.states, self.places, strict=True)]

    def watched(self, layer: Layer) -> tuple[dict[str, Floats], list[Array]]:
        """Mean xᵀ x of the inputs of qkv, o, gate_up and down, and the states behind the layer."""
        sums: dict[str, Array] = {}

        def add(name: str, x: Array) -> None:
            kind, square = name.rpartition(".")[2], x.T @ x
            sums[kind] = sums[kind] + square if kind in sums else square

        layer.watch = add
        states = self.through(layer)
        layer.watch = None
        count = sum(len(item) for item in self.states)
        moments = {kind: to_numpy(total / count) for kind, total in sums.items()}
        if not all(np.isfinite(item).all() for item in moments.values()):
            raise CheckpointError("the weights compute no finite numbers on the calibration samples")
        return moments, states


def with_awq(
    checkpoint: Checkpoint, samples: Sequence[Sample], format_: IntegerFormat, progress: Callable[[int], object]
) -> Checkpoint:
    """The same function with scales moved between its operations, so that rounding costs less.

    progress: called with 1 after each layer.
    """
    passage = _Passage(checkpoint, samples)
    tensors, matrices = dict(checkpoint.tensors), checkpoint.architecture.matrices
    for number in range(checkpoint.architecture.layers):
        moments, passage.states = passage.watched(passage.layer(number))
        taken_over = _takes_over(checkpoint, format_, number)
        for kind, before in _BEFORE.items():
            rounding = format_.rounding(f"layers.{number}.{kind}")
            if rounding is None or any(taken_over.get(part) for part in (*matrices[kind], before)):
                continue
            names = [f"layers.{number}.{part}.weight" for part in matrices[kind]]
            parts = [checkpoint.tensors[name] for name in names]
            groups, of = _heads(checkpoint.architecture, kind)
            factors = channel_factors([part.read() for part in parts], moments[kind], rounding, groups, of)
            for name in names:
                tensors[name] = tensors[name].scaled(columns=factors)
            inverse = np.float32(1) / _once(factors, groups, of)
            for leaf in ("weight", "bias"):
                if (name := f"layers.{number}.{before}.{leaf}") in tensors:
                    tensors[name] = tensors[name].scaled(rows=inverse)
        progress(1)
    return dataclasses.replace(checkpoint, tensors=tensors)


def _heads(architecture: Architecture, kind: str) -> tuple[int, int]:
    """Heads of v, and how many of the input of o each of them goes into; all others have no heads."""
    if kind != "o":
        return 1, 1
    return architecture.kv_heads, architecture.heads // architecture.kv_heads


def _once(factors: Floats, groups: int, of: int) -> Floats:
    """Factors of the heads that those of each group have come from."""
    return factors.reshape(groups, of, -1)[:, 0].reshape(-1)


class Gptq:
    """Rounds the matrices of one layer after the other by GPTQ, each on inputs that the rounded ones before it give.

    Satisfies `Quantize`: asked for every matrix of every layer once, in the order of the model.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        samples: Sequence[Sample],
        format_: IntegerFormat,
        progress: Callable[[int], object],
    ) -> None:
        """`progress` is called with 1 after each layer."""
        self._passage = _Passage(checkpoint, samples)
        self._format = format_
        self._layers: Iterator[dict[str, Blocks]] = self._rounded_layers(progress)
        self._layer: dict[str, Blocks] = {}

    def __call__(self, name: str, parts: Sequence[Tensor], rounding: Rounding) -> Blocks:
        """The rows of all parts of the matrix layers.N.{qkv,o,gate_up,down}."""
        while name not in self._layer:  # not `if`: of a layer kept in float nothing is asked
            self._layer = next(self._layers)
        return self._layer.pop(name)

    def _rounded_layers(self, progress: Callable[[int], object]) -> Iterator[dict[str, Blocks]]:
        passage = self._passage
        for number in range(passage.checkpoint.architecture.layers):
            layer = passage.layer(number)
            moments, _ = passage.watched(layer)
            blocks = dict(self._rounded(layer, moments))
            passage.states = passage.through(layer)
            progress(1)
            yield blocks

    def _rounded(self, layer: Layer, moments: dict[str, Floats]) -> Iterator[tuple[str, Blocks]]:
        """Name and blocks of each matrix; the layer computes with them from now on."""
        tensors = self._passage.checkpoint.tensors
        for kind, parts in self._passage.checkpoint.architecture.matrices.items():
            name = f"layers.{layer.number}.{kind}"
            if (usual := self._format.rounding(name)) is None:
                continue
            sources = [tensors[f"layers.{layer.number}.{part}.weight"] for part in parts]
            rounding = fitting(sources, usual)
            pieces, errors = [], None
            for part, tensor in zip(parts, sources, strict=True):
                if kept(tensor, rounding):
                    piece = quantized([tensor], rounding)
                else:
                    errors = errors or feedback(moments[kind])
                    piece = gptq(tensor.read(), errors, rounding)
                layer.values[f"{part}.weight"] = self._passage.arrays.of(piece.dense()[:, : tensor.columns])
                pieces.append(piece)
            yield name, stacked(pieces)
