"""`engines compile`: real plans, built without a GPU, and everything that can be wrong before or while."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_checkpoints import save_folder, tiny_model
from variants import VARIANTS

from edged.engine.manifest import read_manifest, verify_files
from edged.engine.tensorrt_module import load_tensorrt
from edged.errors import ArtefactError, EdgedError, InvalidInput, MissingExtra
from engines.__main__ import main
from engines.build import Order, build
from engines.recipe import load_recipe
from engines.tensorrt import builder, preflight, process
from engines.tensorrt.builder import PlanOrder, build_plan
from engines.tensorrt.compile import TARGETS, CompileOrder, compile_artefact
from engines.tensorrt.lower import lower

CONTEXT, MAX_TOKENS = 128, 64


def quiet(line: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with an untied head, so that every matrix but the embedding is a product."""
    folder = tmp_path_factory.mktemp("compile")
    model = tiny_model("llama", tie_word_embeddings=False, hidden_size=128, intermediate_size=256)
    source = save_folder(model, folder / "model")
    recipe = dataclasses.replace(load_recipe("cpu"), max_perplexity_loss=1e9)
    build(Order(recipe=recipe, source=source, destination=folder / "engines" / "tiny"), quiet)
    return folder / "engines" / "tiny"


@pytest.fixture
def artefact(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "engines" / "tiny"))


def order(folder: Path, target: str = "sm89", **changes: Any) -> CompileOrder:
    return dataclasses.replace(
        CompileOrder(folder=folder, target=target, context=CONTEXT, max_tokens=MAX_TOKENS), **changes
    )


def test_plans_for_all_targets_lie_beside_each_other(artefact: Path) -> None:
    before = read_manifest(artefact)
    said: list[str] = []
    for target in TARGETS:
        compile_artefact(order(artefact, target), said.append)
    manifest = read_manifest(artefact)
    verify_files(artefact, manifest)
    assert [(plan.file, plan.part, plan.target) for plan in manifest.plans] == [
        (f"text.{target}.plan", "text", target) for target in TARGETS
    ]
    assert all((plan.capacity, plan.max_tokens) == (CONTEXT, MAX_TOKENS) for plan in manifest.plans)
    assert all(re.fullmatch(r"tensorrt_rtx \d+\.\d+\.\d+.*", plan.builder) for plan in manifest.plans)
    assert dataclasses.replace(manifest, plans=(), files=before.files) == before
    assert said[0].startswith("tiny: text.sm89.plan, ") or said[0].startswith("tiny: text.sm86.plan, ")
    assert [path.name for path in artefact.parent.iterdir()] == ["tiny"]


def test_compiling_again_replaces(artefact: Path) -> None:
    compile_artefact(order(artefact), quiet)
    compile_artefact(order(artefact, context=96, max_tokens=80, workspace_mb=64), quiet)
    (plan,) = read_manifest(artefact).plans
    assert (plan.capacity, plan.max_tokens) == (96, 80)
    verify_files(artefact, read_manifest(artefact))


@pytest.mark.parametrize("variant", ["gemma2", "qwen3", "mistral, sliding window", "glm4v"])
def test_every_kind_of_model_parses_and_builds(variant: str, tmp_path: Path) -> None:
    from tiny_checkpoints import integer_session
    from variants import INT4

    from engines.checkpoint import open_checkpoint
    from engines.graph.standard import write_standard

    model_type, overrides = VARIANTS[variant]
    checkpoint = open_checkpoint(save_folder(tiny_model(model_type, **overrides), tmp_path / "model"))
    folder = tmp_path / "engine"
    integer_session(checkpoint, folder, INT4)
    write_standard(folder / "model.onnx", folder / "standard.onnx")
    lower(folder / "standard.onnx", folder / "lowered.onnx", capacity=CONTEXT)
    build_plan(load_tensorrt(), plan_order(folder / "lowered.onnx"), folder / "text.plan")
    assert (folder / "text.plan").stat().st_size > 10_000


def plan_order(graph: Path, target: str = "sm89") -> PlanOrder:
    one = (1, 1, 1)
    profiles = [{"tokens": one, "positions": one}, {"tokens": (1, MAX_TOKENS, MAX_TOKENS), "positions": one}]
    return PlanOrder(graph=graph, profiles=profiles, target=target, workspace_bytes=None, title="tiny")


def test_weights_stay_4_bits_in_the_network(artefact: Path, tmp_path: Path) -> None:
    """INT4 constants feed DequantizeLinear, and no float constant is as large as the smallest matrix."""
    lower(artefact / "standard.onnx", tmp_path / "lowered.onnx", capacity=CONTEXT)
    trt = load_tensorrt()
    log = builder._log(trt)
    network = builder._parsed(trt, trt.Builder(log), plan_order(tmp_path / "lowered.onnx"), log)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    constants = {layer.get_output(0).name: layer for layer in layers if layer.type == trt.LayerType.CONSTANT}
    four = {name for name, layer in constants.items() if layer.get_output(0).dtype == trt.DataType.INT4}
    dequantized = [layer for layer in layers if layer.type == trt.LayerType.DEQUANTIZE]
    assert len(four) == len(dequantized) == 4 * 2 + 2
    assert {layer.get_input(0).name for layer in dequantized} == four
    smallest = 128 * 128
    for name in constants.keys() - four:
        tensor = constants[name].get_output(0)
        assert np.prod(list(tensor.shape)) < smallest, f"{name} is a float copy of a matrix"


@pytest.mark.slow
def test_the_plan_of_a_larger_model_is_as_small_as_its_integers(tmp_path: Path) -> None:
    """What a plan has besides weights, the source of its kernels, is the same for every width."""
    sizes = []
    for width in (1024, 2048):
        graph = products(tmp_path / f"{width}.onnx", width)
        build_plan(load_tensorrt(), plan_order(graph), tmp_path / f"{width}.plan")
        sizes.append((tmp_path / f"{width}.plan").stat().st_size)
    parameters = 4 * (2048**2 - 1024**2)
    assert (sizes[1] - sizes[0]) / parameters < 0.6
    # No kernel writes a dequantized matrix: the plan lists what each does.
    assert not re.search(rb"function=\{ name=__myl_\w*ReplCastMulCast ", (tmp_path / "2048.plan").read_bytes())


def products(path: Path, width: int) -> Path:
    """Four square INT4 products."""
    random = np.random.default_rng(0)
    nodes, weights, x = [], [], "x"
    for number in range(4):
        codes = random.integers(0, 256, width * width // 2, np.uint8)
        scale = random.uniform(0.001, 0.01, (width // 32, width)).astype(np.float16)
        weights.append(helper.make_tensor(f"q{number}", TensorProto.INT4, [width, width], codes.tobytes(), raw=True))
        weights.append(onnx.numpy_helper.from_array(scale, f"s{number}"))
        nodes.append(
            helper.make_node("DequantizeLinear", [f"q{number}", f"s{number}"], [f"w{number}"], axis=0, block_size=32)
        )
        nodes.append(helper.make_node("MatMul", [x, f"w{number}"], [f"y{number}"]))
        x = f"y{number}"
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1, "tokens", width]) for name in ("x", x)]
    graph = helper.make_graph(nodes, "products", values[:1], values[1:], weights)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11).SerializeToString()
    )
    return path


@pytest.mark.slow
def test_the_default_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    default = Path(__file__).parents[2] / "build" / "engines" / "smollm2-135m"
    folder = Path(shutil.copytree(default, tmp_path / "default"))
    assert main(["compile", str(folder), "--target", "sm89"]) == 0
    assert "default: text.sm89.plan, " in capsys.readouterr().out
    assert (folder / "text.sm89.plan").stat().st_size < 160e6
    (plan,) = read_manifest(folder).plans
    assert (plan.capacity, plan.max_tokens) == (4096, 512)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "sm87"}, "sm87 plans are built on the Jetson itself, with JetPack's tensorrt: run the same"),
        ({"target": "sm90"}, "--target must be one of sm86, sm89, sm120"),
        ({"context": 100_000}, "--context must be 65 to 256"),
        ({"max_tokens": 128}, "--max-tokens must be 64 to 127"),
        ({"available_memory": 100_000_000}, "compiling takes about [0-9,]+ MB of memory, 100 MB are free"),
    ],
)
def test_what_cannot_be_compiled_is_refused_before_it_begins(
    changes: dict[str, Any], message: str, artefact: Path
) -> None:
    before = sorted(path.name for path in artefact.iterdir())
    with pytest.raises(InvalidInput, match=message):
        compile_artefact(order(artefact, **changes), quiet)
    assert sorted(path.name for path in artefact.iterdir()) == before


def test_a_full_disk_is_refused_with_numbers(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    with pytest.raises(InvalidInput, match=r"compiling takes about \d+ MB in .*tiny, 1 MB are free"):
        compile_artefact(order(artefact), quiet)


def test_a_disk_that_fills_up_while_the_plan_is_written(artefact: Path, tmp_path: Path) -> None:
    lower(artefact / "standard.onnx", tmp_path / "lowered.onnx", capacity=CONTEXT)
    with pytest.raises(OSError, match="No space left"):
        build_plan(load_tensorrt(), plan_order(tmp_path / "lowered.onnx"), Path("/dev/full"))


def test_memory_limits_of_a_process_and_its_group_count(tmp_path: Path) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemTotal: 9 kB\nMemAvailable: 8000000 kB\nSwapFree: 1000000 kB\n", encoding="ascii")
    assert preflight.available_memory_bytes(info, tmp_path) == 9_000_000 * 1024
    (tmp_path / "memory.max").write_text("5000000\n", encoding="ascii")
    (tmp_path / "memory.current").write_text("2000000\n", encoding="ascii")
    assert preflight.available_memory_bytes(info, tmp_path) == 3_000_000


def test_a_tampered_graph_is_one_line(artefact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (artefact / "standard.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"tampered")
    assert main(["compile", str(artefact), "--target", "sm89"]) == 1
    assert re.fullmatch(r"engines: .*standard\.onnx: SHA-256 differs.*\n", capsys.readouterr().err)


def test_an_engine_without_a_standard_graph(artefact: Path) -> None:
    path = artefact / "manifest.json"
    document = json.loads(path.read_bytes())
    document["graph"]["standard"] = None
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ArtefactError, match="has no graph in standard operators"):
        compile_artefact(order(artefact), quiet)


def test_an_operator_that_tensorrt_does_not_know_is_named(tmp_path: Path) -> None:
    graph = products(tmp_path / "odd.onnx", 64)
    model = onnx.load(graph)
    model.graph.node[-1].op_type = "FancyGemm"
    model.graph.node[-1].name = "layers.1.odd"
    graph.write_bytes(model.SerializeToString())
    with pytest.raises(ArtefactError, match=r"odd.onnx: TensorRT cannot read it: operator FancyGemm \(layers.1.odd\)"):
        build_plan(load_tensorrt(), plan_order(graph), tmp_path / "odd.plan")


def test_what_the_builder_cannot_do_is_one_line(artefact: Path, tmp_path: Path) -> None:
    """A chunk longer than the cache."""
    lower(artefact / "standard.onnx", tmp_path / "lowered.onnx", capacity=32)
    with pytest.raises(EdgedError, match=r"^TensorRT cannot build lowered.onnx for sm89: [^\n]{20,400}$"):
        build_plan(load_tensorrt(), plan_order(tmp_path / "lowered.onnx"), tmp_path / "text.plan")


def test_without_tensorrt_the_extra_is_named(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match="make setup EXTRAS=rtx"):
        compile_artefact(order(artefact), quiet)


def test_what_a_killed_compilation_left_is_cleared_away(artefact: Path) -> None:
    left = artefact.parent / ".tiny.compiling-dead"
    left.mkdir()
    (left / "lowered.onnx.data").write_bytes(b"weights")
    with pytest.raises(InvalidInput, match="are free"):
        compile_artefact(order(artefact, available_memory=0), quiet)
    compile_artefact(order(artefact), quiet)
    assert [path.name for path in artefact.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize(("sign", "reason"), [("SIGKILL", "out of memory\\?"), ("SIGSEGV", "a fault of TensorRT")])
def test_a_builder_that_dies_is_one_line(
    sign: str, reason: str, artefact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_manifest(artefact)
    dying = f"import os, signal, sys; sys.stdin.read(); os.kill(os.getpid(), signal.{sign})"
    popen = subprocess.Popen
    monkeypatch.setattr(
        process.subprocess, "Popen", lambda command, **options: popen([sys.executable, "-c", dying], **options)
    )
    with pytest.raises(EdgedError, match=f"^TensorRT's builder was ended by {sign} \\({reason}\\): lowered.onnx"):
        compile_artefact(order(artefact), quiet)
    assert read_manifest(artefact) == before


def test_an_interrupt_ends_the_build_and_changes_nothing(artefact: Path) -> None:
    before = read_manifest(artefact)
    program = (
        "import os, signal, sys, threading\n"
        "from engines.tensorrt import compile\n"
        "inner = compile.build_apart\n"
        "def interrupted(*arguments):\n"
        "    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "    inner(*arguments)\n"
        "    raise SystemExit('too late')\n"
        "compile.build_apart = interrupted\n"
        "from engines.__main__ import main\n"
        "sys.exit(main(['compile', sys.argv[1], '--target', 'sm89', '--context', '128']))\n"
    )
    command = [sys.executable, "-c", program, str(artefact)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (1, "engines: interrupted, nothing was installed\n")
    assert read_manifest(artefact) == before
    assert [path.name for path in artefact.parent.iterdir()] == ["tiny"]
