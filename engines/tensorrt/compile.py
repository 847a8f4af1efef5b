"""`engines compile`: an artefact gets a plan for one kind of GPU, in place.

Plans are named after their content, so that new ones lie beside the old until the manifest is replaced: an artefact
is whole at every moment, with the old plans or with the new ones.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from edged.engine.gpu import find_gpus, machine_model
from edged.engine.manifest import FILE_NAME, Manifest, Plan, describe_file, read_manifest, verify_files
from edged.engine.tensorrt_module import builder_of, load_tensorrt
from edged.errors import ArtefactError, InvalidInput

from ..lock import locked
from .builder import PlanOrder, Profile
from .lower import lower
from .preflight import need_of, require_room
from .process import build_apart
from .profiles import picture_profile, recording_profile

TARGETS = ("sm86", "sm89", "sm120")
"""Compute capabilities that any machine can build for; sm87 is that of the Jetson, and built there."""
JETSON = "sm87"
DEFAULT_CONTEXT = 4096
DEFAULT_MAX_TOKENS = 512
LEAST_MAX_TOKENS = 64
"""TensorRT-RTX 1.7 fails on profiles for shorter chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileOrder:
    """What to compile, for what."""

    folder: Path
    target: str
    context: int | None = None
    """Places of the key/value cache; None is the model's own context, at most 4096."""
    max_tokens: int | None = None
    """Most tokens of a prompt computed at once; None is 512, or the context where that is less."""
    workspace_mb: int | None = None
    available_memory: int | None = None
    """Bytes, instead of what the machine says."""


def compile_artefact(order: CompileOrder, say: Callable[[str], object]) -> Manifest:
    """Build the plans of all parts and record them. Returns the new manifest; in case of an error nothing changed.

    Raises MissingExtra, InvalidInput, ArtefactError.
    """
    _require_target(order.target)
    trt = load_tensorrt()
    _require_buildable(trt, order.target)
    folder = order.folder.resolve()
    with locked(folder, say):
        manifest = read_manifest(folder, plans_too=False)  # broken ones may be what this is run for
        verify_files(folder, manifest, plans_too=False)
        parts = _parts(folder, manifest, order)
        require_room(
            [need_of(*_size(part.graph), is_lowered=part.is_lowered) for part in parts], folder, order.available_memory
        )
        with _scratch(folder) as scratch:
            built = [_built(trt, scratch, part, order) for part in parts]
            manifest = _installed(folder, scratch, manifest, built)
    for plan in built:
        say(f"{folder.name}: {plan.file}, {manifest.files[plan.file].bytes / 1e6:.0f} MB, by {plan.builder}")
    return manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One graph of the artefact."""

    name: str
    graph: Path
    profiles: Sequence[Profile]
    capacity: int
    max_tokens: int
    is_lowered: bool
    """Written anew for TensorRT before it is built."""


def _parts(folder: Path, manifest: Manifest, order: CompileOrder) -> list[_Part]:
    if (stages := len(manifest.graph.stages)) > 1:
        raise ArtefactError(
            f"{folder}: is in {stages} stages, one for each GPU, and a plan is for one GPU: "
            "build it by a recipe for one, such as rtx-4090"
        )
    if manifest.graph.standard is None:
        raise ArtefactError(f"{folder}: has no graph in standard operators, which TensorRT needs: build it again")
    capacity = min(order.context or DEFAULT_CONTEXT, manifest.context_length)
    if order.context is not None and not LEAST_MAX_TOKENS < order.context <= manifest.context_length:
        limits = f"{LEAST_MAX_TOKENS + 1} to {manifest.context_length}"
        raise InvalidInput(f"--context must be {limits}, which is the model's own context")
    most = order.max_tokens or min(DEFAULT_MAX_TOKENS, capacity - 1)
    if not LEAST_MAX_TOKENS <= most < capacity:
        limits = f"{LEAST_MAX_TOKENS} to {capacity - 1}"
        raise InvalidInput(f"--max-tokens must be {limits}, less than the context of {capacity}")
    one = (1, 1, 1)
    text = _Part(
        name="text",
        graph=folder / manifest.graph.standard,
        profiles=({"tokens": one, "positions": one}, {"tokens": (1, most, most), "positions": one}),
        capacity=capacity,
        max_tokens=most,
        is_lowered=True,
    )
    return [text, *_towers(folder, manifest)]


def _towers(folder: Path, manifest: Manifest) -> Iterator[_Part]:
    """Eyes and ears."""
    if (vision := manifest.vision) is not None:
        profile, most = picture_profile(vision)
        yield _tower("vision", folder / vision.standard, profile, most)
    if (audio := manifest.audio) is not None:
        profile, most = recording_profile(audio)
        yield _tower("audio", folder / audio.standard, profile, most)


def _tower(name: str, graph: Path, profile: Profile, most: int) -> _Part:
    return _Part(name=name, graph=graph, profiles=(profile,), capacity=0, max_tokens=most, is_lowered=False)


def _built(trt: Any, scratch: Path, part: _Part, order: CompileOrder) -> Plan:
    """Build one plan, and say what it is."""
    graph = part.graph
    if part.is_lowered:
        graph = scratch / "lowered.onnx"
        lower(part.graph, graph, capacity=part.capacity)
    file = scratch / f"{part.name}.plan"
    made = PlanOrder(
        graph=graph,
        profiles=part.profiles,
        target=order.target,
        workspace_bytes=None if order.workspace_mb is None else order.workspace_mb * 1024 * 1024,
        title=f"{order.folder.name}: {part.name} for {order.target}",
    )
    build_apart(made, file)
    name = f"{part.name}.{order.target}.{describe_file(file).sha256[:8]}.plan"
    file.rename(scratch / name)
    return Plan(
        file=name,
        part=part.name,
        builder=builder_of(trt),
        target=order.target,
        capacity=part.capacity,
        max_tokens=part.max_tokens,
    )


def _installed(folder: Path, scratch: Path, manifest: Manifest, built: Sequence[Plan]) -> Manifest:
    """Put the plans and a manifest with them into the folder, and take away those whose place they take."""
    places = {(plan.part, plan.target) for plan in built}
    kept = tuple(plan for plan in manifest.plans if (plan.part, plan.target) not in places)
    replaced = {plan.file for plan in manifest.plans} - {plan.file for plan in kept}
    files = {name: entry for name, entry in manifest.files.items() if name not in replaced}
    files |= {plan.file: describe_file(scratch / plan.file) for plan in built}
    manifest = dataclasses.replace(manifest, plans=(*kept, *built), files=files)
    manifest.write(scratch)
    for plan in built:
        (scratch / plan.file).replace(folder / plan.file)
    (scratch / FILE_NAME).replace(folder / FILE_NAME)
    for plan in built:
        for path in folder.glob(f"{plan.part}.{plan.target}.*.plan"):  # those that a killed compilation left too
            if path.name not in files:
                path.unlink()
    return manifest


def _size(graph: Path) -> tuple[int, int]:
    """Bytes of the weights that a graph reads, and its nodes."""
    try:
        model = onnx.load(graph, load_external_data=False).graph
    except DecodeError as exc:
        raise ArtefactError(f"{graph}: not a valid ONNX file") from exc
    places = {
        (place.get("location"), place.get("offset")): int(place.get("length", 0))
        for place in ({item.key: item.value for item in tensor.external_data} for tensor in model.initializer)
    }
    return sum(places.values()), len(model.node)


def _require_target(target: str) -> None:
    if target == JETSON and "jetson" not in machine_model().lower():
        raise InvalidInput(
            "sm87 plans are built on the Jetson itself, with JetPack's tensorrt: run the same command there"
        )
    if target not in (*TARGETS, JETSON):
        raise InvalidInput(f"--target must be one of {', '.join(TARGETS)} or, on the Jetson itself, {JETSON}")


def _require_buildable(trt: Any, target: str) -> None:
    """JetPack's and the data centre's module build for the GPU of the machine only."""
    if hasattr(trt, "ComputeCapability"):
        if target.upper() not in trt.ComputeCapability.__members__:
            raise InvalidInput(f"{builder_of(trt)} does not build for {target}")
        return
    own = {gpu.capability for gpu in find_gpus().found}
    if target not in own:
        raise InvalidInput(
            f"{builder_of(trt)} builds for this machine's GPU ({', '.join(own) or 'none'}), not {target}"
        )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder beside the artefact that is gone afterwards; so are those that killed compilations left."""
    prefix = f".{folder.name}.compiling-"
    for left in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
