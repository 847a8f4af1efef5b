"""A folder of autoglm_phone on its way to an engine: built, cut into stages, compiled, its experts counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_stages import Elsewhere
from tiny_checkpoints import CONTEXT, integer_session, manifest_of, tokens_of
from tiny_phone import TYPES, a_sight, mixed_tokens, save_int4, save_phone, tiny_phone, torch_logits
from variants import INT4

from edged.config import EngineConfig
from edged.engine.engine import load_engine
from edged.engine.manifest import read_manifest
from edged.engine.onnx_session import OnnxSession
from edged.engine.session import CountsExperts
from edged.errors import ArtefactError
from engines.__main__ import main
from engines.checkpoint import open_checkpoint
from engines.graph.stages import write_stages

TOKENS = mixed_tokens(TYPES)
SIGHT = a_sight(TYPES)


@pytest.mark.parametrize("kind", ["floats", "INT4"])
def test_a_folder_becomes_an_engine_that_counts_its_experts(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_phone(scale=0.05)
    source = (save_int4 if kind == "INT4" else save_phone)(model, tmp_path / "model")
    assert main(["build", str(source), "--out", str(tmp_path / "phone")]) == 0
    label = {"floats": "INT4 in blocks of 32, ", "INT4": "INT4 (INT4 blocks kept), "}[kind]
    said = capsys.readouterr().out
    assert said.startswith(f"phone: {label}INT8 head and embedding; ")
    assert ("not calibrated by AWQ+GPTQ" in said) == (kind == "floats")
    manifest = read_manifest(tmp_path / "phone")
    graph = manifest.graph
    assert (manifest.model_type, graph.adapters, graph.embeddings, graph.mrope) == ("autoglm_phone", True, True, False)
    assert (graph.experts, graph.experts_per_token) == (8, 2)
    session = load_engine(tmp_path / "phone", EngineConfig(device="cpu", threads=1)).session
    assert isinstance(session, CountsExperts) and isinstance(session, OnnxSession)
    prompt = tokens_of(30)
    memory = session.allocate()
    session.prefill(memory, 0, prompt)
    _, routers = torch_logits(model, prompt, a_sight([0] * 30))
    counted = np.stack([np.bincount(np.argsort(-layer)[:, :2].ravel(), minlength=8) for layer in routers])
    found = session.expert_load
    assert found is not None and found.sum() == 2 * 2 * 30
    assert kind == "floats" or np.abs(found - counted).sum() <= 4, "inputs are rounded to INT8"
    for place in range(30, 130):
        session.decode(memory, place, 7)
    assert session.expert_load.sum() == 2 * 2 * (30 + 64), "decoded tokens are counted 64 together"


@pytest.mark.slow
def test_a_plan_is_compiled_into_the_artefact(tmp_path: Path) -> None:
    source = save_int4(tiny_phone(scale=0.05), tmp_path / "model")
    assert main(["build", str(source), "--out", str(tmp_path / "phone")]) == 0
    order = ["compile", str(tmp_path / "phone"), "--target", "sm89", "--context", "128", "--max-tokens", "64"]
    assert main(order) == 0
    (plan,) = read_manifest(tmp_path / "phone").plans
    assert (plan.part, plan.target, plan.capacity, plan.max_tokens) == ("text", "sm89", 128, 64)


def test_experts_are_those_of_the_pytorch_model(tmp_path: Path) -> None:
    """Of 10 texts of 100 tokens, in two layers. Where it differs, two scores are as good as equal."""
    model = tiny_phone(scale=0.5)
    checkpoint = open_checkpoint(save_int4(model, tmp_path / "model"))
    engine = integer_session(checkpoint, tmp_path / "engine", INT4)
    expected = np.zeros((2, 8), np.int64)
    for seed in range(10):
        prompt = tokens_of(100, seed)
        engine.prefill(engine.allocate(), 0, prompt)
        _, routers = torch_logits(model, prompt, a_sight([0] * 100))
        expected += np.stack([np.bincount(np.argsort(-layer)[:, :2].ravel(), minlength=8) for layer in routers])
    assert engine.expert_load is not None and engine.expert_load.sum() == expected.sum() == 4000
    assert np.abs(engine.expert_load - expected).sum() <= 4


def test_mixed_prompts_one_after_the_other_do_not_disturb_each_other(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_int4(tiny_phone(), tmp_path / "model"))
    engine = integer_session(checkpoint, tmp_path / "engine", INT4)
    kinds = [[0] * 12, [0, 1, 1, 1, 0], [0, 2, 2, 0, 1, 1, 0], [2, 2, 2, 0, 0]]
    prompts = [(mixed_tokens(types, seed), a_sight(types, seed=seed)) for seed, types in enumerate(kinds)]
    alone = [engine.prefill(engine.allocate(), 0, tokens, range(len(tokens)), sight) for tokens, sight in prompts]
    memories = [engine.allocate() for _ in prompts]
    for place in range(12):  # a token of each in turn
        for (tokens, sight), memory, expected in zip(prompts, memories, alone, strict=True):
            if place < len(tokens):
                part = replace(
                    sight,
                    positions=sight.positions[:, place : place + 1],
                    embeddings=sight.embeddings[place : place + 1],
                    types=sight.types[place : place + 1],
                )
                found = engine.prefill(memory, place, tokens[place : place + 1], sight=part)[0]
                np.testing.assert_allclose(found, expected[place], atol=1e-4 * float(np.abs(expected).max()))


def test_stages_equal_the_whole(tmp_path: Path) -> None:
    model = tiny_phone(num_hidden_layers=3)
    checkpoint = open_checkpoint(save_int4(model, tmp_path / "model"))
    whole = integer_session(checkpoint, tmp_path / "engine", INT4)
    manifest = manifest_of(checkpoint)
    stages = write_stages(tmp_path / "engine" / "model.onnx", (1, 2))
    manifest = replace(manifest, graph=replace(manifest.graph, stages=stages))
    devices = [Elsewhere(0), Elsewhere(1)]
    staged = OnnxSession(tmp_path / "engine", manifest, max_seq_len=CONTEXT, threads=1, devices=devices)
    results = []
    for each in (whole, staged):
        memory = each.allocate()
        seen = each.prefill(memory, 0, TOKENS, range(len(TOKENS)), SIGHT)
        results.append(np.vstack([seen, *(each.decode(memory, len(TOKENS) + step, 9)[None] for step in range(2))]))
    np.testing.assert_array_equal(results[1], results[0])
    assert staged.expert_load is not None and whole.expert_load is not None
    np.testing.assert_array_equal(staged.expert_load, whole.expert_load)


def test_a_graph_without_its_router_is_refused(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_int4(tiny_phone(), tmp_path / "model"))
    integer_session(checkpoint, tmp_path / "engine", INT4)
    manifest = manifest_of(checkpoint)
    for changed, message in (
        (replace(manifest.graph, experts=0, experts_per_token=0), "unknown router_logits"),
        (replace(manifest.graph, adapters=False), "unknown media_index, token_types"),
        (replace(manifest.graph, experts=9), r"its routers choose among \[2, 8\], unlike the manifest"),
    ):
        with pytest.raises(ArtefactError, match=message):
            OnnxSession(tmp_path / "engine", replace(manifest, graph=changed), max_seq_len=CONTEXT, threads=1)
