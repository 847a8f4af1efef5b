from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edged.engine.manifest import read_manifest
from edged.engine.onnx_memory import OnnxMemories, OnnxMemory
from edged.engine.onnx_session import OnnxSession
from edged.errors import ArtefactError
from tests.tiny_artefact import tiny_artefact

TOKENS = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26]


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_artefact(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def session(artefact: Path) -> OnnxSession:
    return OnnxSession(artefact, read_manifest(artefact), max_seq_len=64, threads=1)


def poisoned(session: OnnxSession) -> OnnxMemory:
    """Memory whose unwritten part would spoil every score it reached."""
    memory = session.allocate()
    for part in memory.parts:
        part.cache.write(np.nan)
    return memory


def full_forward(session: OnnxSession) -> np.ndarray:
    return session.prefill(poisoned(session), 0, TOKENS, range(len(TOKENS)))


def test_cached_decode_equals_full_forward(session: OnnxSession) -> None:
    memory = poisoned(session)
    steps = [session.decode(memory, place, token).copy() for place, token in enumerate(TOKENS)]
    np.testing.assert_allclose(np.stack(steps), full_forward(session), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 2, 5, 11])
def test_chunked_prefill_equals_one_pass(session: OnnxSession, chunk: int) -> None:
    memory = poisoned(session)
    for begin in range(0, len(TOKENS), chunk):
        last = session.prefill(memory, begin, TOKENS[begin : begin + chunk])
    np.testing.assert_allclose(last[0], full_forward(session)[-1], rtol=1e-4, atol=1e-4)


def test_a_copied_prefix_goes_on_like_the_original(session: OnnxSession) -> None:
    source, target = poisoned(session), poisoned(session)
    session.prefill(source, 0, TOKENS)
    session.copy_prefix(source, target, 7)
    last = session.prefill(target, 7, TOKENS[7:])
    np.testing.assert_allclose(last[0], full_forward(session)[-1], rtol=1e-4, atol=1e-4)


def test_rewinding_overwrites_what_followed(session: OnnxSession) -> None:
    memory = poisoned(session)
    session.prefill(memory, 0, [*TOKENS[:5], 200, 201, 202])
    last = session.prefill(memory, 5, TOKENS[5:])
    np.testing.assert_allclose(last[0], full_forward(session)[-1], rtol=1e-4, atol=1e-4)


def test_what_a_sequence_leaves_is_taken_over_where_steps_are_recorded(session: OnnxSession) -> None:
    """As on a GPU, where a recorded step is never forgotten: as many are recorded as sequences were there at once."""
    memories = OnnxMemories(session._stages, session.capacity, keep=True)
    expected = full_forward(session)[-1]
    first, second = memories.allocate(), memories.allocate()
    session.prefill(first, 0, TOKENS[::-1])
    places = {memory.parts[0].cache.pointer for memory in (first, second)}
    assert len(places) == 2
    del first, second
    for _ in range(5):
        third = memories.allocate()
        assert third.parts[0].cache.pointer in places
        session.prefill(third, 0, TOKENS[:-1])
        np.testing.assert_allclose(session.decode(third, len(TOKENS) - 1, TOKENS[-1]), expected, rtol=1e-4, atol=1e-4)
        fourth = memories.allocate()
        assert {third.parts[0].cache.pointer, fourth.parts[0].cache.pointer} == places
        del third, fourth


def test_memories_go_with_their_session(artefact: Path) -> None:
    session = OnnxSession(artefact, read_manifest(artefact), max_seq_len=64, threads=1)
    memories = OnnxMemories(session._stages, session.capacity, keep=True)
    kept, dropped = memories.allocate(), memories.allocate()
    parts = [weakref.ref(memory.parts[0]) for memory in (kept, dropped)]
    del dropped, memories, session
    assert [part() is None for part in parts] == [False, False], "one that lives keeps the others"
    del kept
    gc.collect()
    assert [part() is None for part in parts] == [True, True]


def test_capacity_is_the_smaller_limit(artefact: Path) -> None:
    manifest = read_manifest(artefact)
    assert OnnxSession(artefact, manifest, max_seq_len=100, threads=1).capacity == 100
    assert OnnxSession(artefact, manifest, max_seq_len=10**6, threads=1).capacity == manifest.context_length


def test_memory_costs_nothing_until_written(artefact: Path) -> None:
    manifest = replace(read_manifest(artefact), context_length=10**6)
    session = OnnxSession(artefact, manifest, max_seq_len=10**6, threads=1)
    before = resident_bytes()
    kept = [session.allocate() for _ in range(4)]
    assert sum(part.cache.array.nbytes for memory in kept for part in memory.parts) > 2 * 10**9
    assert resident_bytes() - before < 50 * 10**6


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_graph_unlike_its_manifest_is_refused(artefact: Path) -> None:
    manifest = read_manifest(artefact)
    for wrong in (replace(manifest, layers=3), replace(manifest, kv_heads=4), replace(manifest, head_dim=8)):
        with pytest.raises(ArtefactError, match=r"model\.onnx: its"):
            OnnxSession(artefact, wrong, max_seq_len=64, threads=1)


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    artefact = tiny_artefact(tmp_path)
    manifest = read_manifest(artefact)
    (artefact / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(ArtefactError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        OnnxSession(artefact, manifest, max_seq_len=64, threads=1)
