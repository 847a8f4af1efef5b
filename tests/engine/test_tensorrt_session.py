"""TensorRTSession against a scripted runtime: which profile, addresses and shapes it binds. No GPU computes here."""

from __future__ import annotations

import dataclasses
import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.engine.buffer import Host
from edged.engine.manifest import Manifest, read_manifest
from edged.engine.session import Sight
from edged.engine.tensorrt_plan import plan_for
from edged.engine.tensorrt_session import DECODE, PREFILL, TensorRTSession
from edged.errors import ArtefactError, DeviceUnavailable, EdgedError
from tests.engine.scripted_tensorrt import CAPACITY, PLAN, Engine, Recording, runtime, text_tensors
from tests.tiny_artefact import tiny_artefact


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tiny_artefact(tmp_path)
    (folder / PLAN.file).write_bytes(b"plan")
    return folder


def opened(folder: Path, *, sees: bool = False, **changes: Any) -> tuple[TensorRTSession, Engine, Recording]:
    manifest = read_manifest_with(folder, sees=sees)
    engine, stream = Engine(text_tensors(manifest), **changes), Recording()
    session = TensorRTSession(
        folder, manifest, PLAN, trt=runtime(engine), device=Host(), stream=stream, title="RTX 4090"
    )
    return session, engine, stream


def read_manifest_with(folder: Path, *, sees: bool = False) -> Manifest:
    (folder / PLAN.file).unlink()
    manifest = read_manifest(folder)
    (folder / PLAN.file).write_bytes(b"plan")
    return dataclasses.replace(
        manifest, graph=dataclasses.replace(manifest.graph, embeddings=sees, mrope=sees, adapters=sees)
    )


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


def test_what_was_recorded_is_never_given_other_addresses(folder: Path) -> None:
    """Two sequences by turns, chunks in between: each has its own context, and all use one working memory."""
    session, engine, _ = opened(folder)
    one, other = session.allocate(), session.allocate()
    session.decode(one, 4, 50)
    recorded = dict(engine.contexts_run[-1].addresses)
    session.decode(other, 9, 52)
    session.prefill(other, 10, [1, 2, 3])
    assert session.decode(one, 5, 51)[:2].tolist() == [51, 5]
    first, second, chunk, again = engine.contexts_run
    assert first is again is one.context and second is other.context and len({first, second, chunk}) == 3
    assert first.addresses == recorded
    assert len({context.working for context in (first, second, chunk)}) == 1 and first.working[1] == 12345


def test_kernels_are_made_before_a_step_is_recorded_and_shared(folder: Path) -> None:
    session, engine, _ = opened(folder)
    one, other = session.allocate(), session.allocate()
    session.prefill(one, 0, [1, 2])
    session.decode(one, 2, 3)
    session.decode(other, 0, 3)
    chunk, *steps = [context.options for context in engine.contexts_run]
    assert [step.dynamic_shapes_kernel_specialization_strategy for step in steps] == ["eager"] * 2
    assert chunk.dynamic_shapes_kernel_specialization_strategy == "lazy", "sizes of chunks differ"
    assert {options.strategy for options in (chunk, *steps)} == {"user"}
    assert chunk.cache is steps[0].cache is steps[1].cache is not None


def test_a_sequence_is_freed_with_its_step(folder: Path) -> None:
    session, _, _ = opened(folder)
    memory = session.allocate()
    session.decode(memory, 0, 1)
    gone = weakref.ref(memory)
    del memory
    assert gone() is None, "without waiting for the garbage collector: a GPU has no more than it has"


def test_a_beginning_is_taken_over(folder: Path) -> None:
    session, _, _ = opened(folder)
    source, target = session.allocate(), session.allocate()
    source.cache.array[:] = np.arange(CAPACITY)[:, None]  # type: ignore[attr-defined]
    session.copy_prefix(source, target, 5)
    found = target.cache.array  # type: ignore[attr-defined]
    assert (found[..., :5, :] == np.arange(5)[:, None]).all() and not found[..., 5:, :].any()
    assert session.committed_positions(1) == CAPACITY


@pytest.mark.parametrize("fault", ["succeeds", "accepts_shapes"])
def test_a_run_that_fails_is_one_line(fault: str, folder: Path) -> None:
    session, engine, _ = opened(folder)
    setattr(engine, fault, False)
    with pytest.raises(EdgedError, match=r"^TensorRT failed in text.sm89.plan: the header is strange$"):
        session.prefill(session.allocate(), 0, [1])
    with pytest.raises(EdgedError, match=r"^TensorRT failed in text.sm89.plan: it does not say why$"):
        session.decode(session.allocate(), 0, 1)


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
    rows = np.repeat(np.arange(10, dtype=np.float32)[:, None], width, axis=1)
    sight = Sight(positions=positions, embeddings=rows, types=np.arange(10) % 3)
    memory = session.allocate()
    session.prefill(memory, 0, list(range(10)), sight=sight)
    assert [run["positions"] for run in engine.runs] == [positions[:, :8].tolist(), positions[:, 8:].tolist()]
    assert [run["embeddings"] for run in engine.runs] == [list(range(8)), [8, 9]]
    assert [run["types"] for run in engine.runs] == [[0, 1, 2, 0, 1, 2, 0, 1], [2, 0]]
    session.decode(memory, 10, 5, shift=-4)
    assert (engine.runs[-1]["positions"], engine.runs[-1]["types"]) == ([[6], [6], [6]], [0])
    session.prefill(memory, 11, [1, 2])
    assert (engine.runs[-1]["positions"], engine.runs[-1]["types"]) == ([[11, 12]] * 3, [0, 0])


FIX = r": python -m engines compile \S+ --target sm89$"


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("present.0.key", None, r"has not the inputs and outputs that the manifest says \('present.0.key'\)"),
        ("secret", ("HALF", (1,)), r"has not the inputs and outputs that the manifest says \('secret'\)"),
        ("present.1.value", ("HALF", (1, 2, 64, 16)), r"present.1.value is HALF \[1, 2, 64, 16\], not what the"),
        ("logits", ("HALF", (1, -1, 7)), r"logits is HALF \[1, -1, 7\], not what"),
        ("logits", ("FLOAT", (1, -1, 384)), "logits is FLOAT .* not what"),
        ("seqlens_k", ("INT64", (1,)), "seqlens_k is INT64"),
        ("input_ids", ("INT64", (-1,)), "input_ids is INT64"),
    ],
)
def test_a_plan_unlike_its_manifest_is_refused(name: str, tensor: Any, message: str, folder: Path) -> None:
    """It would read and write beyond what is bound."""
    manifest = read_manifest_with(folder)
    tensors = text_tensors(manifest) | {name: tensor}
    engine = Engine({key: value for key, value in tensors.items() if value is not None})
    with pytest.raises(ArtefactError, match=message) as raised:
        TensorRTSession(
            folder, manifest, PLAN, trt=runtime(engine), device=Host(), stream=Recording(), title="RTX 4090"
        )
    assert re.search(FIX, raised.value.message) and "\n" not in raised.value.message


def test_a_cache_that_is_not_written_in_place_is_refused(folder: Path) -> None:
    with pytest.raises(ArtefactError, match=r"present.0.key is not written in place: python -m engines compile"):
        opened(folder, aliased=False)


def test_a_plan_that_tensorrt_refuses_is_one_line(folder: Path) -> None:
    manifest, trt = read_manifest_with(folder), runtime(None)
    with pytest.raises(ArtefactError, match=f"text.sm89.plan: TensorRT cannot load it: the header is strange{FIX}"):
        TensorRTSession(folder, manifest, PLAN, trt=trt, device=Host(), stream=Recording(), title="RTX 4090")


def test_a_foreign_plan_is_refused_with_the_command_that_fixes_it(folder: Path) -> None:
    manifest = dataclasses.replace(read_manifest_with(folder), plans=(PLAN,))
    trt = runtime(None)
    assert plan_for(folder, manifest, "text", "sm89", lambda: trt) == PLAN
    with pytest.raises(DeviceUnavailable, match=r"for this GPU, sm120 \(only for sm89\): python -m engines compile"):
        plan_for(folder, manifest, "text", "sm120", lambda: trt)
    with pytest.raises(DeviceUnavailable, match=r"no TensorRT plan of its vision part for this GPU, sm89: python -m"):
        plan_for(folder, manifest, "vision", "sm89", lambda: trt)
    trt.__version__ = "1.8"
    with pytest.raises(DeviceUnavailable, match=r"built by tensorrt_rtx 1\.7, here is tensorrt_rtx 1\.8: python -m"):
        plan_for(folder, manifest, "text", "sm89", lambda: trt)
    with pytest.raises(DeviceUnavailable, match=r"compile '/my engines/tiny' --target sm120$"):
        plan_for(Path("/my engines/tiny"), manifest, "text", "sm120", lambda: trt)
