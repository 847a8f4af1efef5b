"""The text model of autoglm_phone: graphs against the PyTorch model, with rows of pictures and recordings in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standard_run import CAPACITY, StandardRun
from tiny_checkpoints import float_session, integer_session, relative_error, session
from tiny_phone import TYPES, a_sight, mixed_tokens, save_int4, save_phone, tiny_phone, torch_logits
from variants import INT4

from edged.engine.session import Sight
from engines.checkpoint import open_checkpoint
from engines.graph.integer_weights import FLOAT_INPUTS, IntegerWeights
from engines.graph.standard import write_standard
from engines.reference import Arrays, final_states, head_logits, numpy_arrays, torch_arrays
from engines.tensorrt.lower import lower

VARIANTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "one expert a token": {"num_experts_per_tok": 1},
    "all experts": {"num_experts": 4, "num_experts_per_tok": 4},
    "equal ranks, odd sizes": {"vision_adapter_rank": 16, "audio_adapter_rank": 16, "moe_intermediate_size": 112},
    "one key head, wide heads": {"num_key_value_heads": 1, "head_dim": 32},
}
TOKENS = mixed_tokens(TYPES)
CHUNKS = [(0, 5), (5, 9), (9, 10), (10, 17), (17, 18), (18, 19), (19, 20)]
"""The last three are decoded: they are text."""
SIGHT = a_sight(TYPES)


def chosen(scores: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """The experts, in order of their number."""
    return np.sort(np.argsort(-scores, axis=-1)[..., :count], axis=-1)


@pytest.mark.parametrize("arrays", [numpy_arrays(), torch_arrays()], ids=["numpy", "torch"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_reference_equals_the_pytorch_model(variant: str, arrays: Arrays, tmp_path: Path) -> None:
    model = tiny_phone(**VARIANTS[variant])
    checkpoint = open_checkpoint(save_phone(model, tmp_path / "model"))
    routers = {}
    (states,) = final_states(
        checkpoint, [TOKENS], lambda layers: None, sights=[SIGHT], arrays=arrays, scores=routers.__setitem__
    )
    expected, expected_routers = torch_logits(model, TOKENS, SIGHT)
    assert relative_error(head_logits(checkpoint, states, arrays), expected) < 1e-4
    assert relative_error(np.stack([routers[0], routers[1]]), expected_routers) < 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_float_graph_equals_the_pytorch_model(variant: str, tmp_path: Path) -> None:
    model = tiny_phone(**VARIANTS[variant])
    engine = float_session(open_checkpoint(save_phone(model, tmp_path / "model")), tmp_path / "engine")
    found = engine.prefill(engine.allocate(), 0, TOKENS, range(len(TOKENS)), SIGHT)
    assert relative_error(found, torch_logits(model, TOKENS, SIGHT)[0]) < 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_int4_graph_equals_the_pytorch_model_with_the_same_integers(variant: str, tmp_path: Path) -> None:
    model = tiny_phone(**VARIANTS[variant])
    with_floats = torch_logits(model, TOKENS, SIGHT)[0]
    block_size = 16 if "moe_intermediate_size" in VARIANTS[variant] else 32
    checkpoint = open_checkpoint(save_int4(model, tmp_path / "model", block_size))
    engine = integer_session(checkpoint, tmp_path / "engine", INT4)
    found = engine.prefill(engine.allocate(), 0, TOKENS, range(len(TOKENS)), SIGHT)
    expected = torch_logits(model, TOKENS, SIGHT)[0]
    assert relative_error(found, expected) < 1e-2
    assert relative_error(expected, with_floats) > 0.05, "rounding must matter"


def test_float16_is_near_the_pytorch_model_on_the_cpu(tmp_path: Path) -> None:
    """As a GPU computes it: hidden states and scales in half precision, the router in float32."""
    model = tiny_phone(1)
    checkpoint = open_checkpoint(save_int4(model, tmp_path / "model"))
    engine = session(checkpoint, tmp_path / "engine", lambda file: IntegerWeights(file, INT4, FLOAT_INPUTS), "float16")
    found = engine.prefill(engine.allocate(), 0, TOKENS, range(len(TOKENS)), SIGHT)
    assert relative_error(found, torch_logits(model, TOKENS, SIGHT)[0]) < 3e-2


@pytest.mark.parametrize("lowered", [False, True], ids=["standard", "lowered"])
@pytest.mark.parametrize("activations", ["float32", "float16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_standard_graph_equals_the_pytorch_model(
    variant: str, activations: str, lowered: bool, tmp_path: Path
) -> None:
    model = tiny_phone(1, **VARIANTS[variant])  # no two scores so near that half precision chooses otherwise
    block_size = 16 if "moe_intermediate_size" in VARIANTS[variant] else 32
    checkpoint = open_checkpoint(save_int4(model, tmp_path / "model", block_size))
    session(checkpoint, tmp_path / "engine", lambda file: IntegerWeights(file, INT4, FLOAT_INPUTS), activations)
    write_standard(tmp_path / "engine" / "model.onnx", graph := tmp_path / "engine" / "standard.onnx")
    if lowered:
        lower(graph, graph := tmp_path / "engine" / "lowered.onnx", capacity=CAPACITY)
    run = StandardRun(graph, poison=100.0)
    found = [run.read(TOKENS[start:stop], seen(SIGHT, start, stop, run.float)) for start, stop in CHUNKS]
    expected = torch_logits(model, TOKENS, SIGHT)[0]
    limit = 1e-2 if activations == "float32" and not lowered else 3e-2
    assert relative_error(np.concatenate(found), expected) < limit


def seen(sight: Sight, start: int, stop: int, kind: Any) -> dict[str, np.ndarray[Any, Any]]:
    """What a standard graph is told of a chunk."""
    return {
        "token_types": sight.types[None, start:stop],
        "embeddings": sight.embeddings[None, start:stop].astype(kind),
    }


def test_chunks_and_decoded_tokens_equal_one_pass(tmp_path: Path) -> None:
    model = tiny_phone()
    checkpoint = open_checkpoint(save_int4(model, tmp_path / "model"))
    engine = integer_session(checkpoint, tmp_path / "engine", INT4)
    memory, found = engine.allocate(), []
    for start, stop in CHUNKS[:-3]:
        part = Sight(
            positions=SIGHT.positions[:, start:stop],
            embeddings=SIGHT.embeddings[start:stop],
            types=SIGHT.types[start:stop],
        )
        found.append(engine.prefill(memory, start, TOKENS[start:stop], range(stop - start), part))
    found += [engine.decode(memory, place, TOKENS[place])[None].copy() for place in range(17, 20)]
    whole = engine.prefill(engine.allocate(), 0, TOKENS, range(len(TOKENS)), SIGHT)
    np.testing.assert_allclose(np.concatenate(found), whole, atol=1e-4 * float(np.abs(whole).max()))
    text = engine.prefill(engine.allocate(), 0, TOKENS, range(len(TOKENS)), replace(SIGHT, types=0 * SIGHT.types))
    assert relative_error(text, whole) > 0.05, "types must matter"
