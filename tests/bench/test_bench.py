from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.cli.bench import percentile
from edged.engine.manifest import FileEntry, read_manifest
from tests.bench import engine_worker
from tests.bench.counters import Instructions
from tests.bench.interval import ratio_with_interval
from tests.bench.rivals import rival
from tests.tiny_artefact import tiny_artefact

bench = importlib.import_module("edged.cli.bench")  # the name in edged.cli is the command
TIMES = st.lists(st.floats(0.1, 100), min_size=1, max_size=20)


@given(TIMES, st.floats(0.5, 2))
def test_constant_ratio_has_no_width(times: list[float], ratio: float) -> None:
    found = ratio_with_interval([ratio * each for each in times], times, resamples=50)
    assert found == pytest.approx((ratio, ratio, ratio))


def test_interval_holds_the_median_and_narrows_with_more_sets() -> None:
    ours = [8.0, 9.0, 10.0, 9.5, 8.5]
    few = ratio_with_interval(ours, [10.0] * 5)
    many = ratio_with_interval(ours * 8, [10.0] * 40)
    assert few[1] < few[0] == 0.9 < few[2]
    assert many[2] - many[1] < few[2] - few[1]


@pytest.mark.parametrize(("share", "value"), [(0.95, 10), (0.5, 5), (0.1, 1), (1.0, 10)])
def test_percentile(share: float, value: int) -> None:
    assert percentile([3, 1, 2, 5, 4, 10, 9, 8, 7, 6], share) == value


def test_worker_measures_what_it_is_asked_for(tmp_path: Path) -> None:
    folder = tiny_artefact(tmp_path, "tiny")
    worker = ("-m", engine_worker.__name__)
    with rival(Path(sys.executable), worker, folder, threads=1, context=128) as ours:
        taken = ours.run([4, 8], 3)
    assert [len(steps) for steps in taken.decode_ms] == [3, 3] and len(taken.ttft_ms) == 2
    assert min(taken.ttft_ms) > 0 and taken.peak_bytes > 0 and ours.load_seconds > 0


def test_counter_counts_threads_started_later() -> None:
    software, task_clock = 1, 1
    counter = Instructions(kind=software, event=task_clock)
    before = counter.read()
    if before is None:  # containers may not count; then nothing is made up
        assert counter.read() is None
        return
    thread = threading.Thread(target=lambda: sum(range(3_000_000)))
    thread.start()
    thread.join()
    after = counter.read()
    assert after is not None and after - before > 1_000_000  # nanoseconds


def test_memory_is_read_before_bandwidth_takes_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_artefact(tmp_path / "engines")
    monkeypatch.setenv("EDGED_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("EDGED_ENGINES_DIR", str(tmp_path / "engines"))
    order: list[str] = []

    def peak() -> int:
        order.append("peak")
        return 1

    def bandwidth(threads: int) -> float:
        order.append("bandwidth")
        return 1.0

    monkeypatch.setattr(bench, "peak_resident_bytes", peak)
    monkeypatch.setattr(bench, "copy_bandwidth", bandwidth)
    bench._measure("tiny", sets=1)
    assert order == ["peak", "bandwidth"]


def test_a_token_reads_no_weights_of_the_towers(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_artefact(tmp_path))
    without = bench.least_read_bytes(manifest, 0)
    towers = {f"{part}.onnx.data": FileEntry(sha256="0" * 64, bytes=10**9) for part in ("vision", "audio")}
    vision, audio = SimpleNamespace(file="vision.onnx"), SimpleNamespace(file="audio.onnx")
    seeing: Any = SimpleNamespace(files={**manifest.files, **towers}, vision=vision, audio=audio, kv_bytes_per_token=0)
    assert bench.least_read_bytes(seeing, 0) == without > 0
