"""The engine that `make setup` builds, against a float32 forward of the same weights in transformers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers
from gguf.quants import dequantize
from tokenizers import Tokenizer

import edged.engine
import engines
from edged.engine.manifest import Manifest, read_manifest, verify_files
from edged.engine.onnx_session import OnnxSession
from engines.build import Order, build, default_destination
from engines.checkpoint import open_checkpoint
from engines.recipe import load_recipe

PROMPTS = (
    "The capital of France is",
    "Once upon a time there was a lighthouse keeper who",
    "def fibonacci(n):\n    if n < 2:\n        return",
    "Water boils at a temperature of 100 degrees",
    "<|im_start|>user\nWhat is the largest planet?<|im_end|>\n<|im_start|>assistant\n",
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """As the code is now: from a copy of what `make setup` has left, or built anew where code is younger."""
    recipe = load_recipe("smollm2-135m")
    assert recipe.source is not None
    folder, kept = tmp_path_factory.mktemp("engines") / "smollm2-135m", default_destination("smollm2-135m")
    if kept.is_dir() and (kept / "model.onnx").stat().st_mtime > _changed():
        shutil.copytree(kept, folder)
    build(Order(recipe=recipe, source=recipe.source.find(), destination=folder), lambda line: None)  # unless it is it
    return folder, read_manifest(folder)


def _changed() -> float:
    """When what makes an engine was written last."""
    code, trained = Path(engines.__file__).parent, ("nano", "qat", "autoglm_phone", "checkpoints")
    made = [path for path in code.rglob("*.*") if path.relative_to(code).parts[0] not in trained]
    return max(path.stat().st_mtime for path in (*made, *Path(edged.engine.__file__).parent.glob("*.py")))


@pytest.fixture(scope="module")
def session(engine: tuple[Path, Manifest]) -> OnnxSession:
    return OnnxSession(*engine, max_seq_len=128, threads=2)


@pytest.fixture(scope="module")
def float_model() -> Any:
    """LlamaForCausalLM with the file's weights, read by the gguf package and put in place by hand."""
    recipe = load_recipe("smollm2-135m")
    assert recipe.source is not None
    reader = gguf.GGUFReader(recipe.source.find())
    config = transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        places = transformers.LlamaForCausalLM(config).state_dict()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 30)
    weights = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    state = {}
    for name in places:
        values = weights[names.get_name(name.replace("lm_head", "model.embed_tokens"), try_suffixes=(".weight",))]
        if "q_proj" in name or "k_proj" in name:
            values = values.reshape(-1, 32, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        state[name] = torch.from_numpy(np.array(values, np.float32))
    return transformers.LlamaForCausalLM.from_pretrained(None, config=config, state_dict=state).eval()


def divergence(expected: Any, found: Any) -> float:
    """Mean KL divergence of two sets of logits, in nats."""
    p, q = (torch.log_softmax(torch.from_numpy(logits).double(), -1) for logits in (expected, found))
    return float((p.exp() * (p - q)).sum(-1).mean())


def test_the_default_engine_passes_its_gate(engine: tuple[Path, Manifest]) -> None:
    folder, manifest = engine
    verify_files(folder, manifest)
    quality = manifest.quality
    assert quality.tokens >= 2000
    assert quality.perplexity_loss <= 0.02 and quality.max_perplexity_loss <= 0.02
    assert quality.top1_agreement > 0.93 and quality.kl_divergence < 0.01
    assert (manifest.license.lower(), manifest.tokens.eos) == ("apache-2.0", (2, 0))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_logits_against_the_float_forward(
    prompt: str, engine: tuple[Path, Manifest], session: OnnxSession, float_model: Any
) -> None:
    folder, manifest = engine
    tokens = Tokenizer.from_file(str(folder / manifest.tokenizer_file)).encode(prompt).ids
    found = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    with torch.no_grad():
        expected = float_model(torch.tensor([tokens])).logits[0].numpy()
    # The first token of a text has nothing before it: an outlier of this model, and of no use.
    assert divergence(expected[1:], found[1:]) < 0.02
    assert np.mean(found[1:].argmax(-1) == expected[1:].argmax(-1)) >= 0.75
    assert found[-1].argmax() == expected[-1].argmax()


def test_cached_decode_equals_full_forward(engine: tuple[Path, Manifest], session: OnnxSession) -> None:
    folder, manifest = engine
    tokens = Tokenizer.from_file(str(folder / manifest.tokenizer_file)).encode(PROMPTS[1]).ids
    whole = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    memory = session.allocate()
    session.prefill(memory, 0, tokens[:4])
    decoded = np.stack([session.decode(memory, at, tokens[at]).copy() for at in range(4, len(tokens))])
    # Inputs are rounded to INT8, so that a last bit may tip them; in float32 both are equal (test_graph_...).
    assert divergence(whole[4:], decoded) < 0.02


@pytest.mark.parametrize(
    "text",
    (
        "Hello, world! It's 1984.",
        "你好，世界。今天天气很好",
        "🎉🇫🇷 naïve café",
        "\t\n  indented",
        "<|im_start|>user\n<|im_end|>",
    ),
)
def test_its_tokenizer_gives_every_text_back(text: str, engine: tuple[Path, Manifest]) -> None:
    folder, manifest = engine
    tokenizer = Tokenizer.from_file(str(folder / manifest.tokenizer_file))
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_its_special_tokens_are_single_and_digits_are_apart() -> None:
    recipe = load_recipe("smollm2-135m")
    assert recipe.source is not None
    tokenizer = Tokenizer.from_str(open_checkpoint(recipe.source.find()).vocabulary.tokenizer)
    assert tokenizer.encode("<|im_start|>user\n<|im_end|>").ids == [1, 4093, 198, 2]
    assert tokenizer.encode("in 1984").tokens == ["in", "Ġ", "1", "9", "8", "4"]
