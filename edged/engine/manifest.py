"""manifest.json: all that the run time knows about an artefact before it opens the graph.

The build writes these dataclasses, the run time reads them back. Reading is strict: a manifest may come
from anywhere, so every key must exist, have its type and its range, and nothing else may be there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shlex
import types
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from edged.engine.senses import Audio, Vision, check_audio, check_vision
from edged.engine.strict_json import refuse_constant, typed, unique_keys
from edged.errors import ArtefactError

FORMAT = 3
"""Raised whenever an older reader could misread the folder."""
FILE_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 1024 * 1024

_ENGINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TARGET = re.compile(r"sm[0-9]{2,3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How the weights are stored."""

    linear: str
    """Layout of the linear layers, e.g. "q4_1" or "int4"."""
    block_size: int
    """Weights that share a scale."""
    head: str
    embedding: str
    label: str
    """One line for people, e.g. "INT4 (Q4_1 blocks kept), INT8 head"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Consecutive layers in one graph, for one device."""

    file: str
    layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The computation of the text model."""

    stages: tuple[Stage, ...]
    """In ONNX Runtime's fused operators; one, unless the recipe splits the layers over several devices."""
    standard: str | None
    """File of the whole model in standard operators over the same weights, which `engines compile` reads."""
    activations: str
    """"float32" or "float16": hidden states, keys and values."""
    embeddings: bool = False
    """Pictures or recordings can enter: there is an input for embeddings, which stand for tokens below 0."""
    mrope: bool = False
    """Tokens stand in time, height and width: there is an input for such positions."""
    adapters: bool = False
    """Each layer adapts to what a token is part of: there is an input for `TokenType`."""
    experts: int = 0
    """Of each layer; 0 where a layer is no mixture of them."""
    experts_per_token: int = 0
    """How many of them the router chooses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One part of the model compiled by TensorRT for one kind of GPU."""

    file: str
    part: str
    """"text", "vision" or "audio"."""
    builder: str
    """Module and version that built it and alone can run it, e.g. "tensorrt_rtx 1.7.1.116"."""
    target: str
    """Compute capability, e.g. "sm89"."""
    capacity: int
    """Positions its key/value cache holds; 0 for vision and audio."""
    max_tokens: int
    """Most tokens it takes at once. Of vision, most patches; where it reads whole pictures, most along a side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens with a meaning of their own."""

    bos: int | None
    eos: tuple[int, ...]
    """Any of them ends an answer."""
    bos_text: str
    eos_text: str
    """What chat templates know as bos_token and eos_token; empty where there is none."""
    reasoning_open: str | None
    reasoning_close: str | None
    """Marks around the model's thinking, e.g. "<think>" and "</think>"; both or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of the folder."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The checkpoint it was built from."""

    kind: str
    """"gguf" or "safetensors"."""
    name: str
    sha256: str
    quantization: str
    """Of the checkpoint, e.g. "Q4_1" or "BF16"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What quantization cost, measured at build time against the checkpoint's own weights."""

    text: str
    """Name of the evaluation text."""
    tokens: int
    float_perplexity: float
    perplexity: float
    perplexity_loss: float
    """perplexity / float_perplexity - 1."""
    top1_agreement: float
    """Share of positions with the same most likely token, 0 to 1."""
    kl_divergence: float
    """Mean over positions, in nats."""
    max_perplexity_loss: float
    """What the recipe allowed."""


UNMEASURED = Quality(
    text="",
    tokens=0,
    float_perplexity=0.0,
    perplexity=0.0,
    perplexity_loss=0.0,
    top1_agreement=0.0,
    kl_divergence=0.0,
    max_perplexity_loss=0.0,
)
"""Before the gate, and of weights that stand for no checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The schema of manifest.json."""

    format: int = FORMAT
    name: str
    title: str
    model_type: str
    parameters: int
    active_parameters: int = 0
    """Those that a token passes, where experts take turns; 0: all of them."""
    context_length: int
    """Tokens the model was trained for."""
    vocab_size: int
    layers: int
    kv_heads: int
    head_dim: int
    hidden_size: int
    precision: Precision
    graph: Graph
    plans: tuple[Plan, ...] = ()
    vision: Vision | None = None
    """None: it sees no pictures."""
    audio: Audio | None = None
    """None: it hears no recordings."""
    tokens: Tokens
    tokenizer_file: str
    chat_template_file: str
    files: Mapping[str, FileEntry]
    """Every file of the folder but this one, by relative name with forward slashes."""
    source: Source
    license: str
    """SPDX expression of the weights."""
    quality: Quality
    recipe: str
    edged_version: str
    built_at: str
    """UTC, ISO 8601."""

    @property
    def built_at_seconds(self) -> int:
        """The same as Unix time; 0 where it is no time."""
        try:
            return int(datetime.fromisoformat(self.built_at).timestamp())
        except (ValueError, OverflowError):
            return 0

    def write(self, folder: Path) -> None:
        """Write manifest.json into the folder."""
        text = json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")

    @property
    def disk_bytes(self) -> int:
        """Size of the artefact without its manifest."""
        return sum(entry.bytes for entry in self.files.values())

    @property
    def thinks(self) -> bool:
        """It marks what it thinks before it answers, if it is asked to."""
        return self.tokens.reasoning_open is not None

    @property
    def kv_bytes_per_token(self) -> int:
        """Memory of one token's keys and values, both, in every layer."""
        size = 2 if self.graph.activations == "float16" else 4
        return 2 * size * self.layers * self.kv_heads * self.head_dim


def describe_files(folder: Path) -> dict[str, FileEntry]:
    """Name, hash and size of every file in the folder but its manifest."""
    return {name: describe_file(folder / name) for name in sorted(file_names(folder))}


def describe_file(path: Path) -> FileEntry:
    """Hash and size of one file."""
    return FileEntry(sha256=_sha256(path), bytes=path.stat().st_size)


def file_names(folder: Path) -> set[str]:
    """Relative names of the files in a folder, without its manifest."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {FILE_NAME}


def read_manifest(folder: Path, *, plans_too: bool = True) -> Manifest:
    """The manifest of an artefact folder. Raises ArtefactError naming the file and the key at fault.

    Checks names and sizes of the files too, which costs nothing; `verify_files` reads them.
    plans_too: whether the files of plans have to be right, which whoever replaces them does not need.
    """
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ArtefactError(f"{path}: larger than {MAX_MANIFEST_BYTES} bytes")
        document = json.loads(path.read_bytes(), object_pairs_hook=unique_keys, parse_constant=refuse_constant)
    except OSError as exc:
        raise ArtefactError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise ArtefactError(f"{path}: not valid JSON: {str(exc)[:200]}") from exc
    if not isinstance(document, dict):
        raise ArtefactError(f"{path}: must be an object")
    if document.get("format") != FORMAT:
        raise ArtefactError(f"{path}: format {document.get('format')!r}, this edged reads {FORMAT}: build it again")
    manifest = typed(Manifest, document, f"{path}: ")
    assert isinstance(manifest, Manifest)
    _check_values(manifest, path)
    _check_sizes(manifest, folder, plans_too=plans_too)
    return manifest


def verify_files(folder: Path, manifest: Manifest, *, plans_too: bool = True) -> None:
    """Read every file and compare its SHA-256. Raises ArtefactError naming the first file that differs."""
    _check_sizes(manifest, folder, plans_too=plans_too)
    for name, entry in _entries(manifest, plans_too=plans_too).items():
        try:
            found = _sha256(folder / name)
        except OSError as exc:
            raise ArtefactError(f"{folder / name}: cannot be read: {exc.strerror}") from exc
        if found != entry.sha256:
            remedy = _remedy(folder, manifest, name)
            raise ArtefactError(f"{folder / name}: SHA-256 differs from the manifest: damaged or tampered with{remedy}")


def is_engine_name(name: str) -> bool:
    """Whether this can name an engine and therefore its folder."""
    return _ENGINE_NAME.fullmatch(name) is not None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_values(manifest: Manifest, path: Path) -> None:
    """The ranges that the run time relies on."""

    def require(key: str, holds: bool) -> None:
        if not holds:
            raise ArtefactError(f"{path}: {key} is out of range or names no file of the folder")

    require("name", is_engine_name(manifest.name))
    for key, limit in _COUNTS.items():
        require(key, 0 < getattr(manifest, key) <= limit)
    tokens = manifest.tokens
    require("tokens.eos", all(0 <= token < manifest.vocab_size for token in tokens.eos))
    require("tokens.bos", tokens.bos is None or 0 <= tokens.bos < manifest.vocab_size)
    require("tokens.reasoning_close", bool(tokens.reasoning_open) == bool(tokens.reasoning_close))
    for name, entry in manifest.files.items():
        require(f"files.{name[:60]!a}", _is_inside(name))
        require(f"files.{name[:60]}.sha256", _SHA256.fullmatch(entry.sha256) is not None)
    graph = manifest.graph
    require("graph.stages", bool(graph.stages) and all(stage.layers > 0 for stage in graph.stages))
    require("graph.stages", sum(stage.layers for stage in graph.stages) == manifest.layers)
    require("graph.stages", all(stage.file in manifest.files for stage in graph.stages))
    require("graph.standard", graph.standard is None or graph.standard in manifest.files)
    require("graph.activations", graph.activations in ("float32", "float16"))
    for plan in manifest.plans:
        require("plans.file", plan.file in manifest.files and plan.file.endswith(".plan"))
        require("plans.part", plan.part in ("text", "vision", "audio"))
        require("plans.target", _TARGET.fullmatch(plan.target) is not None)
        require("plans.builder", plan.builder.isprintable() and len(plan.builder) <= 100)
        require("plans.capacity", 0 <= plan.capacity <= 2**30 and 0 < plan.max_tokens <= 2**30)
    require("active_parameters", 0 <= manifest.active_parameters <= manifest.parameters)
    require("graph.experts", 0 <= graph.experts <= _MAX_EXPERTS)
    require("graph.experts_per_token", min(graph.experts, 1) <= graph.experts_per_token <= graph.experts)
    require("graph.embeddings", graph.embeddings or (manifest.vision is None and manifest.audio is None))
    if manifest.vision is not None:
        check_vision(manifest.vision, manifest.files, manifest.vocab_size, require)
    if manifest.audio is not None:
        check_audio(manifest.audio, manifest.files, manifest.vocab_size, require)
        taken = manifest.vision.image_token if manifest.vision else None
        require("audio.audio_token", manifest.audio.audio_token != taken)
    require("tokenizer_file", manifest.tokenizer_file in manifest.files)
    require("chat_template_file", manifest.chat_template_file in manifest.files)


_MAX_EXPERTS = 4096
_COUNTS: Mapping[str, int] = types.MappingProxyType(
    {
        "parameters": 10**15,
        "context_length": 2**30,
        "vocab_size": 2**24,
        "layers": 1024,
        "kv_heads": 4096,
        "head_dim": 4096,
        "hidden_size": 2**17,
    }
)


def _is_inside(name: str) -> bool:
    """Whether a relative name stays in its folder."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\\" not in name and name.isprintable()


def _check_sizes(manifest: Manifest, folder: Path, *, plans_too: bool) -> None:
    for name, entry in _entries(manifest, plans_too=plans_too).items():
        path = folder / name
        remedy = _remedy(folder, manifest, name)
        if not path.is_file():
            raise ArtefactError(f"{path}: missing{remedy}")
        if (size := path.stat().st_size) != entry.bytes:
            raise ArtefactError(f"{path}: {size} bytes, the manifest says {entry.bytes}: torn or tampered with{remedy}")


def _entries(manifest: Manifest, *, plans_too: bool) -> dict[str, FileEntry]:
    plans = set() if plans_too else {plan.file for plan in manifest.plans}
    return {name: entry for name, entry in manifest.files.items() if name not in plans}


def _remedy(folder: Path, manifest: Manifest, name: str) -> str:
    """The command that makes a plan anew; nothing for other files."""
    targets = [plan.target for plan in manifest.plans if plan.file == name]
    return f": python -m engines compile {shlex.quote(str(folder))} --target {targets[0]}" if targets else ""
