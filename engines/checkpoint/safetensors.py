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
from engines.architecture import Architecture, check_sizes, check_tensors
from engines.tensor import Tensor

from .config import read_architecture, text_config
from .folder_vocabulary import read_vocabulary
from .model import Checkpoint, main_encoding
from .names import audio_name, hugging_face, vision_name
from .packed import joined, read_packing
from .rotary_order import half_split
from .text_file import one_line, read_bytes, read_json

_ENCODINGS = {"F32": 4, "F16": 2, "BF16": 2}
_PACKED = {"gptq": {"I32": 4}, "awq": {"I32": 4}, "edged": {"U8": 1}}
"""What else a folder that is quantized already has, by the method."""
_MAX_HEADER_BYTES = 100 * 1024 * 1024


def read_folder(folder: Path) -> Checkpoint:
    """Raises CheckpointError in one line for whatever is wrong with the folder."""
    config = text_config(read_json(folder / "config.json"))
    packing = read_packing(config)
    stored = joined(_read_tensors(folder, _ENCODINGS | _PACKED[packing.method] if packing else _ENCODINGS), packing)
    architecture = read_architecture(config)
    check_sizes(architecture)
    tensors, vision, audio = _canonical(stored, architecture)
    check_tensors(architecture, tensors)
    if architecture.model_type == "glm4v":
        tensors = half_split(tensors, architecture)
    return Checkpoint(
        kind="safetensors",
        path=folder,
        title=one_line(folder.resolve().name),
        license=_license(folder),
        encoding=main_encoding(tensors.values()),
        architecture=architecture,
        tensors=tensors,
        vocabulary=read_vocabulary(folder, config, architecture.vocab_size),
        vision_tensors=vision,
        audio_tensors=audio,
    )


def _read_tensors(folder: Path, encodings: Mapping[str, int]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in _weight_files(folder):
        for name, tensor in _read_header(file, encodings).items():
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


def _read_header(path: Path, encodings: Mapping[str, int]) -> dict[str, Tensor]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
                raise CheckpointError(f"{path.name}: not a safetensors file: its header does not fit in it")
            header = json.loads(file.read(length))
    except OSError as exc:
        raise CheckpointError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise CheckpointError(f"{path.name}: not a safetensors file: its header is not valid JSON") from exc
    if not isinstance(header, dict):
        raise CheckpointError(f"{path.name}: not a safetensors file: its header is not an object")
    header.pop("__metadata__", None)
    return {name: _tensor(path, name, entry, 8 + length, size, encodings) for name, entry in header.items()}


def _tensor(path: Path, name: str, entry: object, start: int, size: int, encodings: Mapping[str, int]) -> Tensor:
    """One entry: {"dtype": "BF16", "shape": [...], "data_offsets": [begin, end]}."""
    match entry:
        case {"dtype": str(encoding), "shape": list(shape), "data_offsets": [int(begin), int(end)]} if all(
            type(length) is int and 0 < length < 2**40 for length in shape
        ):
            pass
        case _:
            raise CheckpointError(f"{path.name}: tensor {name[:80]} is not described as the format wants it")
    if encoding not in encodings:
        raise CheckpointError(
            f"{path.name}: tensor {name[:80]} is {encoding[:20]}; supported are {', '.join(encodings)}"
        )
    if not 0 <= begin <= end or end - begin != math.prod(shape) * encodings[encoding] or start + end > size:
        raise CheckpointError(f"{path.name}: tensor {name[:80]} lies outside the file (truncated download?)")
    return Tensor(name=name, path=path, offset=start + begin, shape=tuple(shape), encoding=encoding)


def _canonical(
    stored: Mapping[str, Tensor], architecture: Architecture
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """`Checkpoint.tensors`, but for the order of rows, `vision_tensors` and `audio_tensors`."""
    model_type = architecture.model_type
    naming = hugging_face(model_type)
    text: dict[str, Tensor] = {}
    vision: dict[str, Tensor] = {}
    audio: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        ours = naming.canonical(name)
        if (inner := vision_name(model_type, name)) is not None:
            vision[inner] = tensor
        elif (inner := audio_name(model_type, name)) is not None:
            audio[inner] = tensor
        elif name.endswith("rotary_emb.inv_freq") or (architecture.tied and ours == "head.weight"):
            continue  # computed from the configuration; a copy of the embedding table
        elif ours.endswith(".gate_up.weight") and tensor.shape:
            prefix, half = ours.removesuffix("gate_up.weight"), tensor.rows // 2
            text[f"{prefix}gate.weight"] = tensor.part(0, half)
            text[f"{prefix}up.weight"] = tensor.part(half, tensor.rows)
        elif model_type.startswith("gemma") and ours.endswith("norm.weight"):
            text[ours] = tensor.plus(1.0)
        else:
            text[ours] = tensor
    return text, vision, audio


def _license(folder: Path) -> str:
    """`license:` in the front matter of the model card."""
    card = folder / "README.md"
    if card.is_file():
        text = read_bytes(card).decode(errors="replace")
        match = re.search(r"^license:\s*(\S{1,60})\s*$", text, re.MULTILINE)
        if match:
            return match.group(1)
    return "unknown"
