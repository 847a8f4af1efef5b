"""The standard graph, as it is or lowered, on ONNX Runtime: a stand-in for a GPU that has a plan of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

Array = np.ndarray[Any, Any]
CAPACITY = 64


class StandardRun:
    """One sequence; its cache is full of `poison` where nothing has been written."""

    def __init__(self, path: Path, *, poison: float = 1e9) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        # Inputs of products in float, as the reference has them.
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        options.optimized_model_filepath = str(path.with_suffix(".optimized"))
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.optimized = onnx.load(path.with_suffix(".optimized"), load_external_data=False)
        self.position = 0
        self.inputs = {node.name: node for node in self.session.get_inputs()}
        self.float = np.float16 if "float16" in self.inputs["past_key_values.0.key"].type else np.float32
        self.cache = {
            name: np.full([CAPACITY if isinstance(size, str) else size for size in node.shape], poison, self.float)
            for name, node in self.inputs.items()
            if name.startswith("past_key_values")
        }

    def read(self, tokens: Sequence[int], sight: dict[str, Array] | None = None) -> Array:
        """Logits of all the tokens, which follow those read before.  # (tokens, vocabulary)"""
        count = len(tokens)
        feed = {
            "input_ids": np.array([tokens], np.int64),
            "seqlens_k": np.array([self.position + count - 1], np.int32),
            "logits_index": np.arange(count),
        }
        if "position_ids" in self.inputs:
            places = np.arange(self.position, self.position + count)
            feed["position_ids"] = np.tile(places, (3, 1))
        if "token_types" in self.inputs:
            feed["token_types"] = np.zeros((1, count), np.int64)
        if "embeddings" in self.inputs:
            feed["embeddings"] = np.zeros((1, count, self.inputs["embeddings"].shape[2]), self.float)
        feed |= sight or {}
        names = [node.name for node in self.session.get_outputs()]
        results = dict(zip(names, self.session.run(names, {**feed, **self.cache}), strict=True))
        self.cache = {f"past_key_values.{name[8:]}": value for name, value in results.items() if name != "logits"}
        self.position += count
        return results["logits"][0].astype(np.float32)
