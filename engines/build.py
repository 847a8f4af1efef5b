"""From a checkpoint to an artefact folder: read, quantize, write, measure, install.

Everything is written into a folder beside the destination and renamed at the end, after the gate:
a build that fails or dies leaves what was installed before as it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
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
    Source,
    Stage,
    Tokens,
    describe_files,
    is_engine_name,
    read_manifest,
    verify_files,
)
from edged.errors import ArtefactError, CheckpointError, InvalidInput, NotFound, nearest

from . import gate
from .architecture import Architecture
from .calibrate import prepared
from .checkpoint import Checkpoint, checkpoint_sha256, open_checkpoint
from .checkpoint.text_file import one_line
from .graph.decoder import write_decoder
from .graph.integer_weights import Bits, IntegerWeights, require_matches
from .graph.model_file import ModelFile
from .graph.onnxruntime import OnnxRuntimeDialect
from .graph.stages import write_stages
from .graph.standard import write_standard
from .lock import locked
from .precision import precision_of
from .pulled import origin_of
from .recipe import Recipe, load_recipe
from .senses import with_senses, write_senses

BUILDER = 3
"""Raised whenever the same recipe makes another artefact."""
TEMPLATE_MARK = " template "
"""In the recipe's mark of what was built with a chat template of the user's."""
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


def artefact_folder(source: str) -> Path:
    """The folder of an engine named by its path, or by its name in build/engines. Raises NotFound."""
    path = Path(source).expanduser()
    if "/" not in source and not path.exists():
        path = DESTINATION / source
    if not path.is_dir():
        built = [folder.name for folder in DESTINATION.glob("*") if (folder / FILE_NAME).is_file()]
        raise NotFound(f"{source[:100]!r}: no such engine or folder{nearest(path.name, built)}")
    return path


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
        order.recipe.source.verify(sha256)
    with locked(target, say):
        if (present := _same(order, sha256)) is not None:
            say(f"{target.name}: up to date ({target})")
            return present
        with _beside(target) as folder:
            manifest = _write(order, sha256, folder)
            gate.require(manifest.quality, target.name)
            manifest.write(folder)
            read_manifest(folder)  # what the run time would refuse is not installed
            _install(folder, target)
    say(_summary(manifest) + _remark(manifest, order.recipe))
    return manifest


def _remark(manifest: Manifest, recipe: Recipe) -> str:
    """Where the recipe asks for more than was done."""
    method = recipe.calibration.method
    if not manifest.graph.experts or method == "round" or "kept" in manifest.precision.label:
        return ""
    return f"; a model of experts is rounded, not calibrated by {method.upper()}"


def _summary(manifest: Manifest) -> str:
    quality = manifest.quality
    return (
        f"{manifest.name}: {manifest.precision.label}; {manifest.disk_bytes / 1e6:.0f} MB; "
        f"perplexity {quality.float_perplexity:.2f} -> {quality.perplexity:.2f} ({quality.perplexity_loss:+.1%})"
    )


def _write(order: Order, sha256: str, folder: Path) -> Manifest:
    """All files of the artefact; the manifest is returned, measured but not yet written."""
    checkpoint = _with_chat_template(order, open_checkpoint(order.source))
    recipe, vocabulary = order.recipe, checkpoint.vocabulary
    passes = recipe.calibration.passes(checkpoint.architecture)
    steps = (passes + 2) * checkpoint.architecture.layers  # the two: written, measured
    with tqdm(
        total=steps, desc=f"{order.destination.name}: quantizing", unit="layer", leave=False, disable=None
    ) as bar:
        written = _write_graph(checkpoint, recipe, folder, bar.update)
        (folder / "tokenizer.json").write_text(vocabulary.tokenizer, encoding="utf-8")
        (folder / "chat_template.jinja").write_text(vocabulary.chat_template, encoding="utf-8")
        graph = _graph(checkpoint.architecture, recipe, folder)
        senses = write_senses(checkpoint, recipe.vision, recipe.audio, recipe.target.activations, folder)
        manifest = with_senses(_manifest(order, checkpoint, sha256, folder, written, graph), senses, checkpoint)
        bar.total = bar.n + checkpoint.architecture.layers  # kept blocks needed no calibration
        bar.set_description(f"{order.destination.name}: measuring")
        text = gate.read_text(recipe.text, vocabulary.tokenizer, manifest.context_length)
        quality = gate.measure(
            _truth(recipe, checkpoint), folder, manifest, text, recipe.max_perplexity_loss, bar.update
        )
    return dataclasses.replace(manifest, quality=quality)


def _truth(recipe: Recipe, checkpoint: Checkpoint) -> Checkpoint:
    """What the engine is measured against."""
    if not recipe.against:
        return checkpoint
    source = load_recipe(recipe.against).source
    if source is None:
        raise InvalidInput(f"recipe {recipe.name}: gate.against: recipe {recipe.against} names no weights")
    return open_checkpoint(source.find())


def _write_graph(
    checkpoint: Checkpoint, recipe: Recipe, folder: Path, progress: Callable[[int], object]
) -> Mapping[str, Bits]:
    """Returns the bits that each matrix was stored in."""
    require_matches(recipe.format, checkpoint.architecture.layers, tuple(checkpoint.architecture.matrices))
    recipe.target.stages(checkpoint.architecture.layers)
    checkpoint, quantize = prepared(checkpoint, recipe.format, recipe.calibration, progress)
    with ModelFile(folder / "model.onnx", recipe.target.activations) as file:
        weights = IntegerWeights(file, recipe.format, quantize=quantize)
        positions = min(checkpoint.architecture.context_length, recipe.max_context)
        dialect = OnnxRuntimeDialect(checkpoint, file, weights, positions)
        write_decoder(checkpoint.architecture, dialect, progress)
        file.save(checkpoint.architecture.model_type)
    return weights.written


def _graph(arch: Architecture, recipe: Recipe, folder: Path) -> Graph:
    """The graph that was written, cut into stages where the recipe shares it among devices."""
    layers = recipe.target.stages(arch.layers)
    whole = folder / "model.onnx"
    if len(layers) > 1:
        stages, standard = write_stages(whole, layers), None
    else:
        stages, standard = (Stage(file=whole.name, layers=arch.layers),), "standard.onnx"
        write_standard(whole, folder / standard)
    return Graph(
        stages=stages,
        standard=standard,
        activations=recipe.target.activations,
        embeddings=arch.sees,
        mrope=arch.mrope,
        adapters=arch.adapts,
        experts=arch.experts,
        experts_per_token=arch.experts_per_token,
    )


def _manifest(
    order: Order, checkpoint: Checkpoint, sha256: str, folder: Path, written: Mapping[str, Bits], graph: Graph
) -> Manifest:
    arch, vocabulary, recipe = checkpoint.architecture, checkpoint.vocabulary, order.recipe
    pulled = origin_of(order.source)
    return Manifest(
        name=order.destination.name,
        title=recipe.title or checkpoint.title,
        model_type=arch.model_type,
        parameters=checkpoint.parameters,
        active_parameters=arch.active_parameters if arch.experts else 0,
        context_length=min(arch.context_length, recipe.max_context),
        vocab_size=arch.vocab_size,
        layers=arch.layers,
        kv_heads=arch.kv_heads,
        head_dim=arch.head_dim,
        precision=precision_of(checkpoint, recipe.format, recipe.calibration.method_for(arch), written),
        hidden_size=arch.hidden_size,
        graph=graph,
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
            name=pulled.origin if pulled else one_line(order.source.resolve().name),
            sha256=sha256,
            quantization=checkpoint.encoding,
        ),
        license=pulled.license if pulled and checkpoint.license == "unknown" else checkpoint.license,
        quality=UNMEASURED,
        recipe=_recipe_mark(order),
        edged_version=edged.__version__,
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _with_chat_template(order: Order, checkpoint: Checkpoint) -> Checkpoint:
    """With the template of the order, where it names one."""
    if (template := _read_template(order)) is not None:
        vocabulary = dataclasses.replace(checkpoint.vocabulary, chat_template=template)
        return dataclasses.replace(checkpoint, vocabulary=vocabulary)
    if not checkpoint.vocabulary.chat_template.strip():
        raise CheckpointError(
            f"{order.source}: no chat template in the checkpoint: python -m engines build takes one with "
            "--chat-template FILE, a folder also as its chat_template.jinja"
        )
    return checkpoint


def _read_template(order: Order) -> str | None:
    if order.chat_template is None:
        return None
    try:
        return order.chat_template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"{order.chat_template}: cannot be read as UTF-8 text") from exc


def _recipe_mark(order: Order) -> str:
    """What must be equal for an artefact to be kept, besides the checkpoint's hash."""
    mark = f"{order.recipe.name} {order.recipe.digest} builder {BUILDER}"
    if (template := _read_template(order)) is None:
        return mark
    return f"{mark}{TEMPLATE_MARK}{hashlib.sha256(template.encode()).hexdigest()[:12]}"


def _same(order: Order, sha256: str) -> Manifest | None:
    """The manifest of what is installed, if building again would give the same and it is whole."""
    try:
        manifest = read_manifest(order.destination)
        if manifest.source.sha256 != sha256 or manifest.recipe != _recipe_mark(order):
            return None
        verify_files(order.destination, manifest)
    except ArtefactError:
        return None
    return manifest


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
