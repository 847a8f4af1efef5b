"""TensorRTSession against a scripted runtime: which profile, addresses and shapes it binds. No GPU computes here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edged.engine.buffer import Host
from edged.engine.manifest import Manifest, Plan, read_manifest
from edged.engine.session import Sight
from edged.engine.tensorrt_session import DECODE, PREFILL, TensorRTSession, plan_for
from edged.errors import ArtefactError, DeviceUnavailable
from tests.tiny_artefact import tiny_artefact

CAPACITY, MAX_TOKENS = 32, 8


class Context:
    """Writes its run's last token and position where the logits are bound, and what it was given into `runs`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.profile = -1
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        self.profile = profile
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        def at(name: str, count: int, kind: Any) -> np.ndarray[Any, Any]:
            import ctypes

            size = count * np.dtype(kind).itemsize
            return np.frombuffer((ctypes.c_char * size).from_address(self.addresses[name]), kind)

        tokens = at("input_ids", self.shapes["input_ids"][1], np.int64).tolist()
        last, index = int(at("seqlens_k", 1, np.int32)[0]), int(at("logits_index", 1, np.int64)[0])
        run = {"profile": self.profile, "tokens": tokens, "last": last, "cache": self.addresses["present.0.key"]}
        if "position_ids" in self.shapes:
            run["positions"] = at("position_ids", 3 * len(tokens), np.int64).reshape(3, -1).tolist()
        self.engine.runs.append(run)
        logits = at("logits", 2, np.float16)
        logits[:] = (tokens[index], last)
        return True


class Engine:
    def __init__(self, manifest: Manifest, *, aliased: bool = True, capacity: int = CAPACITY) -> None:
        self.shape = (1, manifest.kv_heads, capacity, manifest.head_dim)
        self.aliased = aliased
        self.runs: list[dict[str, Any]] = []

    def create_execution_context(self) -> Context:
        return Context(self)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shape

    def get_aliased_input_tensor(self, name: str) -> str | None:
        return name.replace("present", "past_key_values") if self.aliased else None


class Recording:
    """A stream that does everything at once."""

    handle = 7

    def __init__(self) -> None:
        self.recorded = 0

    def wait(self) -> None:
        """Nothing is under way."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        return work


class Logger:
    Severity = SimpleNamespace(ERROR=1)


def runtime(engine: Engine | None) -> Any:
    found = SimpleNamespace(deserialize_cuda_engine=lambda data: engine)
    return SimpleNamespace(
        __name__="tensorrt_rtx_bindings", __version__="1.7", ILogger=Logger, Runtime=lambda log: found
    )


PLAN = Plan(
    file="text.sm89.plan",
    part="text",
    builder="tensorrt_rtx 1.7",
    target="sm89",
    capacity=CAPACITY,
    max_tokens=MAX_TOKENS,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tiny_artefact(tmp_path)
    (folder / PLAN.file).write_bytes(b"plan")
    return folder


def opened(folder: Path, *, sees: bool = False, **changes: Any) -> tuple[TensorRTSession, Engine, Recording]:
    manifest = read_manifest_with(folder, sees=sees)
    engine, stream = Engine(manifest, **changes), Recording()
    session = TensorRTSession(
        folder, manifest, PLAN, trt=runtime(engine), device=Host(), stream=stream, title="RTX 4090"
    )
    return session, engine, stream


def read_manifest_with(folder: Path, *, sees: bool = False) -> Manifest:
    (folder / PLAN.file).unlink()
    manifest = read_manifest(folder)
    (folder / PLAN.file).write_bytes(b"plan")
    return dataclasses.replace(manifest, graph=dataclasses.replace(manifest.graph, sees=sees))


def test_a_long_prompt_comes_in_chunks_that_follow_each_other(folder: Path) -> None:
    session, engine, _ = opened(folder)
    memory = session.allocate()
    logits = session.prefill(memory, 3, list(range(100, 118)), (0, -1))
    assert [(run["profile"], run["tokens"], run["last"]) for run in engine.runs] == [
        (PREFILL, [100], 3),
        (PREFILL, list(range(101, 109)), 11),
        (PREFILL, list(range(109, 117)), 19),
        (PREFILL, [117], 20),
    ]
    assert logits.dtype == np.float32 and logits[:, :2].tolist() == [[100, 3], [117, 20]]


def test_decoding_is_recorded_once_for_each_sequence(folder: Path) -> None:
    session, engine, stream = opened(folder)
    one, other = session.allocate(), session.allocate()
    steps = [session.decode(one, 4, 50)[:2].tolist(), session.decode(one, 5, 51)[:2].tolist()]
    steps.append(session.decode(other, 9, 52)[:2].tolist())
    assert steps == [[50, 4], [51, 5], [52, 9]] and stream.recorded == 2
    assert {run["profile"] for run in engine.runs} == {DECODE}
    assert [run["cache"] for run in engine.runs] == [one.cache.pointer] * 2 + [other.cache.pointer]


def test_past_and_present_are_the_same_memory_layer_after_layer(folder: Path) -> None:
    session, _, _ = opened(folder)
    memory = session.allocate()
    addresses = memory.addresses()
    layer = int(np.prod(memory.cache.shape[1:])) * 2
    for index, name in enumerate(("0.key", "0.value", "1.key", "1.value")):
        expected = memory.cache.pointer + index * layer
        assert addresses[f"past_key_values.{name}"] == addresses[f"present.{name}"] == expected
    assert memory.cache.dtype == np.float16 and memory.cache.shape[2] == CAPACITY


def test_positions_and_pictures_are_cut_like_tokens(folder: Path) -> None:
    session, engine, _ = opened(folder, sees=True)
    positions = np.arange(30).reshape(3, 10)
    width = read_manifest_with(folder).hidden_size
    sight = Sight(positions=positions, embeddings=np.zeros((10, width), np.float32))
    memory = session.allocate()
    session.prefill(memory, 0, list(range(10)), sight=sight)
    assert [run["positions"] for run in engine.runs] == [positions[:, :8].tolist(), positions[:, 8:].tolist()]
    session.decode(memory, 10, 5, shift=-4)
    assert engine.runs[-1]["positions"] == [[6], [6], [6]]
    session.prefill(memory, 11, [1, 2])
    assert engine.runs[-1]["positions"] == [[11, 12]] * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"aliased": False}, r"present.0.key is not written in place"), ({"capacity": 64}, "is not .*manifest says")],
)
def test_a_plan_unlike_its_manifest_is_refused(changes: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(ArtefactError, match=message):
        opened(folder, **changes)


def test_a_plan_that_tensorrt_refuses_is_one_line(folder: Path) -> None:
    with pytest.raises(ArtefactError, match=r"text.sm89.plan: TensorRT cannot load it: it does not say why$"):
        TensorRTSession(
            folder,
            read_manifest_with(folder),
            PLAN,
            trt=runtime(None),
            device=Host(),
            stream=Recording(),
            title="RTX 4090",
        )


def test_a_foreign_plan_is_refused_with_the_command_that_fixes_it(folder: Path) -> None:
    manifest = dataclasses.replace(read_manifest_with(folder), plans=(PLAN,))
    trt = runtime(None)
    assert plan_for(folder, manifest, "sm89", lambda: trt) == PLAN
    with pytest.raises(DeviceUnavailable, match=r"for this GPU, sm120 \(only for sm89\): python -m engines compile"):
        plan_for(folder, manifest, "sm120", lambda: trt)
    trt.__version__ = "1.8"
    with pytest.raises(DeviceUnavailable, match=r"built by tensorrt_rtx 1\.7, here is tensorrt_rtx 1\.8: python -m"):
        plan_for(folder, manifest, "sm89", lambda: trt)
