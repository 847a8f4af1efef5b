"""The text model of autoglm_phone: graphs against the PyTorch model, with rows of pictures and recordings in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from standard_run import CAPACITY, StandardRun
from tiny_checkpoints import CONTEXT, float_session, integer_session, manifest_of, relative_error, session
from tiny_phone import TYPES, a_sight, mixed_tokens, save_int4, save_phone, tiny_phone, torch_logits
from variants import INT4

from edged.engine import onnx_stage
from edged.engine.onnx_memory import OnnxMemory
from edged.engine.onnx_session import OnnxSession
from edged.engine.session import Sight
from engines.checkpoint import open_checkpoint
from engines.graph.all_rows import compute_all_rows
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
CHUNKINGS = {
    "mixed": CHUNKS[:-3],
    "each of one type": [(0, 3), (3, 7), (7, 8), (8, 11), (11, 13), (13, 15), (15, 16), (16, 17)],
    "token by token": [(place, place + 1) for place in range(17)],
}
ORDERS = [[0] * 5, [1] * 5, [2] * 5, [0, 0, 1, 1, 2], [2, 2, 1, 0, 0], [1, 0, 2, 0, 1], [0, 2, 2, 2, 0]]
"""Text alone, and pictures and recordings without it, before and behind it."""
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


@pytest.mark.parametrize("chunks", CHUNKINGS.values(), ids=CHUNKINGS)
def test_chunks_and_decoded_tokens_equal_one_pass(chunks: list[tuple[int, int]], tmp_path: Path) -> None:
    model = tiny_phone()
    checkpoint = open_checkpoint(save_int4(model, tmp_path / "model"))
    engine = integer_session(checkpoint, tmp_path / "engine", INT4)
    memory, found = engine.allocate(), []
    for start, stop in chunks:
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


def test_prompts_of_one_kind_and_of_all_in_any_order_equal_the_pytorch_model(tmp_path: Path) -> None:
    model = tiny_phone()
    engine = float_session(open_checkpoint(save_phone(model, tmp_path / "model")), tmp_path / "engine")
    for types in ORDERS:
        tokens, sight = mixed_tokens(types), a_sight(types)
        found = engine.prefill(engine.allocate(), 0, tokens, range(len(types)), sight)
        assert relative_error(found, torch_logits(model, tokens, sight)[0]) < 1e-4, types


@pytest.mark.parametrize("activations", ["float32", "float16"])
def test_adapters_compute_the_rows_of_pictures_and_recordings_alone(
    activations: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what comes out of their first product: no row of a decoded token or of a prompt of text."""
    checkpoint = open_checkpoint(save_int4(tiny_phone(), tmp_path / "model"))
    session(checkpoint, tmp_path / "engine", lambda file: IntegerWeights(file, INT4), activations)
    model = onnx.load(tmp_path / "engine" / "model.onnx", load_external_data=False)
    name, kind = "layers.1.adapter_down.out", model.graph.input[-1].type.tensor_type.elem_type
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, [1, "media", 48]))
    (tmp_path / "engine" / "model.onnx").write_bytes(model.SerializeToString())
    monkeypatch.setattr(onnx_stage, "_check_signature", lambda stage, path: None)
    manifest = manifest_of(checkpoint, activations)
    engine = OnnxSession(tmp_path / "engine", manifest, max_seq_len=CONTEXT, threads=1)
    (part,) = engine.allocate().parts
    memory = OnnxMemory([part])
    for types, rows in ((TYPES, 10), ([0] * 20, 0), ([2] * 20, 20)):
        part._prefill.bind_output(name)
        engine.prefill(memory, 0, mixed_tokens(types), sight=a_sight(types))
        assert [1, rows, 48] in [value.shape() for value in part._prefill.get_outputs()]
    part._decode.bind_output(name)
    engine.decode(memory, 20, 7)
    assert [1, 0, 48] in [value.shape() for value in part._decode.get_outputs()]


def test_an_engine_whose_adapters_compute_every_token_goes_on_working(tmp_path: Path) -> None:
    """As they were written before there was an input media_index."""
    checkpoint = open_checkpoint(save_int4(tiny_phone(), tmp_path / "model"))
    engine = integer_session(checkpoint, tmp_path / "engine", INT4)
    model = onnx.load(tmp_path / "engine" / "model.onnx", load_external_data=False)
    compute_all_rows(model.graph)
    assert "media_index" not in [value.name for value in model.graph.input]
    (tmp_path / "engine" / "model.onnx").write_bytes(model.SerializeToString())
    older = OnnxSession(tmp_path / "engine", manifest_of(checkpoint), max_seq_len=CONTEXT, threads=1)
    results = []
    for each in (engine, older):
        memory = each.allocate()
        seen = each.prefill(memory, 0, TOKENS, range(len(TOKENS)), SIGHT)
        results.append(np.vstack([seen, each.decode(memory, len(TOKENS), 9)[None]]))
    assert relative_error(results[1], results[0]) < 1e-3
