"""Plans of autoglm_phone's eyes and ears, really built without a GPU: sizes free, weights of four bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plans import constants
from test_phone_towers import SENSES, Eyes, Sense, int4_tower, read, stored, tiny_model, weights_of
from test_plans import DEQUANTIZED
from tiny_sensing_phone import save_sensing_phone, sensing_phone

from edged.engine.manifest import read_manifest, verify_files
from edged.engine.tensorrt_module import load_tensorrt
from engines.__main__ import main
from engines.tensorrt.builder import PlanOrder, build_plan
from engines.tensorrt.compile import CompileOrder, compile_artefact
from engines.tensorrt.profiles import picture_profile, recording_profile
from tests.sensing_artefact import _ears, _eyes

PROFILES: dict[Any, Any] = {
    Eyes: {"height": (32, 224, 448), "width": (32, 224, 448), "rows": (2, 14, 28), "columns": (2, 14, 28)}
}
"""Of pictures up to 448 pixels a side."""
SECONDS = {"frames": (8, 1000, 3008)}
"""Of recordings up to 30 seconds."""


def built(sense: Sense, folder: Path, target: str = "sm89") -> bytes:
    profile = PROFILES.get(sense, SECONDS)
    order = PlanOrder(
        graph=folder / sense.standard, profiles=(profile,), target=target, workspace_bytes=None, title="tiny"
    )
    build_plan(load_tensorrt(), order, folder / "tower.plan")
    return (folder / "tower.plan").read_bytes()


@pytest.mark.parametrize("sense", SENSES)
def test_matrices_are_4_bits_in_the_network(sense: Sense, tmp_path: Path) -> None:
    _, tower, trained = int4_tower(sense, tmp_path)
    sense.write(tower, tmp_path, 4, "float32")
    integers, others = constants(tmp_path / sense.standard)
    assert sorted(integers.values()) == sorted(q.size for q, _ in trained.values())
    kernels = {"stem.0", "stem.1", "stem.2", "conv1", "conv2", "position_table"}
    large = {name for name, size in others.items() if size >= min(integers.values())}
    assert not {name for name in large if not any(kernel in name for kernel in kernels)}


@pytest.mark.parametrize("target", ["sm89", "sm120"])
@pytest.mark.parametrize("sense", SENSES)
def test_plans_of_all_sizes_are_built(sense: Sense, target: str, tmp_path: Path) -> None:
    _, tower, _ = int4_tower(sense, tmp_path)
    sense.write(tower, tmp_path, 4, "float32")
    plan = built(sense, tmp_path, target)
    assert 1e6 < len(plan) < 10e6, "most of it is the source of its kernels"
    assert not DEQUANTIZED.search(plan)


@pytest.mark.parametrize("sense", SENSES)
def test_the_plan_of_a_wider_tower_grows_by_its_integers(sense: Sense, tmp_path: Path) -> None:
    sizes, weights, floats = [], [], []
    for width in (128, 384):
        folder = tmp_path / str(width)
        folder.mkdir()
        model: Any = tiny_model(sense, hidden_size=width, intermediate_size=4 * width)
        tower = read(sense, model, stored(weights_of(model), folder / "weights"))
        sense.write(tower, folder, 4, "float32")
        sizes.append(len(built(sense, folder)))
        weights.append(sum(constants(folder / sense.standard)[0].values()))
        kernels = sum(value.numel() for name, value in model.named_parameters() if name.startswith(("stem", "conv")))
        table = model.position_embedding.weight.numel() if sense is Eyes else 0
        floats.append(2 * kernels + 4 * table)
    growth = (sizes[1] - sizes[0] - (floats[1] - floats[0])) / (weights[1] - weights[0])
    assert 0.5 < growth < 0.6, "half a byte a weight, and scales"


def test_compile_makes_plans_of_text_eyes_and_ears(tmp_path: Path) -> None:
    model = sensing_phone()
    checkpoint = save_sensing_phone(model, tmp_path / "checkpoint", int4=True)
    assert main(["build", str(checkpoint), "--out", str(tmp_path / "phone")]) == 0
    said: list[str] = []
    compile_artefact(CompileOrder(folder=tmp_path / "phone", target="sm89", context=128, max_tokens=64), said.append)
    manifest = read_manifest(tmp_path / "phone")
    verify_files(tmp_path / "phone", manifest)
    assert len(said) == 3 and all(" MB, by tensorrt_rtx" in line for line in said)
    assert [(plan.part, plan.capacity, plan.max_tokens) for plan in manifest.plans] == [
        ("text", 128, 64),
        ("vision", 0, 28),
        ("audio", 0, 38),
    ]


def test_profiles_are_what_the_run_time_may_ask_for() -> None:
    eyes = replace(_eyes(0), max_pixels=50_176)
    states = (2, 14, 28)
    pixels = (32, 224, 448)
    assert picture_profile(eyes) == (
        {"height": pixels, "width": pixels, "rows": states, "columns": states},
        28,
    )
    assert picture_profile(replace(eyes, max_pixels=896 * 896))[0]["height"] == (32, 896, 1792)
    assert picture_profile(replace(eyes, max_pixels=1024))[0]["height"] == (32, 32, 64)
    assert picture_profile(replace(eyes, max_pixels=1))[0]["height"] == (32, 32, 32)
    ears = replace(_ears(0), max_seconds=30)
    assert recording_profile(ears) == ({"frames": (8, 1000, 3000)}, 375)
    assert recording_profile(replace(ears, max_seconds=1)) == ({"frames": (8, 104, 104)}, 13)
