"""`engines compile`: real plans, built without a GPU, and everything that can be wrong before or while."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import onnx
import pytest
from plans import CONTEXT, MAX_TOKENS, plan_order, products
from tiny_checkpoints import gentle, integer_session, save_folder, tiny_model
from variants import INT4, VARIANTS

from edged.config import EngineConfig
from edged.engine.engine import load_engine
from edged.engine.manifest import file_names, read_manifest, verify_files
from edged.engine.tensorrt_module import load_tensorrt
from edged.errors import ArtefactError, EdgedError, InvalidInput, MissingExtra
from engines.__main__ import main
from engines.build import Order, build
from engines.checkpoint import open_checkpoint
from engines.graph.standard import write_standard
from engines.recipe import load_recipe
from engines.tensorrt import preflight, process
from engines.tensorrt.builder import build_plan
from engines.tensorrt.compile import TARGETS, CompileOrder, compile_artefact
from engines.tensorrt.lower import lower
from tests.e2e.program import require_namespaces

T = TypeVar("T")


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


@pytest.fixture(scope="module")
def planned(built: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The same with plans for all targets, one compiled after the other, and what was said."""
    folder = Path(shutil.copytree(built, tmp_path_factory.mktemp("planned") / "engines" / "tiny"))
    said: list[str] = []
    for target in TARGETS:
        compile_artefact(order(folder, target), said.append)
    return folder, said


@pytest.fixture
def compiled(planned: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(planned[0], tmp_path / "engines" / "tiny"))


def order(folder: Path, target: str = "sm89", **changes: Any) -> CompileOrder:
    return dataclasses.replace(
        CompileOrder(folder=folder, target=target, context=CONTEXT, max_tokens=MAX_TOKENS), **changes
    )


def test_plans_for_all_targets_lie_beside_each_other(built: Path, planned: tuple[Path, list[str]]) -> None:
    (folder, said), before = planned, read_manifest(built)
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    assert [(plan.file, plan.part, plan.target) for plan in manifest.plans] == [
        (f"text.{target}.{manifest.files[plan.file].sha256[:8]}.plan", "text", target)
        for target, plan in zip(TARGETS, manifest.plans, strict=True)
    ]
    assert all((plan.capacity, plan.max_tokens) == (CONTEXT, MAX_TOKENS) for plan in manifest.plans)
    assert all(re.fullmatch(r"tensorrt_rtx \d+\.\d+\.\d+.*", plan.builder) for plan in manifest.plans)
    assert dataclasses.replace(manifest, plans=(), files=before.files) == before
    assert [re.sub(r"[0-9a-f]{8}\.plan, \d+ MB", "", line).partition(" by ")[0] for line in said] == [
        f"tiny: text.{target}.," for target in TARGETS
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_compiling_again_replaces_plan_and_record(compiled: Path) -> None:
    others = [plan for plan in read_manifest(compiled).plans if plan.target != "sm89"]
    for context, max_tokens in ((96, 80), (200, 100)):
        compile_artefact(order(compiled, context=context, max_tokens=max_tokens, workspace_mb=64), quiet)
        manifest = read_manifest(compiled)
        verify_files(compiled, manifest)
        *kept, plan = manifest.plans
        assert kept == others and (plan.target, plan.capacity, plan.max_tokens) == ("sm89", context, max_tokens)
        assert {path.name for path in compiled.glob("*.plan")} == {plan.file for plan in manifest.plans}
        assert file_names(compiled) == set(manifest.files)


@pytest.mark.parametrize("damage", ["gone", "torn", "tampered"])
def test_a_damaged_plan_is_replaced_by_the_command_that_its_error_names(
    damage: str, compiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (plan,) = (plan for plan in read_manifest(compiled).plans if plan.target == "sm89")
    file = compiled / plan.file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    match damage:
        case "gone":
            file.unlink()
        case "torn":
            file.write_bytes(content[:100])
        case "tampered":
            file.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"\.plan: .*: python -m engines compile \S+tiny --target sm89$") as raised:
        load_engine(compiled, EngineConfig())
    command = shlex.split(raised.value.message.partition("python -m engines ")[2])
    assert main([*command, "--context", "128", "--max-tokens", "64"]) == 0
    verify_files(compiled, read_manifest(compiled))
    assert "tiny: text.sm89." in capsys.readouterr().out


@pytest.mark.parametrize("variant", ["gemma2", "qwen3", "mistral, sliding window", "glm4v"])
def test_every_kind_of_model_parses_and_builds(variant: str, tmp_path: Path) -> None:
    model_type, overrides = VARIANTS[variant]
    checkpoint = open_checkpoint(save_folder(tiny_model(model_type, **overrides), tmp_path / "model"))
    folder = tmp_path / "engine"
    integer_session(checkpoint, folder, INT4)
    write_standard(folder / "model.onnx", folder / "standard.onnx")
    lower(folder / "standard.onnx", folder / "lowered.onnx", capacity=CONTEXT)
    build_plan(load_tensorrt(), plan_order(folder / "lowered.onnx"), folder / "text.plan")
    assert (folder / "text.plan").stat().st_size > 10_000


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


def test_a_full_disk_is_refused_with_numbers(artefact: Path, tmp_path: Path) -> None:
    """A real one, of 6 MB, in a mount namespace that needs no root."""
    require_namespaces("-rm")
    (disk := tmp_path / "disk").mkdir()
    script = (
        'mount -t tmpfs -o size=6m tmpfs "$1" && cp -r "$2" "$1/tiny" && before=$(ls -A "$1" "$1/tiny")\n'
        '"$3" -m engines compile "$1/tiny" --target sm89 --context 128\n'
        'echo "code $?"; test "$before" = "$(ls -A "$1" "$1/tiny")" && echo unchanged'
    )
    command = ["unshare", "-rm", "sh", "-c", script, "sh", disk, artefact, sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "code 1\nunchanged\n"
    assert re.fullmatch(r"engines: compiling takes about \d+ MB in \S+/tiny, \d MB are free\n", done.stderr)


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


def test_plans_that_are_installed_together_need_the_disk_together(tmp_path: Path) -> None:
    text = preflight.need_of(10**6, 10, is_lowered=True)
    vision = preflight.need_of(10**6, 10, is_lowered=False)
    assert text.disk - vision.disk == 10**6 and text.memory == vision.memory
    half = shutil.disk_usage(tmp_path).free * 2 // 3
    fits = preflight.Need(memory=10**9, disk=half)
    preflight.require_room([fits], tmp_path, available_memory=10**9)
    with pytest.raises(InvalidInput, match=r"MB are free$"):
        preflight.require_room([fits, fits], tmp_path, available_memory=10**9)


def test_a_limit_of_the_process_counts() -> None:
    """As `ulimit -v` sets it; less than the machine has."""
    program = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3_000_000_000, resource.RLIM_INFINITY))\n"
        "from engines.tensorrt import preflight\n"
        "free = preflight.available_memory_bytes()\n"
        "used = 3_000_000_000 - free\n"
        "taken = bytearray(500_000_000)\n"
        "print(free < 3_000_000_000, used > 0, free - preflight.available_memory_bytes() >= 500_000_000)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 600_000_000, resource.RLIM_INFINITY))\n"
        "preflight.require_room([preflight.Need(memory=10**9, disk=0)], preflight.Path('.'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "True True True\n"
    assert re.search(r"compiling takes about 1,000 MB of memory, \d+ MB are free: stop other", done.stderr)


def test_a_tampered_graph_is_one_line(artefact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (artefact / "standard.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"tampered")
    assert main(["compile", str(artefact), "--target", "sm89"]) == 1
    assert re.fullmatch(r"engines: .*standard\.onnx: SHA-256 differs.*\n", capsys.readouterr().err)


def test_an_engine_in_stages_is_for_several_gpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save_folder(gentle(tiny_model("qwen2")), tmp_path / "two")
    out = ["--out", str(tmp_path / "out" / "two")]
    assert main(["build", str(source), "--recipe", "rtx-4090-x2", *out]) == 0
    assert main(["compile", out[1], "--target", "sm89"]) == 1
    assert "is in 2 stages, one for each GPU, and a plan is for one GPU: build it by" in capsys.readouterr().err


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


@pytest.mark.parametrize("moment", ["building", "installing"])
def test_a_killed_compilation_leaves_the_engine_as_it_was(moment: str, compiled: Path) -> None:
    """With SIGKILL, while the builder works or between new plans and the manifest."""
    before = {path.name: path.read_bytes() for path in compiled.iterdir()}
    program = (
        "import os, signal, sys, threading\n"
        "from pathlib import Path\n"
        "from engines.tensorrt import compile\n"
        "inner = compile.build_apart\n"
        "def die(): os.kill(os.getpid(), signal.SIGKILL)\n"
        "def watched(*arguments):\n"
        "    if sys.argv[2] == 'building': threading.Timer(0.3, die).start()\n"
        "    inner(*arguments)\n"
        "replace = Path.replace\n"
        "def dying(path, target): die() if path.name == 'manifest.json' else replace(path, target)\n"
        "compile.build_apart, Path.replace = watched, dying\n"
        "from engines.__main__ import main\n"
        "main(['compile', sys.argv[1], '--target', 'sm89', '--context', '96'])\n"
    )
    command = [sys.executable, "-c", program, str(compiled), moment]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    verify_files(compiled, read_manifest(compiled))
    assert {name: (compiled / name).read_bytes() for name in before} == before
    compile_artefact(order(compiled, context=96, max_tokens=80), quiet)
    assert file_names(compiled) == set(read_manifest(compiled).files)
    assert [path.name for path in compiled.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("seconds", [0.05, 2.0], ids=["as it starts", "as it works"])
def test_the_builder_dies_with_its_command(seconds: float, tmp_path: Path) -> None:
    """It would wait for ever for somebody to read this plan."""
    products(tmp_path / "graph.onnx", 64)
    os.mkfifo(tmp_path / "text.plan")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from plans import plan_order\n"
        "from engines.tensorrt.process import build_apart\n"
        "build_apart(plan_order(Path(sys.argv[1]) / 'graph.onnx'), Path(sys.argv[1]) / 'text.plan')\n"
    )
    path = os.pathsep.join(sys.path)
    parent = subprocess.Popen([sys.executable, "-c", program, tmp_path], env=os.environ | {"PYTHONPATH": path})
    try:
        child = wait_for(lambda: builders(tmp_path))
        time.sleep(seconds)
        assert builders(tmp_path) == child
    finally:
        parent.kill()
        parent.wait()
    try:
        wait_for(lambda: not builders(tmp_path))
    finally:
        for left in builders(tmp_path):
            os.kill(int(left), signal.SIGKILL)


def wait_for(found: Callable[[], T]) -> T:
    for _ in range(600):
        if what := found():
            return what
        time.sleep(0.05)
    raise AssertionError("nothing came")


def builders(folder: Path) -> list[str]:
    """Builder processes whose plan is to lie in the folder."""
    plan = os.fsencode(folder / "text.plan")
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if plan in words(path)]


def words(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\0")
    except OSError:  # it has just ended
        return []
