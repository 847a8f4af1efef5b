"""Checkpoints of a few hundred kilobytes with random weights: as Hugging Face folders and as GGUF files."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers
from gguf.quants import quantize
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from edged.engine.manifest import UNMEASURED, Graph, Manifest, Precision, Source, Stage, Tokens
from edged.engine.onnx_session import OnnxSession
from engines.checkpoint import Checkpoint
from engines.graph.decoder import write_decoder
from engines.graph.float_weights import FloatWeights
from engines.graph.integer_weights import FLOAT_INPUTS, IntegerFormat, IntegerWeights
from engines.graph.model_file import ModelFile
from engines.graph.onnxruntime import OnnxRuntimeDialect

transformers.utils.logging.disable_progress_bar()

CONTEXT = 256
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MERGES = (("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("a", "n"))
VOCABULARY = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in MERGES)]
VOCAB_SIZE = 272
CONFIGS: dict[str, type[transformers.PretrainedConfig]] = {
    "llama": transformers.LlamaConfig,
    "mistral": transformers.MistralConfig,
    "qwen2": transformers.Qwen2Config,
    "qwen3": transformers.Qwen3Config,
    "gemma": transformers.GemmaConfig,
    "gemma2": transformers.Gemma2Config,
    "gemma3_text": transformers.Gemma3TextConfig,
}
GLM4V_ROPE = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5, "mrope_section": [2, 3, 3]}
GLM4V_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "num_heads": 2,
    "image_size": 56,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "intermediate_size": 48,
}


def tiny_model(model_type: str = "llama", seed: int = 0, **overrides: Any) -> transformers.PreTrainedModel:
    """A model with weights large enough that every part of it matters."""
    settings = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    } | overrides
    torch.manual_seed(seed)
    if model_type == "glm4v":
        model = _tiny_glm4v(settings | {"head_dim": None})
    else:
        config = CONFIGS[model_type](**settings)
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    _fill(model, zero_centred=model_type.startswith("gemma"))
    return model


def _tiny_glm4v(settings: dict[str, Any]) -> transformers.PreTrainedModel:
    text = {"rope_parameters": GLM4V_ROPE, **settings}
    tied = text.pop("tie_word_embeddings") if "tie_word_embeddings" in text else False
    config = transformers.Glm4vConfig(
        text_config={key: value for key, value in text.items() if value is not None},
        vision_config=GLM4V_VISION | {"out_hidden_size": settings["hidden_size"]},
        tie_word_embeddings=tied,
        attn_implementation="eager",
    )
    return transformers.Glm4vForConditionalGeneration(config).eval()


def _fill(model: transformers.PreTrainedModel, *, zero_centred: bool) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
            elif parameter.dim() == 1:
                parameter.uniform_(-0.5 if zero_centred else 0.5, 0.5 if zero_centred else 1.5)
            else:
                parameter.normal_(0, 1.5 / parameter.shape[1] ** 0.5)


def gentle(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """The same with small weights: rounding them costs next to nothing, so that every recipe's gate lets it through."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.05 if parameter.dim() > 1 else 1)
    return model


def save_folder(model: transformers.PreTrainedModel, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """As `save_pretrained` leaves it, with tokenizer and chat template."""
    model.to(dtype).save_pretrained(folder)
    model.to(torch.float32)
    return save_vocabulary(folder)


def save_vocabulary(folder: Path) -> Path:
    """Tokenizer and chat template."""
    tokenizer = Tokenizer(models.BPE({text: index for index, text in enumerate(VOCABULARY)}, list(MERGES)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def save_gguf(
    model: transformers.PreTrainedModel, path: Path, encoding: str = "F16", rope_freqs: Any = None, **metadata: Any
) -> Path:
    """As llama.cpp's converter writes it: q and k of llama reordered, matrices in one encoding."""
    config = model.config
    kind = {"mistral": "llama", "gemma3_text": "gemma3"}.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, kind)
    _write_metadata(writer, config)
    for key, value in metadata.items():
        add = {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32}[type(value)]
        add(key.replace("__", "."), value)
    for name, values in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        _write_tensor(writer, config, name, values.float().numpy(), encoding, kind)
    if rope_freqs is not None:
        writer.add_tensor("rope_freqs.weight", rope_freqs)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_metadata(writer: gguf.GGUFWriter, config: transformers.PretrainedConfig) -> None:
    writer.add_name("Tiny")
    writer.add_license("apache-2.0")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3 if text in SPECIALS else 1 for text in VOCABULARY])
    writer.add_token_merges([f"{left} {right}" for left, right in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)


@functools.cache
def _gguf_names(kind: str, layers: int) -> gguf.TensorNameMap:
    return gguf.get_tensor_name_map(gguf.MODEL_ARCH[kind.upper()], layers)


def _write_tensor(
    writer: gguf.GGUFWriter, config: transformers.PretrainedConfig, name: str, values: Any, encoding: str, kind: str
) -> None:
    names = _gguf_names(kind, config.num_hidden_layers)
    part = name.split(".")[-2]
    if kind == "llama" and part in ("q_proj", "k_proj"):
        heads = config.num_attention_heads if part == "q_proj" else config.num_key_value_heads
        halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
        values = halves.swapaxes(1, 2).reshape(values.shape)
    if kind.startswith("gemma") and part.endswith("norm"):
        values = values + 1
    gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if values.ndim == 1:
        writer.add_tensor(gguf_name, values)
    else:
        code = gguf.GGMLQuantizationType[encoding]
        writer.add_tensor(gguf_name, quantize(values, code), raw_dtype=code)


def reference_logits(model: transformers.PreTrainedModel, tokens: list[int]) -> np.ndarray[Any, Any]:
    """(tokens, vocabulary) from transformers in float32."""
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].numpy()


def float_session(checkpoint: Checkpoint, folder: Path) -> OnnxSession:
    return session(checkpoint, folder, FloatWeights)


def integer_session(
    checkpoint: Checkpoint, folder: Path, format_: IntegerFormat, accuracy: int = FLOAT_INPUTS
) -> OnnxSession:
    return session(checkpoint, folder, lambda file: IntegerWeights(file, format_, accuracy))


def session(checkpoint: Checkpoint, folder: Path, weights: Any, activations: Any = "float32") -> OnnxSession:
    """The checkpoint's graph, written and loaded as the run time loads it."""
    folder.mkdir(exist_ok=True)
    arch = checkpoint.architecture
    with ModelFile(folder / "model.onnx", activations) as file:
        write_decoder(arch, OnnxRuntimeDialect(checkpoint, file, weights(file), arch.context_length), lambda n: None)
        file.save("tiny")
    return OnnxSession(folder, manifest_of(checkpoint, activations), max_seq_len=CONTEXT, threads=1)


def manifest_of(checkpoint: Checkpoint, activations: str = "float32") -> Manifest:
    arch = checkpoint.architecture
    return Manifest(
        name="tiny",
        title="Tiny",
        model_type=arch.model_type,
        parameters=1,
        context_length=arch.context_length,
        vocab_size=arch.vocab_size,
        layers=arch.layers,
        kv_heads=arch.kv_heads,
        head_dim=arch.head_dim,
        precision=Precision(linear="", block_size=32, head="", embedding="", label=""),
        hidden_size=arch.hidden_size,
        graph=Graph(
            stages=(Stage(file="model.onnx", layers=arch.layers),),
            standard=None,
            activations=activations,
            embeddings=arch.sees,
            mrope=arch.mrope,
            adapters=arch.adapts,
            experts=arch.experts,
            experts_per_token=arch.experts_per_token,
        ),
        tokens=Tokens(bos=1, eos=(2,), bos_text="", eos_text="", reasoning_open=None, reasoning_close=None),
        tokenizer_file="tokenizer.json",
        chat_template_file="chat_template.jinja",
        files={},
        source=Source(kind=checkpoint.kind, name="tiny", sha256="", quantization=checkpoint.encoding),
        license="",
        quality=UNMEASURED,
        recipe="",
        edged_version="",
        built_at="",
    )


def relative_error(found: Any, expected: Any) -> float:
    """Largest difference over the largest expected value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def tokens_of(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(5, VOCAB_SIZE, count).tolist()
