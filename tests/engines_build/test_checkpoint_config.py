"""config.json and tensor names as published folders have them, old and new."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_checkpoints import (
    CONTEXT,
    VOCAB_SIZE,
    VOCABULARY,
    float_session,
    relative_error,
    save_folder,
    tiny_model,
    tokens_of,
)

from edged.errors import CheckpointError
from engines.architecture import check_sizes
from engines.checkpoint import open_checkpoint
from engines.checkpoint.config import _DEFAULTS, read_architecture, text_config

AUTOGLM = {
    "architectures": ["Glm4vForConditionalGeneration"],
    "model_type": "glm4v",
    "vocab_size": 151552,
    "hidden_size": 4096,
    "intermediate_size": 13696,
    "num_hidden_layers": 40,
    "num_attention_heads": 32,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "partial_rotary_factor": 0.5,
    "rope_scaling": {"rope_type": "default", "mrope_section": [8, 12, 12]},
    "max_position_embeddings": 65536,
    "tie_word_embeddings": False,
    "eos_token_id": [151329, 151336, 151338],
    "vision_config": {"hidden_size": 1536, "depth": 24},
}
GEMMA3_4B = {
    "model_type": "gemma3",
    "eos_token_id": [1, 106],
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152},
}


def architecture_of(config: dict[str, Any]) -> Any:
    return read_architecture(text_config(config))


def edited(folder: Path, change: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_bytes()))), encoding="utf-8")
    return folder


class TestPublishedConfigurations:
    def test_autoglm_phone(self) -> None:
        arch = architecture_of(AUTOGLM)
        assert (arch.head_dim, arch.q_size, arch.kv_size) == (128, 4096, 256)
        assert arch.sees and arch.post_norms and not arch.head_norms and not arch.tied
        rope = arch.ropes[39]
        assert (rope.rotary_dim, rope.sections, rope.frequencies[0]) == (64, (8, 12, 12), 1.0)
        assert rope.axes.tolist() == [0] * 8 + [1] * 12 + [2] * 12
        assert set(arch.windows) == {0} and arch.query_scale == 128**-0.5

    def test_the_flat_and_the_nested_layout_are_one(self) -> None:
        """As transformers 5 saves it: the text model's keys apart, scaling and share in rope_parameters."""
        moved = ("rope_theta", "partial_rotary_factor", "rope_scaling", "model_type", "architectures", "vision_config")
        text = {key: value for key, value in AUTOGLM.items() if key not in moved}
        rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
        nested = {
            "model_type": "glm4v",
            "tie_word_embeddings": False,
            "eos_token_id": None,
            "text_config": text | {"rope_parameters": rope | {"mrope_section": [8, 12, 12]}, "head_dim": None},
        }
        assert architecture_of(nested) == architecture_of(AUTOGLM)
        assert text_config(nested)["eos_token_id"] == [151329, 151336, 151338]

    def test_gemma_3_leaves_out_what_transformers_knows(self) -> None:
        arch = architecture_of(GEMMA3_4B)
        theirs = transformers.Gemma3Config(**GEMMA3_4B).text_config
        assert (arch.heads, arch.kv_heads, arch.head_dim) == (8, 4, 256)
        assert (arch.vocab_size, arch.context_length) == (theirs.vocab_size, theirs.max_position_embeddings)
        kinds = ["sliding_attention" if window else "full_attention" for window in arch.windows]
        assert kinds == theirs.layer_types and max(arch.windows) == 1024
        assert arch.ropes[0].frequencies[1] == pytest.approx(1e4 ** (-2 / 256))
        assert arch.ropes[5].frequencies[1] == pytest.approx(1e6 ** (-2 / 256) / 8)
        assert arch.tied and arch.activation == "gelu_tanh" and not arch.sees
        assert arch.embedding_scale == 2560**0.5 and arch.query_scale == 1 / 16

    @pytest.mark.parametrize("activation", [{"hidden_act": "gelu"}, {"hidden_act": "gelu_pytorch_tanh"}, {}])
    def test_the_first_gemma(self, activation: dict[str, str]) -> None:
        config = {"model_type": "gemma", "hidden_size": 2048, "num_attention_heads": 8, "num_key_value_heads": 1}
        config |= {"num_hidden_layers": 18, "intermediate_size": 16384, "vocab_size": 256000}
        arch = architecture_of(config | {"max_position_embeddings": 8192} | activation)
        assert (arch.head_dim, arch.activation, arch.post_norms, arch.tied) == (256, "gelu_tanh", False, True)

    def test_gemma_2_defaults_are_those_of_transformers(self) -> None:
        config = {"model_type": "gemma2", "hidden_size": 2304, "num_attention_heads": 8, "num_key_value_heads": 4}
        config |= {"num_hidden_layers": 26, "intermediate_size": 9216, "vocab_size": 256000}
        arch = architecture_of(config | {"max_position_embeddings": 8192})
        theirs = transformers.Gemma2Config(**config)
        assert arch.attention_softcap == theirs.attn_logit_softcapping
        assert arch.logit_softcap == theirs.final_logit_softcapping
        assert arch.query_scale == theirs.query_pre_attn_scalar**-0.5
        assert arch.windows == tuple(4096 if kind == "sliding_attention" else 0 for kind in theirs.layer_types)
        none = architecture_of(config | {"max_position_embeddings": 8192, "attn_logit_softcapping": None})
        assert none.attention_softcap == 0

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"rope_scaling": {"mrope_section": [8, 12]}}, "sections of 20 pairs do not fit the 32 that turn"),
            ({"rope_scaling": {"mrope_section": "all"}}, "mrope_section must be a list"),
            ({"rope_scaling": {"mrope_section": [-8, 20, 20]}}, "mrope_section must be a list"),
            ({"rope_scaling": {"mrope_section": [1] * 64 + ["x"]}}, "mrope_section must be a list"),
            ({"partial_rotary_factor": 3.0}, "rope sections of 32 pairs do not fit the 192 that turn"),
            ({"text_config": [1]}, "text_config must be an object"),
            ({"hidden_act": "relu"}, "hidden_act 'relu' is not supported, only silu, gelu_pytorch_tanh"),
        ],
    )
    def test_what_is_wrong_is_said(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            architecture_of(AUTOGLM | change)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"layer_types": ["sliding_attention"] * 33}, "layer_types must say sliding_attention or full_attention"),
            ({"layer_types": ["chunked_attention"] * 34}, "of each of the 34 layers"),
            ({"layer_types": "full_attention"}, "of each of the 34 layers"),
            ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "attention_factor": math.nan}}, "attention_factor"),
            ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "attention_factor": -1}}, "attention_factor"),
            ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "attention_factor": "1"}}, "attention_factor"),
        ],
    )
    def test_what_would_compute_something_else_is_said(self, change: dict[str, Any], message: str) -> None:
        """Not ignored: the model would load, and write nonsense."""
        with pytest.raises(CheckpointError, match=message):
            architecture_of(GEMMA3_4B | {"text_config": GEMMA3_4B["text_config"] | change})

    def test_what_is_null_or_left_out_has_a_default(self) -> None:
        config = {"model_type": "mistral", "hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 2}
        config |= {"intermediate_size": 14336, "vocab_size": 32000, "max_position_embeddings": 32768}
        theirs = transformers.MistralConfig(**config)
        arch = architecture_of(config | {"hidden_act": None, "rms_norm_eps": None})
        assert (arch.kv_heads, arch.windows[0]) == (theirs.num_key_value_heads, theirs.sliding_window)
        assert (arch.activation, arch.norm_epsilon) == (theirs.hidden_act, theirs.rms_norm_eps)

    def test_a_model_that_reads_both_ways_is_refused(self) -> None:
        with pytest.raises(CheckpointError, match="use_bidirectional_attention is not supported"):
            architecture_of(GEMMA3_4B | {"use_bidirectional_attention": True})


JUNK = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -1, 1, 3, 2**31, 10**30, 0.0, -1.5, 1e-300, 1e300, "", "silu", "yarn", "linear"]
    ),
    st.sampled_from(
        [[], [1], ["sliding_attention"] * 40, [None] * 34, {}, {"full_attention": 1}, {"mrope_section": [32]}]
    ),
    st.dictionaries(
        st.sampled_from(
            ["rope_type", "rope_theta", "factor", "mrope_section", "partial_rotary_factor", "full_attention"]
        ),
        st.sampled_from([None, 0, 2.0, -1, "yarn", "llama3", [], [1, 2, 3], {}, {"rope_theta": "x"}]),
    ),
)
KEYS = sorted({*AUTOGLM, *GEMMA3_4B["text_config"], *_DEFAULTS["gemma2"], "rope_parameters", "head_dim", "layer_types"})


@settings(max_examples=400, deadline=None)
@given(
    published=st.sampled_from(
        [AUTOGLM, GEMMA3_4B, AUTOGLM | {"model_type": "gemma2"}, AUTOGLM | {"model_type": "qwen3"}]
    ),
    changes=st.dictionaries(
        st.sampled_from([key for key in KEYS if key != "model_type"]), JUNK, min_size=1, max_size=3
    ),
)
def test_whatever_a_config_says_the_answer_is_one_line_or_an_architecture(
    published: dict[str, Any], changes: dict[str, Any]
) -> None:
    try:
        check_sizes(architecture_of(published | changes))
    except CheckpointError as error:
        assert "\n" not in error.message and len(error.message) < 300


class TestGlm4vFolders:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        model = tiny_model("glm4v", num_attention_heads=2, tie_word_embeddings=False)
        return save_folder(model, tmp_path / "model")

    def test_early_names_and_layout_are_the_same_checkpoint(self, folder: Path) -> None:
        expected = open_checkpoint(folder)
        values = {name: tensor.read() for name, tensor in expected.tensors.items()}
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        early = {
            name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): value
            for name, value in tensors.items()
        }
        safetensors.torch.save_file(early, folder / "model.safetensors")

        def flat(config: dict[str, Any]) -> dict[str, Any]:
            text = config.pop("text_config")
            rope = text.pop("rope_parameters")
            theta, share = rope.pop("rope_theta"), rope.pop("partial_rotary_factor")
            return {**text, **config, "rope_theta": theta, "partial_rotary_factor": share, "rope_scaling": rope}

        found = open_checkpoint(edited(folder, flat))
        assert found.architecture == expected.architecture
        assert found.tensors.keys() == values.keys()
        for name, value in values.items():
            np.testing.assert_array_equal(found.tensors[name].read(), value)
        assert found.vision_tensors.keys() == expected.vision_tensors.keys()

    def test_what_sees_is_set_aside(self, folder: Path) -> None:
        checkpoint = open_checkpoint(folder)
        stored = safetensors.torch.load_file(folder / "model.safetensors")
        for name in ("patch_embed.proj.weight", "blocks.1.attn.qkv.weight", "merger.post_projection_norm.bias"):
            np.testing.assert_array_equal(
                checkpoint.vision_tensors[name].read(), stored[f"model.visual.{name}"].numpy()
            )
        assert len(checkpoint.vision_tensors) == sum(name.startswith("model.visual.") for name in stored)
        assert not any("visual" in name for name in checkpoint.tensors)

    def test_gate_and_up_are_halves_and_pairs_are_neighbours(self, folder: Path) -> None:
        checkpoint = open_checkpoint(folder)
        stored = safetensors.torch.load_file(folder / "model.safetensors")
        both = stored["model.language_model.layers.1.mlp.gate_up_proj.weight"].numpy()
        np.testing.assert_array_equal(checkpoint.tensors["layers.1.gate.weight"].read(), both[:96])
        np.testing.assert_array_equal(checkpoint.tensors["layers.1.up.weight"].read_rows(5, 9), both[101:105])
        bias = stored["model.language_model.layers.1.self_attn.q_proj.bias"].numpy()
        order = [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15, *range(16, 32)]
        np.testing.assert_array_equal(checkpoint.tensors["layers.1.q.bias"].read()[32:], bias[32:][order])

    def test_missing_and_extra_tensors_are_listed(self, folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        norm = tensors.pop("model.language_model.layers.0.post_mlp_layernorm.weight")
        safetensors.torch.save_file(tensors, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"1 tensors are missing: layers\.0\.mlp_post_norm\.weight"):
            open_checkpoint(folder)
        tensors["model.language_model.layers.0.post_mlp_layernorm.weight"] = norm
        tensors["model.language_model.layers.0.self_attn.sink.weight"] = norm.clone()
        safetensors.torch.save_file(tensors, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"1 tensors have no place in a glm4v: model\.language_model"):
            open_checkpoint(folder)

    def test_a_fused_matrix_of_another_size_is_refused(self, folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        name = "model.language_model.layers.0.mlp.gate_up_proj.weight"
        tensors[name] = tensors[name][:-1].clone()
        safetensors.torch.save_file(tensors, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"layers\.0\.gate\.weight has the shape \[95, 64\]"):
            open_checkpoint(folder)

    def test_a_fused_matrix_that_is_a_number_is_refused(self, folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        tensors["model.language_model.layers.0.mlp.gate_up_proj.weight"] = torch.tensor(1.0)
        safetensors.torch.save_file(tensors, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"missing: layers\.0\.gate\.weight, layers\.0\.up\.weight"):
            open_checkpoint(folder)

    def test_all_ends_come_from_the_folder(self, folder: Path) -> None:
        (folder / "generation_config.json").write_text('{"eos_token_id": [2, 270, 271]}', encoding="utf-8")
        assert open_checkpoint(folder).vocabulary.eos == (2, 270, 271)


class TestGemmaFolders:
    def test_the_text_part_of_a_multimodal_folder(self, tmp_path: Path) -> None:
        text = {"vocab_size": VOCAB_SIZE, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
        text |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "sliding_window": 9}
        vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
        vision |= {"image_size": 56, "patch_size": 14}
        torch.manual_seed(0)
        config = transformers.Gemma3Config(
            text_config=text | {"max_position_embeddings": CONTEXT}, vision_config=vision, attn_implementation="eager"
        )
        model = transformers.Gemma3ForConditionalGeneration(config).eval()
        checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
        assert {name.partition(".")[0] for name in checkpoint.vision_tensors} == {
            "vision_tower",
            "multi_modal_projector",
        }
        tokens = tokens_of(30)
        engine = float_session(checkpoint, tmp_path / "engine")
        found = engine.prefill(engine.allocate(), 0, tokens, range(30))
        with torch.no_grad():
            expected = model(torch.tensor([tokens])).logits[0].numpy()
        assert relative_error(found, expected) < 1e-3

    def test_norms_are_stored_less_one(self, tmp_path: Path) -> None:
        model = tiny_model("gemma3_text")
        checkpoint = open_checkpoint(save_folder(model, tmp_path / "model", torch.bfloat16))
        norm = model.model.layers[1].self_attn.q_norm.weight.detach().to(torch.bfloat16).float().numpy()
        np.testing.assert_array_equal(checkpoint.tensors["layers.1.q_norm.weight"].read(), 1 + norm)

    def test_tokens_without_a_row_are_left_out(self, tmp_path: Path) -> None:
        """A text-only Gemma 3 shares the tokenizer of those that see, whose last token is a picture's."""
        folder = save_folder(tiny_model("gemma3_text"), tmp_path / "model")
        document = json.loads((folder / "tokenizer.json").read_bytes())
        picture = document["added_tokens"][0] | {"id": VOCAB_SIZE, "content": "<image_soft_token>"}
        document["added_tokens"].append(picture)
        (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
        assert "<image_soft_token>" not in open_checkpoint(folder).vocabulary.tokenizer

    def test_the_end_of_a_turn_ends_an_answer(self, tmp_path: Path) -> None:
        folder = save_folder(tiny_model("gemma"), tmp_path / "model")
        document = json.loads((folder / "tokenizer.json").read_bytes())
        end = document["added_tokens"][0] | {"id": len(VOCABULARY), "content": "<end_of_turn>"}
        document["added_tokens"].append(end)
        (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
        assert open_checkpoint(folder).vocabulary.eos == (2, len(VOCABULARY))

    def test_a_template_in_a_file_of_its_own(self, tmp_path: Path) -> None:
        folder = save_folder(tiny_model("gemma"), tmp_path / "model")
        (folder / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}', encoding="utf-8")
        (folder / "chat_template.json").write_text('{"chat_template": "{{ bos_token }}x"}', encoding="utf-8")
        assert open_checkpoint(folder).vocabulary.chat_template == "{{ bos_token }}x"


def test_a_text_model_has_no_place_for_what_sees(tmp_path: Path) -> None:
    folder = save_folder(tiny_model("llama"), tmp_path / "model")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors["model.visual.patch_embed.proj.weight"] = torch.zeros(2, 2)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"1 tensors have no place in a llama: model\.visual"):
        open_checkpoint(folder)


def test_transforms_of_tensors_add_up(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_folder(tiny_model("llama"), tmp_path / "model"))
    tensor = checkpoint.tensors["layers.0.gate.weight"]
    whole = tensor.read()
    np.testing.assert_array_equal(tensor.part(5, 40).part(3, 9).plus(0.5).read(), whole[8:14] + np.float32(0.5))
    order = np.array([2, 0, 1])
    np.testing.assert_array_equal(tensor.part(8, 11).reordered(order).read_rows(1, 3), whole[[8, 9]])
    assert dataclasses.replace(tensor, added=0.0) == tensor
