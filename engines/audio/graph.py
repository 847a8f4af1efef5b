"""The ears of autoglm_phone as a graph over one recording, in two dialects over the same weights.

Input, float32 (`edged.audio.mel` makes it):
    mel         (1, mel bins, frames)     frames are a multiple of those of a token
Output, float32:
    embeddings  (tokens, hidden size of the text model)
"""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto

from engines.encoder.graph import OPSET, EncoderGraph
from engines.encoder.products import SINGLE, Bits
from engines.graph.model_file import Activations, ModelFile

from .tower import PADDING, STRIDE, AudioTower

FUSED_FILE, STANDARD_FILE = "audio.onnx", "audio_standard.onnx"


class AudioGraph:
    """Writes one dialect."""

    def __init__(
        self, tower: AudioTower, file: ModelFile, *, bits: Bits, products: Activations, is_fused: bool
    ) -> None:
        """See EncoderGraph."""
        self.tower = tower
        self.file = file
        self.encoder = EncoderGraph(tower.config, tower.tensors, file, bits=bits, products=products, is_fused=is_fused)
        self.products = self.encoder.products

    def write(self) -> None:
        """The whole tower."""
        config, file = self.tower.config, self.file
        file.input("mel", TensorProto.FLOAT, [1, config.num_mel_bins, "frames"])
        file.output("embeddings", TensorProto.FLOAT, ["tokens", self.tower.width])
        x = self.products.cast("mel", self.products.dtype)
        for name in ("conv1", "conv2"):
            x = self.encoder.gelu(self.encoder.convolution(x, name, stride=STRIDE, padding=PADDING))
        x = file.node("Transpose", [self.products.cast(x, SINGLE)], "states", perm=[0, 2, 1])
        x = self.encoder.blocks(file.node("Add", [x, self._sinusoids(x)], "placed"))
        wide = self.products.shape("merged.shape", [-1, config.merge_size * config.hidden_size])
        self.encoder.project(file.node("Reshape", [x, wide], "merged"))

    def _sinusoids(self, states: str) -> str:
        """Sines of each place in the first half of the channels, cosines in the second.  # (states, hidden)"""
        file = self.file
        count = file.node("Squeeze", [file.node("Shape", [states], "states.shape", start=1, end=2)], "states.count")
        zero, one = (self.products.scalar(f"scalar.{value}", value) for value in (0, 1))
        places = file.node("Cast", [file.node("Range", [zero, count, one], "range")], "places", to=TensorProto.FLOAT)
        column = file.node("Unsqueeze", [places, self.products.shape("last", [1])], "places.column")
        angles = file.node("Mul", [column, file.weight("frequencies", self.tower.frequencies())], "angles")
        waves = [file.node(name, [angles], f"angles.{name.lower()}") for name in ("Sin", "Cos")]
        return file.node("Concat", waves, "sinusoids", axis=1)


def write_audio_tower(tower: AudioTower, folder: Path, bits: Bits, activations: Activations) -> None:
    """audio.onnx for ONNX Runtime, audio_standard.onnx for TensorRT, and audio.onnx.data with the weights of both.

    activations: of the first; products of the second are always float16.
    """
    with ModelFile(folder / FUSED_FILE) as file:
        AudioGraph(tower, file, bits=bits, products=activations, is_fused=True).write()
        file.save("audio", opset=OPSET)
        file.begin_another(folder / STANDARD_FILE)
        AudioGraph(tower, file, bits=bits, products="float16", is_fused=False).write()
        file.save("audio", opset=OPSET)
