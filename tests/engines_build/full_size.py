"""`python -m tests.engines_build.full_size --layers 2 4 8 --dir DIR`: what building AutoGLM-Phone-9B takes.

Writes a folder with the published model's config.json values, tensor names, shapes and token ids, but so many
layers only and random weights, builds it as a user would, in a process of its own, and prints that process's peak
memory, the time and the artefact's size. Two or more numbers of layers give a line, and with it all 40.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from engines.gate import TEXTS

LAYERS = 40
SHARD_BYTES = 4 * 10**9
SPECIALS = {
    151329: "<|endoftext|>",
    151330: "[MASK]",
    151331: "[gMASK]",
    151332: "[sMASK]",
    151333: "<sop>",
    151334: "<eop>",
    151335: "<|system|>",
    151336: "<|user|>",
    151337: "<|assistant|>",
    151338: "<|observation|>",
    151339: "<|begin_of_image|>",
    151340: "<|end_of_image|>",
    151341: "<|begin_of_video|>",
    151342: "<|end_of_video|>",
    151343: "<|image|>",
    151344: "<|video|>",
}
ENDS = [151329, 151336, 151338]
TEMPLATE = """[gMASK]<sop>
{%- for message in messages %}<|{{ message.role }}|>
{% if message.content is string %}{{ message.content }}{% else %}
{%- for part in message.content %}
{%- if part.type == 'image' %}<|begin_of_image|><|image|><|end_of_image|>{% else %}{{ part.text }}{% endif %}
{%- endfor %}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>
{% endif %}"""
PREPROCESSOR = {
    "image_processor_type": "Glm4vImageProcessor",
    "size": {"shortest_edge": 12544, "longest_edge": 9633792},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
}
RECIPE = "[gate]\nmax_perplexity_loss = 1000.0\n"
"""Random weights predict nothing, so nothing can be lost."""
_POOL = 4_194_301
"""Random values that all tensors are cut from; a prime, so that no two rows of a matrix are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One build."""

    layers: int
    source_bytes: int
    largest_tensor: int
    """Values."""
    artefact_bytes: int
    peak_bytes: int
    """Most memory the process had resident, mapped files included."""
    anonymous_bytes: int
    """The same without pages of files, which the system takes back when others need the room."""
    seconds: float


def config(layers: int, *, narrow: bool = False) -> dict[str, Any]:
    """config.json of AutoGLM-Phone-9B; `narrow` keeps all ids and names but makes every width small."""
    text = {
        "model_type": "glm4v_text",
        "attention_bias": True,
        "attention_dropout": 0.0,
        "eos_token_id": ENDS,
        "pad_token_id": 151329,
        "hidden_act": "silu",
        "hidden_size": 128 if narrow else 4096,
        "initializer_range": 0.02,
        "intermediate_size": 192 if narrow else 13696,
        "max_position_embeddings": 65536,
        "num_attention_heads": 4 if narrow else 32,
        "num_hidden_layers": layers,
        "num_key_value_heads": 2,
        "partial_rotary_factor": 0.5,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3] if narrow else [8, 12, 12]},
        "use_cache": True,
        "vocab_size": 151552,
    }
    vision = {
        "model_type": "glm4v",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "depth": 2 if narrow else 24,
        "hidden_act": "silu",
        "hidden_size": 64 if narrow else 1536,
        "image_size": 336,
        "in_channels": 3,
        "intermediate_size": 96 if narrow else 13696,
        "num_heads": 4 if narrow else 12,
        "out_hidden_size": text["hidden_size"],
        "patch_size": 14,
        "rms_norm_eps": 1e-05,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    return {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        "dtype": "bfloat16",
        "image_start_token_id": 151339,
        "image_end_token_id": 151340,
        "video_start_token_id": 151341,
        "video_end_token_id": 151342,
        "image_token_id": 151343,
        "video_token_id": 151344,
        "tie_word_embeddings": False,
        "text_config": text,
        "vision_config": vision,
    }


def tensors(settings: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the published checkpoint, in its order."""
    text = settings["text_config"]
    hidden, inner, vocabulary = text["hidden_size"], text["intermediate_size"], text["vocab_size"]
    kv = hidden // text["num_attention_heads"] * text["num_key_value_heads"]
    yield "model.language_model.embed_tokens.weight", (vocabulary, hidden)
    for layer in range(text["num_hidden_layers"]):
        name = f"model.language_model.layers.{layer}"
        for norm in ("input", "post_attention", "post_self_attn", "post_mlp"):
            yield f"{name}.{norm}_layernorm.weight", (hidden,)
        for part, rows in (("q", hidden), ("k", kv), ("v", kv)):
            yield f"{name}.self_attn.{part}_proj.weight", (rows, hidden)
            yield f"{name}.self_attn.{part}_proj.bias", (rows,)
        yield f"{name}.self_attn.o_proj.weight", (hidden, hidden)
        yield f"{name}.mlp.gate_up_proj.weight", (2 * inner, hidden)
        yield f"{name}.mlp.down_proj.weight", (hidden, inner)
    yield "model.language_model.norm.weight", (hidden,)
    yield "lm_head.weight", (vocabulary, hidden)
    yield from _vision_tensors(settings["vision_config"])


def _vision_tensors(vision: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, output, inner = vision["hidden_size"], vision["out_hidden_size"], vision["intermediate_size"]
    patch, merge = vision["patch_size"], vision["spatial_merge_size"]
    yield "model.visual.patch_embed.proj.weight", (hidden, 3, vision["temporal_patch_size"], patch, patch)
    yield "model.visual.patch_embed.proj.bias", (hidden,)
    yield "model.visual.post_conv_layernorm.weight", (hidden,)
    yield "model.visual.embeddings.position_embedding.weight", ((vision["image_size"] // patch) ** 2, hidden)
    for block in range(vision["depth"]):
        name = f"model.visual.blocks.{block}"
        yield f"{name}.norm1.weight", (hidden,)
        yield f"{name}.norm2.weight", (hidden,)
        yield f"{name}.attn.qkv.weight", (3 * hidden, hidden)
        yield f"{name}.attn.proj.weight", (hidden, hidden)
        yield f"{name}.mlp.gate_proj.weight", (output, hidden)
        yield f"{name}.mlp.up_proj.weight", (output, hidden)
        yield f"{name}.mlp.down_proj.weight", (hidden, output)
    yield "model.visual.post_layernorm.weight", (hidden,)
    yield "model.visual.downsample.weight", (output, hidden, merge, merge)
    yield "model.visual.downsample.bias", (output,)
    yield "model.visual.merger.proj.weight", (output, output)
    yield "model.visual.merger.post_projection_norm.weight", (output,)
    yield "model.visual.merger.post_projection_norm.bias", (output,)
    yield "model.visual.merger.gate_proj.weight", (inner, output)
    yield "model.visual.merger.up_proj.weight", (inner, output)
    yield "model.visual.merger.down_proj.weight", (output, inner)


def write_folder(folder: Path, settings: Mapping[str, Any]) -> None:
    """The checkpoint, weights streamed to disk shard by shard."""
    folder.mkdir(parents=True)
    described = {
        "config.json": settings,
        "preprocessor_config.json": PREPROCESSOR,
        "generation_config.json": {"do_sample": True, "eos_token_id": ENDS, "pad_token_id": 151329},
        "tokenizer_config.json": {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
    }
    for name, document in described.items():
        (folder / name).write_text(json.dumps(document, indent=2), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    tokenizer(settings["text_config"]["vocab_size"]).save(str(folder / "tokenizer.json"))
    write_weights(folder, list(tensors(settings)))


def tokenizer(vocab_size: int) -> Tokenizer:
    """Byte-level BPE of the evaluation texts, filled up with tokens no text has; the special ones at their ids."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train([str(path) for path in sorted(TEXTS.glob("*.txt"))], trainer)
    document = json.loads(made.to_str())
    vocabulary = document["model"]["vocab"]
    vocabulary |= {f"<unused {number}>": number for number in range(len(vocabulary), min(SPECIALS))}
    made = Tokenizer.from_str(json.dumps(document))
    rest = range(max(SPECIALS) + 1, vocab_size)
    names = [*SPECIALS.values(), *(f"<|reserved {number}|>" for number in rest)]
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    assert made.token_to_id("<|image|>") == 151343 and made.get_vocab_size() == vocab_size
    return made


def write_weights(folder: Path, described: Sequence[tuple[str, tuple[int, ...]]]) -> None:
    """BF16 in shards of 4 GB with an index. Matrices keep the size of what passes through them; norms are near 1."""
    chance = np.random.default_rng(0)
    normal = _bfloat16(chance.standard_normal(_POOL, np.float32))
    shards: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    filled = 0
    for item in described:
        if filled and filled + 2 * math.prod(item[1]) > SHARD_BYTES:
            shards.append([])
            filled = 0
        shards[-1].append(item)
        filled += 2 * math.prod(item[1])
    names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    for name, items in zip(names, shards, strict=True):
        _write_shard(folder / name, items, normal, chance)
    index = {tensor: name for name, items in zip(names, shards, strict=True) for tensor, _ in items}
    size = sum(2 * math.prod(shape) for _, shape in described)
    document = {"metadata": {"total_size": size}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(document, indent=2), encoding="utf-8")


def _write_shard(
    path: Path, items: Sequence[tuple[str, tuple[int, ...]]], normal: np.ndarray[Any, Any], chance: np.random.Generator
) -> None:
    header, offset = {}, 0
    for name, shape in items:
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    described = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(described).to_bytes(8, "little") + described)
        for name, shape in items:
            count = math.prod(shape)
            if len(shape) == 1:
                middle, spread = (0.0, 0.1) if name.endswith("bias") else (1.0, 0.1)
                file.write(_bfloat16(chance.normal(middle, spread, count).astype(np.float32)).tobytes())
                continue
            spread = 1.0 if "embed_tokens" in name else math.prod(shape[1:]) ** -0.5
            pool = _bfloat16(_float32(normal) * np.float32(spread))
            start = int(chance.integers(_POOL))
            while count:
                piece = pool[start : start + count]
                file.write(piece.tobytes())
                count, start = count - len(piece), 0


def _bfloat16(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The upper halves of float32 numbers, which is BF16 rounded towards zero."""
    return (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def _float32(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (values.astype(np.uint32) << 16).view(np.float32)


def measured_build(folder: Path, out: Path, recipe: Path) -> Measured:
    """`python -m engines build` in a process of its own. Raises SystemExit with what it said when it fails."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "engines", "build", str(folder), "--out", str(out), "--recipe", str(recipe)]
    peak = anonymous = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None:
            found = dict(re.findall(r"(\w+):\s+(\d+) kB", _status(process.pid)))
            peak = max(peak, int(found.get("VmHWM", 0)) * 1024)
            anonymous = max(anonymous, int(found.get("RssAnon", 0)) * 1024)
            time.sleep(0.02)
        said = process.communicate()[0]
    if process.returncode:
        sys.exit(f"the build failed ({process.returncode}): {said.strip()[-500:]}")
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Measured(
        layers=settings["text_config"]["num_hidden_layers"],
        source_bytes=sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        largest_tensor=max(math.prod(shape) for _, shape in tensors(settings)),
        artefact_bytes=sum(path.stat().st_size for path in out.iterdir()),
        peak_bytes=peak,
        anonymous_bytes=anonymous,
        seconds=time.perf_counter() - begun,
    )


def _status(process: int) -> str:
    try:
        return Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:  # it has just ended
        return ""


def line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """a and b of the least-squares line a + b * x."""
    slope, start = np.polyfit([x for x, _ in points], [y for _, y in points], 1)
    return float(start), float(slope)


def report(results: Sequence[Measured]) -> str:
    """A Markdown table, and what follows for all layers."""
    lines = [
        "| layers | checkpoint GB | artefact GB | peak GB | of it not files | seconds |",
        "|---|---|---|---|---|---|",
        *(
            f"| {each.layers} | {each.source_bytes / 1e9:.2f} | {each.artefact_bytes / 1e9:.2f} "
            f"| {each.peak_bytes / 1e9:.2f} | {each.anonymous_bytes / 1e9:.2f} | {each.seconds:.0f} |"
            for each in results
        ),
        f"largest tensor: {results[0].largest_tensor * 4 / 1e9:.2f} GB as float32",
    ]
    if len(results) > 1:
        for name, values in (
            ("peak", [(each.layers, each.peak_bytes / 1e9) for each in results]),
            ("not files", [(each.layers, each.anonymous_bytes / 1e9) for each in results]),
            ("artefact", [(each.layers, each.artefact_bytes / 1e9) for each in results]),
        ):
            start, slope = line(values)
            whole = start + slope * LAYERS
            lines.append(f"{name}: {start:.2f} + {slope:.3f} * layers GB; {LAYERS} layers: {whole:.2f} GB")
    return "\n".join(lines)


def main() -> None:
    """Generate, build, measure, delete."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines_build.full_size", description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 4, 8], help="of the 40 (2 4 8)")
    parser.add_argument("--dir", type=Path, required=True, help="a new folder with room for checkpoint and artefact")
    parser.add_argument("--recipe", type=Path, help="how, with a gate that random weights pass")
    parser.add_argument("--narrow", action="store_true", help="small widths: only to try this program")
    options = parser.parse_args()
    options.dir.mkdir(parents=True)
    recipe = options.recipe or options.dir / "random.toml"
    if options.recipe is None:
        recipe.write_text(RECIPE, encoding="utf-8")
    results = []
    for layers in options.layers:
        folder, out = options.dir / f"glm4v-{layers}", options.dir / f"engine-{layers}"
        write_folder(folder, config(layers, narrow=options.narrow))
        results.append(measured_build(folder, out, recipe))
        print(f"{layers} layers: {results[-1]}", flush=True)
        shutil.rmtree(folder)
        shutil.rmtree(out)
    print(report(results))


if __name__ == "__main__":
    main()
