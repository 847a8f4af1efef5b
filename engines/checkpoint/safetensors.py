"""Read a Hugging Face folder: config.json, *.safetensors, tokenizer.json, chat template.

Format: 8 bytes of header length, a JSON header, the data. Read here rather than by the `safetensors` package
because that maps the file and cannot give numpy a bfloat16.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from edged.errors import CheckpointError
from engines.architecture import Architecture, check_sizes, check_tensors, require_supported
from engines.rope import rope_from
from engines.tensor import Tensor

from .folder_vocabulary import read_vocabulary
from .model import Checkpoint, main_encoding
from .names import HUGGING_FACE
from .text_file import one_line, read_bytes, read_json

_ENCODINGS = {"F32": 4, "F16": 2, "BF16": 2}
_MAX_HEADER_BYTES = 100 * 1024 * 1024


def read_folder(folder: Path) -> Checkpoint:
    """Raises CheckpointError in one line for whatever is wrong with the folder."""
    config = read_json(folder / "config.json")
    require_supported(str(config.get("model_type")))
    tensors = _canonical(_read_tensors(folder), tied=config.get("tie_word_embeddings") is True)
    architecture = _architecture(config)
    check_sizes(architecture)
    check_tensors(architecture, tensors)
    return Checkpoint(
        kind="safetensors",
        path=folder,
        title=one_line(folder.resolve().name),
        license=_license(folder),
        encoding=main_encoding(tensors.values()),
        architecture=architecture,
        tensors=tensors,
        vocabulary=read_vocabulary(folder, config, architecture.vocab_size),
    )


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in _weight_files(folder):
        for name, tensor in _read_header(file).items():
            if name in tensors:
                raise CheckpointError(f"{file.name}: tensor {name[:80]} is also in {tensors[name].path.name}")
            tensors[name] = tensor
    return tensors


def _weight_files(folder: Path) -> list[Path]:
    """As transformers chooses: one file, else those of the index. Mistral adds a copy in a layout of its own."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder}: no *.safetensors in the folder")
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single in files:
        return [single]
    if not index.is_file():
        return files
    weight_map = read_json(index).get("weight_map")
    named = {str(name) for name in weight_map.values()} if isinstance(weight_map, dict) else set()
    if missing := sorted(named - {file.name for file in files}):
        raise CheckpointError(f"{folder}: {missing[0][:80]} is missing ({index.name} names it)")
    return [file for file in files if file.name in named]


def _read_header(path: Path) -> dict[str, Tensor]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
            raise CheckpointError(f"{path.name}: not a safetensors file: its header does not fit in it")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as exc:
            raise CheckpointError(f"{path.name}: not a safetensors file: its header is not valid JSON") from exc
    if not isinstance(header, dict):
        raise CheckpointError(f"{path.name}: not a safetensors file: its header is not an object")
    header.pop("__metadata__", None)
    return {name: _tensor(path, name, entry, 8 + length, size) for name, entry in header.items()}


def _tensor(path: Path, name: str, entry: object, start: int, size: int) -> Tensor:
    """One entry: {"dtype": "BF16", "shape": [...], "data_offsets": [begin, end]}."""
    match entry:
        case {"dtype": str(encoding), "shape": list(shape), "data_offsets": [int(begin), int(end)]} if all(
            type(length) is int and 0 < length < 2**40 for length in shape
        ):
            pass
        case _:
            raise CheckpointError(f"{path.name}: tensor {name[:80]} is not described as the format wants it")
    if encoding not in _ENCODINGS:
        raise CheckpointError(
            f"{path.name}: tensor {name[:80]} is {encoding[:20]}; supported are {', '.join(_ENCODINGS)}"
        )
    if not 0 <= begin <= end or end - begin != math.prod(shape) * _ENCODINGS[encoding] or start + end > size:
        raise CheckpointError(f"{path.name}: tensor {name[:80]} lies outside the file (truncated download?)")
    return Tensor(name=name, path=path, offset=start + begin, shape=tuple(shape), encoding=encoding)


def _canonical(tensors: Mapping[str, Tensor], *, tied: bool) -> dict[str, Tensor]:
    named = {}
    for name, tensor in tensors.items():
        if name.endswith("rotary_emb.inv_freq") or (tied and name == "lm_head.weight"):
            continue  # computed from the configuration; a copy of the embedding table
        named[HUGGING_FACE.canonical(name)] = tensor
    return named


def _architecture(config: Mapping[str, object]) -> Architecture:
    activation = config.get("hidden_act", "silu")
    if activation != "silu":
        raise CheckpointError(f"config.json: hidden_act {str(activation)[:40]!r} is not supported, only silu")
    hidden, heads = _integer(config, "hidden_size"), _integer(config, "num_attention_heads")
    head_dim = _integer(config, "head_dim", hidden // heads)
    context = _integer(config, "max_position_embeddings")
    layers = _integer(config, "num_hidden_layers")
    # transformers 5 writes rope_parameters; earlier versions rope_scaling beside rope_theta.
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise CheckpointError("config.json: rope_parameters must be an object")
    if _number({**config, **rope}, "partial_rotary_factor", 1.0) != 1:
        raise CheckpointError("config.json: partial_rotary_factor is not supported: whole heads must turn")
    return Architecture(
        model_type=str(config["model_type"]),
        layers=layers,
        hidden_size=hidden,
        intermediate_size=_integer(config, "intermediate_size"),
        heads=heads,
        kv_heads=_integer(config, "num_key_value_heads", heads),
        head_dim=head_dim,
        vocab_size=_integer(config, "vocab_size"),
        context_length=context,
        norm_epsilon=_number(config, "rms_norm_eps"),
        rope=rope_from(
            rope,
            theta=_number({**config, **rope}, "rope_theta", 10000.0),
            rotary_dim=head_dim,
            context=context,
        ),
        tied=config.get("tie_word_embeddings") is True,
        windows=_windows(config, layers),
    )


def _windows(config: Mapping[str, object], layers: int) -> tuple[int, ...]:
    """Sliding windows: llama has none, mistral one for all layers, qwen asks for one and says for which layers."""
    if layers > 1024:
        raise CheckpointError(f"config.json: {layers} layers are not possible")
    is_qwen = config["model_type"] in ("qwen2", "qwen3")
    used = config.get("use_sliding_window") is True if is_qwen else config["model_type"] == "mistral"
    if not used or not config.get("sliding_window"):
        return (0,) * layers
    window = _integer(config, "sliding_window")
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and len(kinds) == layers:
        return tuple(window if kind == "sliding_attention" else 0 for kind in kinds)
    first = _integer(config, "max_window_layers", 28) if is_qwen else 0
    return tuple(window if layer >= first else 0 for layer in range(layers))


def _integer(config: Mapping[str, object], key: str, default: int | None = None) -> int:
    value = config.get(key)
    value = default if value is None else value
    if type(value) is not int or not 0 <= value < 2**40 or (key.startswith("num_") and value == 0):
        raise CheckpointError(f"config.json: {key} must be a positive whole number, not {str(value)[:40]}")
    return value


def _number(config: Mapping[str, object], key: str, default: float | None = None) -> float:
    value = config.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e18:
        raise CheckpointError(f"config.json: {key} must be a positive number, not {str(value)[:40]}")
    return float(value)


def _license(folder: Path) -> str:
    """`license:` in the front matter of the model card."""
    card = folder / "README.md"
    if card.is_file():
        text = read_bytes(card).decode(errors="replace")
        match = re.search(r"^license:\s*(\S{1,60})\s*$", text, re.MULTILINE)
        if match:
            return match.group(1)
    return "unknown"
