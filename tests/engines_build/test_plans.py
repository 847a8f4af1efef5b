"""The plans that matter, really built for every target without a GPU: the default engine, and a model that sees."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny_checkpoints
from plans import CONTEXT, MAX_TOKENS, constants, plan_order, products
from tiny_checkpoints import gentle
from tiny_glm4v import save_glm4v, tiny_glm4v

from edged.engine.manifest import Manifest, Plan, read_manifest, verify_files
from edged.engine.tensorrt_module import load_tensorrt
from engines.__main__ import main
from engines.checkpoint import open_checkpoint
from engines.checkpoint.text_file import read_json
from engines.tensorrt.builder import PlanOrder, build_plan
from engines.tensorrt.compile import TARGETS, CompileOrder, compile_artefact
from engines.tensorrt.lower import lower
from engines.vision.graph import STANDARD_FILE, write_tower
from engines.vision.tower import read_tower

DEFAULT = Path(__file__).parents[2] / "build" / "engines" / "smollm2-135m"
DEQUANTIZED = re.compile(rb"function=\{ name=__myl_\w*ReplCastMulCast ")
"""A kernel that writes a dequantized matrix: a plan lists what each does."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """An artefact with plans for all targets."""

    folder: Path
    manifest: Manifest

    def plan(self, part: str, target: str) -> tuple[Plan, Path]:
        (found,) = [plan for plan in self.manifest.plans if (plan.part, plan.target) == (part, target)]
        return found, self.folder / found.file


@pytest.fixture(scope="session")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the default engine."""
    return Path(shutil.copytree(DEFAULT, tmp_path_factory.mktemp("plans") / "default"))


@pytest.fixture(scope="session")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """A tiny GLM-4.1V."""
    folder = tmp_path_factory.mktemp("plans")
    checkpoint = save_glm4v(gentle(tiny_glm4v()), folder / "checkpoint")
    assert main(["build", str(checkpoint), "--out", str(folder / "engines" / "seeing")]) == 0
    engine = folder / "engines" / "seeing"
    for target in TARGETS:
        compile_artefact(
            CompileOrder(folder=engine, target=target, context=CONTEXT, max_tokens=MAX_TOKENS), lambda line: None
        )
    return Compiled(engine, read_manifest(engine))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_the_default_engine(target: str, default: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a user compiles it. 134.5 million weights: 16 bits each would be 269 MB."""
    assert main(["compile", str(default), "--target", target]) == 0
    manifest = read_manifest(default)
    verify_files(default, manifest)
    plan, path = Compiled(default, manifest).plan("text", target)
    assert capsys.readouterr().out.startswith(f"default: {path.name}, ")
    assert (plan.capacity, plan.max_tokens) == (4096, 512)
    assert 80e6 < path.stat().st_size <= 160e6
    assert not DEQUANTIZED.search(path.read_bytes())


def test_the_default_engine_is_4_bits_in_the_network(tmp_path: Path) -> None:
    manifest = read_manifest(DEFAULT)
    assert manifest.graph.standard is not None
    lower(DEFAULT / manifest.graph.standard, tmp_path / "lowered.onnx", capacity=4096)
    integers, others = constants(tmp_path / "lowered.onnx")
    assert len(integers) == 30 * 4 + 1, "query, key and value are one matrix, and so are gate and up; a shared table"
    assert sum(integers.values()) >= manifest.parameters - 100_000
    assert max(others.values()) == 4096 * 32, "the rotary tables"


@pytest.mark.parametrize("target", TARGETS)
def test_text_and_vision_of_a_model_that_sees(target: str, seeing: Compiled) -> None:
    verify_files(seeing.folder, seeing.manifest)
    assert len(seeing.manifest.plans) == 2 * len(TARGETS)
    text, text_path = seeing.plan("text", target)
    vision, vision_path = seeing.plan("vision", target)
    assert (text.capacity, text.max_tokens) == (CONTEXT, MAX_TOKENS)
    assert (vision.capacity, vision.max_tokens) == (0, 160), "the largest picture that its processor makes"
    for path in (text_path, vision_path):  # most of it the source of its kernels
        assert 1e6 < path.stat().st_size < 10e6
        assert not DEQUANTIZED.search(path.read_bytes())


def test_weights_of_a_model_that_sees_are_4_bits_and_8_in_the_network(seeing: Compiled, tmp_path: Path) -> None:
    assert seeing.manifest.graph.standard is not None and seeing.manifest.vision is not None
    lower(seeing.folder / seeing.manifest.graph.standard, tmp_path / "lowered.onnx", capacity=CONTEXT)
    integers, others = constants(tmp_path / "lowered.onnx")
    assert len(integers) == seeing.manifest.layers * 4 + 2
    assert max(others.values()) < min(integers.values()), "no float is as large as a matrix"

    integers, others = constants(seeing.folder / seeing.manifest.vision.standard)
    depth, matrices, merger = 2, 5, 5
    assert len(integers) == depth * matrices + merger
    floats = sorted(others.values())[-2:]
    assert floats == [4 * 4 * 32, 32 * 3 * 2 * 14 * 14], "the position table, and what reads pixels"
    assert max(sorted(others.values())[:-2]) < min(integers.values())


@pytest.mark.slow
def test_the_text_plan_of_a_wider_model_grows_by_its_integers(tmp_path: Path) -> None:
    """What a plan has besides weights, the source of its kernels, is the same for every width."""
    sizes = []
    for width in (1024, 2048):
        graph = products(tmp_path / f"{width}.onnx", width)
        build_plan(load_tensorrt(), plan_order(graph), tmp_path / f"{width}.plan")
        sizes.append((tmp_path / f"{width}.plan").stat().st_size)
    assert (sizes[1] - sizes[0]) / (4 * (2048**2 - 1024**2)) < 0.6
    assert not DEQUANTIZED.search((tmp_path / "2048.plan").read_bytes())


def test_the_vision_plan_of_a_wider_model_grows_by_its_integers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, weights = [], []
    for width in (128, 384):
        monkeypatch.setitem(tiny_checkpoints.GLM4V_VISION, "hidden_size", width)
        folder = save_glm4v(tiny_glm4v(), tmp_path / str(width))
        checkpoint = open_checkpoint(folder)
        tower = read_tower(read_json(folder / "config.json"), checkpoint.vision_tensors, 64)
        write_tower(tower, folder, 8, "float16")
        order = PlanOrder(
            graph=folder / STANDARD_FILE,
            profiles=({"patches": (4, 160, 160)},),
            target="sm89",
            workspace_bytes=None,
            title="tiny",
        )
        build_plan(load_tensorrt(), order, tmp_path / "vision.plan")
        sizes.append((tmp_path / "vision.plan").stat().st_size)
        weights.append(sum(constants(folder / STANDARD_FILE)[0].values()))
    floats = 2 * (384 - 128) * (3 * 2 * 14 * 14 + 4 * 4)
    assert 0.9 < (sizes[1] - sizes[0] - floats) / (weights[1] - weights[0]) < 1.2
