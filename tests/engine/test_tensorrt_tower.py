"""TensorRTTower against a scripted runtime, and who sees and hears beside a text plan. No GPU computes here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.config import EngineConfig
from edged.engine import cuda, cuda_stream, engine, open_session, tensorrt_module
from edged.engine.buffer import Host
from edged.engine.gpu import Gpu, Gpus
from edged.engine.manifest import Manifest, Plan, read_manifest
from edged.engine.open_session import UNPROVED, Opened
from edged.engine.senses import Vision
from edged.engine.tensorrt_session import TensorRTSession
from edged.engine.tensorrt_tower import TensorRTTower, tower_parts
from edged.errors import ArtefactError, EdgedError, InvalidInput
from edged.events import Audio, Image
from edged.vision.preprocess import Grid
from edged.vision.tower_inputs import pixel_inputs, tower_inputs
from tests.engine.scripted_tensorrt import PLAN, Engine, Recording, runtime, text_tensors
from tests.sensing_artefact import sensing_artefact
from tests.tiny_artefact import tiny_artefact

VISION = Vision(
    file="vision.onnx",
    standard="vision_standard.onnx",
    precision="int8",
    patch_size=14,
    temporal_patch_size=2,
    merge_size=2,
    position_side=4,
    min_pixels=28 * 28 * 2,
    max_pixels=28 * 28 * 2 * 40,
    rescale_factor=1 / 255,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    image_token=7,
    image_text="<|image|>",
    cosine_similarity=1.0,
)
EYES = dataclasses.replace(PLAN, file="vision.sm89.plan", part="vision", capacity=0, max_tokens=160)


def vision_tensors(hidden_size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    widths = {"patches": 3 * 2 * 14 * 14, "places": 2, "row_weights": 4, "column_weights": 4, "embeddings": hidden_size}
    return {name: ("FLOAT", (-1, width)) for name, width in widths.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_artefact(tmp_path)


def manifest_of(folder: Path, *plans: Plan) -> Manifest:
    """Of a model that sees, whose plans lie in the folder."""
    manifest = read_manifest(folder)
    for plan in plans:
        (folder / plan.file).write_bytes(plan.part.encode())
    graph = dataclasses.replace(manifest.graph, embeddings=True, mrope=True)
    return dataclasses.replace(manifest, graph=graph, vision=VISION, plans=plans)


def opened(folder: Path, **changes: Any) -> tuple[TensorRTTower, Engine]:
    manifest = manifest_of(folder, EYES)
    engine = Engine(vision_tensors(manifest.hidden_size) | changes)
    part = tower_parts(manifest)[Image]
    eyes = TensorRTTower(folder, manifest, part, EYES, trt=runtime(engine), device=Host(), stream=Recording())
    return eyes, engine


def inputs(rows: int, columns: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    grid = Grid(height=rows, width=columns)
    patches = np.repeat(np.arange(rows * columns, dtype=np.float32)[:, None], 3 * 2 * 14 * 14, axis=1)
    return tower_inputs(patches, grid, merge_size=2, position_side=4)


def test_pictures_of_all_sizes_have_their_own_memory(folder: Path) -> None:
    eyes, played = opened(folder)
    for rows, columns in ((4, 6), (2, 2), (10, 16)):
        given = inputs(rows, columns)
        found = eyes.run(given, lambda: False)
        tokens = rows * columns // 4
        assert found is not None and found.dtype == np.float32
        assert found.tolist() == [[4.0 * row + tokens] * found.shape[1] for row in range(tokens)]
        (context,) = {*played.contexts_run}
        assert context.shapes == {name: values.shape for name, values in given.items()}
        assert context.working[1] == 1000 * rows * columns and context.profile == 0


def test_nothing_is_computed_for_nobody(folder: Path) -> None:
    eyes, played = opened(folder)
    assert eyes.run(inputs(2, 2), lambda: True) is None
    assert not played.contexts_run


def test_what_the_plan_does_not_take_is_one_line(folder: Path) -> None:
    eyes, played = opened(folder)
    with pytest.raises(InvalidInput, match=r"^the picture has 176 patches, vision.sm89.plan takes 160$"):
        eyes.run(inputs(22, 8), lambda: False)
    played.succeeds = False
    with pytest.raises(EdgedError, match=r"^TensorRT failed in vision.sm89.plan: the header is strange$"):
        eyes.run(inputs(2, 2), lambda: False)


def test_a_plan_of_another_tower_is_refused(folder: Path) -> None:
    with pytest.raises(ArtefactError, match=r"embeddings is FLOAT \[-1, 7\], .*: python -m engines compile .* sm89$"):
        opened(folder, embeddings=("FLOAT", (-1, 7)))


PHONE_EYES = dataclasses.replace(EYES, max_tokens=28)
PHONE_EARS = dataclasses.replace(EYES, file="audio.sm89.plan", part="audio", max_tokens=38)


def phone_tensors(hidden_size: int) -> dict[str, dict[str, tuple[str, tuple[int, ...]]]]:
    shapes = {
        "vision": {"pixels": (1, 3, -1, -1), "row_weights": (-1, 14), "column_weights": (-1, 14)},
        "audio": {"mel": (1, 80, -1)},
    }
    return {
        part: {name: ("FLOAT", shape) for name, shape in {**inner, "embeddings": (-1, hidden_size)}.items()}
        for part, inner in shapes.items()
    }


def phone_tower(folder: Path, plan: Plan, media: Any) -> TensorRTTower:
    manifest = read_manifest(folder)
    (folder / plan.file).write_bytes(plan.part.encode())
    part = tower_parts(manifest)[media]
    assert part.name == plan.part
    engine = Engine(phone_tensors(manifest.hidden_size)[plan.part])
    return TensorRTTower(folder, manifest, part, plan, trt=runtime(engine), device=Host(), stream=Recording())


def picture_inputs(rows: int, columns: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    pixels = np.zeros((3, 16 * rows, 16 * columns), np.float32)
    return pixel_inputs(pixels, Grid(height=rows, width=columns), position_side=14)


def test_whole_pictures_and_recordings_of_all_sizes_become_tokens(tmp_path: Path) -> None:
    folder = sensing_artefact(tmp_path)
    eyes = phone_tower(folder, PHONE_EYES, Image)
    for rows, columns in ((2, 2), (14, 14), (28, 4)):
        found = eyes.run(picture_inputs(rows, columns), lambda: False)
        assert found is not None and found[:, 0].tolist() == list(range(rows * columns // 4))
    with pytest.raises(InvalidInput, match=r"^the picture has 30 patches along a side, vision.sm89.plan takes 28$"):
        eyes.run(picture_inputs(2, 30), lambda: False)
    ears = phone_tower(folder, PHONE_EARS, Audio)
    for tokens in (1, 38):
        found = ears.run({"mel": np.zeros((1, 80, 8 * tokens), np.float32)}, lambda: False)
        assert found is not None and found[:, 0].tolist() == list(range(tokens))
    with pytest.raises(InvalidInput, match=r"^the recording has 39 tokens, audio.sm89.plan takes 38$"):
        ears.run({"mel": np.zeros((1, 80, 8 * 39), np.float32)}, lambda: False)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with an RTX 4090 and TensorRT, whose engines are those that the plans' bytes name."""
    gpus = Gpus(found=(Gpu(name="RTX 4090", capability="sm89", memory_bytes=2**34),), has_driver=True)
    monkeypatch.setattr(open_session, "find_gpus", lambda: gpus)
    monkeypatch.setattr(cuda, "CudaDevice", lambda index: Host())
    monkeypatch.setattr(cuda_stream, "CudaStream", lambda index: Recording())


def open_on(machine: None, folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> Opened:
    trt = runtime(None)
    tensors = {b"text": text_tensors(manifest), b"vision": vision_tensors(manifest.hidden_size)}
    if manifest.audio is not None:
        tensors |= {part.encode(): shapes for part, shapes in phone_tensors(manifest.hidden_size).items()}
    trt.Runtime = lambda log: _Loader(tensors)
    monkeypatch.setattr(tensorrt_module, "load_tensorrt", lambda: trt)
    return open_session.open_session(folder, manifest, EngineConfig())


class _Loader:
    def __init__(self, tensors: dict[bytes, dict[str, tuple[str, tuple[int, ...]]]]) -> None:
        self.tensors = tensors

    def deserialize_cuda_engine(self, data: bytes) -> Engine:
        return Engine(self.tensors[data])


def test_the_vision_plan_is_used_beside_the_text_plan(
    machine: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = manifest_of(folder, PLAN, EYES)
    found = open_on(machine, folder, manifest, monkeypatch)
    assert isinstance(found.session, TensorRTSession) and isinstance(found.towers[Image], TensorRTTower)
    assert found.remark == UNPROVED and found.towers[Image].run(inputs(2, 2), lambda: False) is not None
    senses = engine._senses(folder, manifest, EngineConfig(), found)
    assert senses[Image]._session is found.towers[Image]
    assert manifest.graph.activations == "float32" and found.kv_bytes_per_token == manifest.kv_bytes_per_token // 2


@pytest.mark.parametrize(
    ("plans", "reason"),
    [
        ((PLAN,), "has no TensorRT plan of its vision part for this GPU, sm89: python -m engines compile"),
        ((PLAN, dataclasses.replace(EYES, builder="tensorrt_rtx 1.6")), "was built by tensorrt_rtx 1.6, here is"),
    ],
)
def test_without_a_fitting_vision_plan_the_cpu_reads_pictures_and_says_so(
    plans: tuple[Plan, ...], reason: str, machine: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_on(machine, folder, manifest_of(folder, *plans), monkeypatch)
    assert isinstance(found.session, TensorRTSession) and not found.towers and found.devices == (Host(),)
    assert found.remark.startswith("the CPU reads pictures: ") and reason in found.remark and UNPROVED in found.remark


def test_eyes_and_ears_have_a_plan_each_or_the_cpu(
    machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sensing_artefact(tmp_path)
    for plan in (PLAN, PHONE_EYES, PHONE_EARS):
        (folder / plan.file).write_bytes(plan.part.encode())
    manifest = read_manifest(folder)
    both = dataclasses.replace(manifest, plans=(PLAN, PHONE_EYES, PHONE_EARS))
    found = open_on(machine, folder, both, monkeypatch)
    assert set(found.towers) == {Image, Audio} and found.remark == UNPROVED
    senses = engine._senses(folder, both, EngineConfig(), found)
    assert {media: encoder._session for media, encoder in senses.items()} == found.towers
    found = open_on(machine, folder, dataclasses.replace(manifest, plans=(PLAN, PHONE_EYES)), monkeypatch)
    assert set(found.towers) == {Image}
    assert found.remark.startswith("the CPU reads recordings: sensing has no TensorRT plan of its audio part")
    found = open_on(machine, folder, dataclasses.replace(manifest, plans=(PLAN,)), monkeypatch)
    assert not found.towers and found.remark.count("the CPU reads ") == 2
