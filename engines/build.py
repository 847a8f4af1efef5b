"""From a checkpoint to an artefact folder: read, quantize, write, measure, install.

Everything is written into a folder beside the destination and renamed at the end, after the gate:
a build that fails or dies leaves what was installed before as it was.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

import edged
from edged.engine.manifest import (
    FILE_NAME,
    UNMEASURED,
    Graph,
    Manifest,
    Precision,
    Source,
    Stage,
    Tokens,
    describe_files,
    is_engine_name,
    read_manifest,
    verify_files,
)
from edged.errors import ArtefactError, CheckpointError, InvalidInput

from . import gate
from .checkpoint import Checkpoint, checkpoint_sha256, open_checkpoint
from .checkpoint.text_file import one_line
from .graph.decoder import write_decoder
from .graph.integer_weights import IntegerWeights
from .graph.model_file import ModelFile
from .graph.onnxruntime import OnnxRuntimeDialect
from .quantize import kept
from .recipe import Recipe, verify_source

BUILDER = 1
"""Raised whenever the same recipe makes another artefact."""
DESTINATION = Path(__file__).resolve().parent.parent / "build" / "engines"
"""Where the daemon of this checkout looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build, from what, and where to."""

    recipe: Recipe
    source: Path
    destination: Path
    """The artefact folder itself; its name is the engine's."""
    chat_template: Path | None = None
    """A Jinja file to use instead of the checkpoint's own template."""


def default_destination(name: str) -> Path:
    """A folder of build/engines, named as engines may be named."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100].lower()
    return DESTINATION / (slug or "engine")


def build(order: Order, say: Callable[[str], object]) -> Manifest:
    """Build and install, or keep what is there when it is the same; says in one line which. Returns its manifest.

    Raises CheckpointError, QualityGateFailed, ArtefactError or InvalidInput; then nothing was installed.
    """
    target = order.destination
    if not is_engine_name(target.name):
        raise InvalidInput(f"{target.name!r} cannot name an engine: letters, digits, dot, dash and underscore")
    if target.exists() and not (target / FILE_NAME).is_file():
        raise InvalidInput(f"{target} exists and is not an engine: name another folder with --out")
    sha256 = checkpoint_sha256(order.source)
    if order.recipe.source is not None:
        verify_source(order.source, sha256, order.recipe.source)
    with _locked(target):
        if (present := _same(order, sha256)) is not None:
            say(f"{target.name}: up to date ({target})")
            return present
        with _beside(target) as folder:
            manifest = _write(order, sha256, folder)
            gate.require(manifest.quality, target.name)
            manifest.write(folder)
            read_manifest(folder)  # what the run time would refuse is not installed
            _install(folder, target)
    say(_summary(manifest))
    return manifest


def _summary(manifest: Manifest) -> str:
    quality = manifest.quality
    return (
        f"{manifest.name}: {manifest.precision.label}; {manifest.disk_bytes / 1e6:.0f} MB; "
        f"perplexity {quality.float_perplexity:.2f} -> {quality.perplexity:.2f} ({quality.perplexity_loss:+.1%})"
    )


def _write(order: Order, sha256: str, folder: Path) -> Manifest:
    """All files of the artefact; the manifest is returned, measured but not yet written."""
    checkpoint = open_checkpoint(order.source)
    recipe, vocabulary = order.recipe, checkpoint.vocabulary
    template = _chat_template(order, checkpoint)
    layers = checkpoint.architecture.layers
    with tqdm(
        total=2 * layers, desc=f"{order.destination.name}: quantizing", unit="layer", leave=False, disable=None
    ) as bar:
        _write_graph(checkpoint, recipe, folder, bar.update)
        (folder / "tokenizer.json").write_text(vocabulary.tokenizer, encoding="utf-8")
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
        manifest = _manifest(order, checkpoint, sha256, folder)
        bar.set_description(f"{order.destination.name}: measuring")
        text = gate.read_text(recipe.text, vocabulary.tokenizer, manifest.context_length)
        quality = gate.measure(checkpoint, folder, manifest, text, recipe.max_perplexity_loss, bar.update)
    return dataclasses.replace(manifest, quality=quality)


def _write_graph(checkpoint: Checkpoint, recipe: Recipe, folder: Path, progress: Callable[[int], object]) -> None:
    with ModelFile(folder / "model.onnx") as file:
        weights = IntegerWeights(file, recipe.format)
        positions = min(checkpoint.architecture.context_length, recipe.max_context)
        dialect = OnnxRuntimeDialect(checkpoint, file, weights, positions)
        write_decoder(checkpoint.architecture, dialect, progress)
        file.save(checkpoint.architecture.model_type)


def _manifest(order: Order, checkpoint: Checkpoint, sha256: str, folder: Path) -> Manifest:
    arch, vocabulary, recipe = checkpoint.architecture, checkpoint.vocabulary, order.recipe
    return Manifest(
        name=order.destination.name,
        title=recipe.title or checkpoint.title,
        model_type=arch.model_type,
        parameters=checkpoint.parameters,
        context_length=min(arch.context_length, recipe.max_context),
        vocab_size=arch.vocab_size,
        layers=arch.layers,
        kv_heads=arch.kv_heads,
        head_dim=arch.head_dim,
        precision=_precision(checkpoint, recipe),
        hidden_size=arch.hidden_size,
        graph=Graph(
            stages=(Stage(file="model.onnx", layers=arch.layers),), standard=None, activations="float32", sees=False
        ),
        tokens=Tokens(
            bos=vocabulary.bos,
            eos=vocabulary.eos,
            bos_text=vocabulary.bos_text,
            eos_text=vocabulary.eos_text,
            reasoning_open="<think>" if vocabulary.has_reasoning else None,
            reasoning_close="</think>" if vocabulary.has_reasoning else None,
        ),
        tokenizer_file="tokenizer.json",
        chat_template_file="chat_template.jinja",
        files=describe_files(folder),
        source=Source(
            kind=checkpoint.kind,
            name=one_line(order.source.resolve().name),
            sha256=sha256,
            quantization=checkpoint.encoding,
        ),
        license=checkpoint.license,
        quality=UNMEASURED,
        recipe=_recipe_mark(order),
        edged_version=edged.__version__,
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _precision(checkpoint: Checkpoint, recipe: Recipe) -> Precision:
    linear = recipe.format.linear
    matrices = (tensor for name, tensor in checkpoint.tensors.items() if name.startswith("layers."))
    encodings = sorted({tensor.encoding for tensor in matrices if kept(tensor, linear)})
    share = f" ({', '.join(encodings)} blocks kept)" if encodings else f" in blocks of {linear.block_size}"
    head, embedding = recipe.format.head.bits, recipe.format.embedding.bits
    tables = f"INT{head} head and embedding" if head == embedding else f"INT{head} head, INT{embedding} embedding"
    return Precision(
        linear=",".join(encodings).lower() or f"int{linear.bits}",
        block_size=linear.block_size,
        head=f"int{head}",
        embedding=f"int{embedding}",
        label=f"INT{linear.bits}{share}, {tables}",
    )


def _chat_template(order: Order, checkpoint: Checkpoint) -> str:
    if order.chat_template is not None:
        try:
            return order.chat_template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidInput(f"{order.chat_template}: cannot be read as UTF-8 text") from exc
    if not checkpoint.vocabulary.chat_template.strip():
        raise CheckpointError(f"{order.source}: no chat template in the checkpoint: name one with --chat-template FILE")
    return checkpoint.vocabulary.chat_template


def _recipe_mark(order: Order) -> str:
    """What must be equal for an artefact to be kept, besides the checkpoint's hash."""
    return f"{order.recipe.name} {order.recipe.digest} builder {BUILDER}"


def _same(order: Order, sha256: str) -> Manifest | None:
    """The manifest of what is installed, if building again would give the same and it is whole."""
    try:
        manifest = read_manifest(order.destination)
        if manifest.source.sha256 != sha256 or manifest.recipe != _recipe_mark(order) or order.chat_template:
            return None
        verify_files(order.destination, manifest)
    except ArtefactError:
        return None
    return manifest


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """One build in a folder of engines at a time; the second waits, and may then find its work done."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
    except OSError as exc:
        raise InvalidInput(f"{target.parent}: cannot be written: {exc.strerror}") from exc
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder on the same file system that is gone afterwards, whatever happens; so are those of killed builds."""
    prefix = f".{target.name}.building-"
    for replaced in target.parent.glob(f"{prefix}*-old"):
        if not target.exists():  # killed between the two renames of _install
            replaced.rename(target)
    for left in target.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(folder: Path, target: Path) -> None:
    """Put the finished folder in its place; an engine that runs from the old one keeps its open files."""
    if target.exists():
        target.rename(folder.with_name(f"{folder.name}-old"))
    folder.rename(target)
    shutil.rmtree(folder.with_name(f"{folder.name}-old"), ignore_errors=True)
