"""A folder as GLM-4.1V's authors publish it, with a model of a few hundred kilobytes in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image as Pillow
from tiny_checkpoints import tiny_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIALS = (
    "<|endoftext|>",
    "[gMASK]",
    "<sop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|image|>",
    "<think>",
    "</think>",
)
FIRST = 256
IMAGE, IMAGE_START, IMAGE_END = (FIRST + SPECIALS.index(name) for name in ("<|image|>", *SPECIALS[7:9]))
ENDS = [FIRST, FIRST + SPECIALS.index("<|user|>"), FIRST + SPECIALS.index("<|observation|>")]
CONTEXT = 512
TEMPLATE = """[gMASK]<sop>
{%- for msg in messages %}
    {%- if msg.role == 'system' %}
<|system|>
{{ msg.content }}
    {%- elif msg.role == 'user' %}
<|user|>{{ '\\n' }}
        {%- if msg.content is string %}
{{ msg.content }}
        {%- else %}
            {%- for item in msg.content %}
                {%- if item.type == 'image' or 'image' in item %}
<|begin_of_image|><|image|><|end_of_image|>
                {%- elif item.type == 'text' %}
{{ item.text }}
                {%- endif %}
            {%- endfor %}
        {%- endif %}
    {%- elif msg.role == 'assistant' %}
<|assistant|>
{{ msg.content.split('</think>')[-1] }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
<|assistant|>
{% endif %}"""
"""Of the published one's shape: pictures and texts are parts of a list, thinking is dropped from the history."""


def tiny_glm4v(seed: int = 0, **overrides: Any) -> transformers.PreTrainedModel:
    """Glm4vForConditionalGeneration with random weights and the special tokens of this file."""
    settings = {
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "tie_word_embeddings": False,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": ENDS,
        "pad_token_id": FIRST,
    }
    model = tiny_model("glm4v", seed, **settings | overrides)
    with torch.no_grad():  # Conv kernels by all their inputs, not by the three channels that tiny_model counts
        for name in ("patch_embed.proj", "downsample"):
            weight = model.model.visual.get_submodule(name).weight
            weight.normal_(0, 1.5 / weight[0].numel() ** 0.5)
    model.config.image_token_id = IMAGE
    model.config.image_start_token_id, model.config.image_end_token_id = IMAGE_START, IMAGE_END
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = ENDS, FIRST
    return model


def save_glm4v(model: transformers.PreTrainedModel, folder: Path, **preprocessor: Any) -> Path:
    """With tokenizer, template and preprocessor_config.json."""
    model.save_pretrained(folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({text: index for index, text in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIALS])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    settings = {
        "size": {"shortest_edge": 28 * 28 * 2, "longest_edge": 28 * 28 * 2 * 40},
        "do_rescale": True,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Glm4vImageProcessor",
    } | preprocessor
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def photo(height: int, width: int, seed: int = 0) -> Pillow.Image:
    """Coloured blotches."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (max(1, height // 9), max(1, width // 9), 3), dtype=np.uint8)
    return Pillow.fromarray(pixels).resize((width, height))
