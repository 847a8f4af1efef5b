"""The eyes of autoglm_phone as a graph over one picture, in two dialects over the same weights.

Inputs, all float32 (`edged.vision.tower_inputs` makes them):
    pixels          (1, 3, height, width)      multiples of what a token stands for
    row_weights     (rows, position_side)      of the position embeddings at each row of states
    column_weights  (columns, position_side)
Output, float32:
    embeddings      (tokens, hidden size of the text model), row by row
"""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto

from engines.encoder.graph import OPSET, EncoderGraph
from engines.encoder.products import SINGLE, Bits
from engines.graph.model_file import Activations, ModelFile

from .graph import FUSED_FILE, STANDARD_FILE
from .pixel_tower import STRIDED, PixelTower


class PixelGraph:
    """Writes one dialect."""

    def __init__(
        self, tower: PixelTower, file: ModelFile, *, bits: Bits, products: Activations, is_fused: bool
    ) -> None:
        """See EncoderGraph."""
        self.tower = tower
        self.config = tower.config
        self.file = file
        self.encoder = EncoderGraph(tower.config, tower.tensors, file, bits=bits, products=products, is_fused=is_fused)
        self.products = self.encoder.products

    def write(self) -> None:
        """The whole tower."""
        side = self.config.position_side
        self.file.input("pixels", TensorProto.FLOAT, [1, 3, "height", "width"])
        self.file.input("row_weights", TensorProto.FLOAT, ["rows", side])
        self.file.input("column_weights", TensorProto.FLOAT, ["columns", side])
        self.file.output("embeddings", TensorProto.FLOAT, ["tokens", self.tower.width])
        x = self.file.node("Add", [self._stem(), self._positions()], "placed")
        self.encoder.project(self._squares(self.encoder.blocks(x)))

    def _stem(self) -> str:
        """States, row by row.  # (1, states, hidden)"""
        x = self.products.cast("pixels", self.products.dtype)
        for index, (stride, padding) in enumerate(self.tower.strides):
            read = self.encoder.gelu(x) if index else x
            found = self.encoder.convolution(read, f"stem.{index}", stride=stride, padding=padding)
            x = self.file.node("Add", [x, found], f"stem.{index}.sum") if index >= STRIDED else found
        flat = self.products.shape("flat.shape", [1, self.config.hidden_size, -1])
        x = self.file.node("Reshape", [self.products.cast(x, SINGLE), flat], "flat")
        return self.file.node("Transpose", [x], "states", perm=[0, 2, 1])

    def _positions(self) -> str:
        """The table resampled along rows, then along columns.  # (1, states, hidden)"""
        file, side, hidden = self.file, self.config.position_side, self.config.hidden_size
        table = self.tower.tensors["position_embedding.weight"].read().reshape(side, side * hidden)
        tall = file.node("MatMul", ["row_weights", file.weight("position_table", table)], "positions.rows")
        tall = file.node("Reshape", [tall, self.products.shape("tall.shape", [-1, side, hidden])], "positions.tall")
        square = file.node("MatMul", ["column_weights", tall], "positions.square")  # (rows, columns, hidden)
        return file.node("Reshape", [square, self.products.shape("states.shape", [1, -1, hidden])], "positions")

    def _squares(self, x: str) -> str:
        """Neighbours of a token beside each other.  # (1, states, hidden) to (tokens, merge_size ** 2 * hidden)"""
        file, shape, hidden = self.file, self.products.shape, self.config.hidden_size
        merge = self.config.merge_size
        columns = file.node("Shape", ["column_weights"], "columns.count", start=0, end=1)
        wide = file.node("Div", [columns, shape("merge", [merge])], "columns.tokens")
        parts = [shape("rows.cut", [-1, merge]), wide, shape("columns.cut", [merge, hidden])]
        cut = file.node("Reshape", [x, file.node("Concat", parts, "cut.shape", axis=0)], "cut")
        turned = file.node("Transpose", [cut], "turned", perm=[0, 2, 1, 3, 4])
        return file.node("Reshape", [turned, shape("squares.shape", [-1, merge**2 * hidden])], "squares")


def write_pixel_tower(tower: PixelTower, folder: Path, bits: Bits, activations: Activations) -> None:
    """vision.onnx for ONNX Runtime, vision_standard.onnx for TensorRT, and vision.onnx.data with the weights of both.

    activations: of the first; products of the second are always float16.
    """
    with ModelFile(folder / FUSED_FILE) as file:
        PixelGraph(tower, file, bits=bits, products=activations, is_fused=True).write()
        file.save("vision", opset=OPSET)
        file.begin_another(folder / STANDARD_FILE)
        PixelGraph(tower, file, bits=bits, products="float16", is_fused=False).write()
        file.save("vision", opset=OPSET)
