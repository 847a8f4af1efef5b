"""`python -m tests.bench.sparse`: what a token costs a mixture that chooses few experts, beside one that takes all.

The text model of autoglm-phone-nano with random INT4 weights, decoding on the CPU. Both kinds take turns, so that the
machine's noise falls on both; the ratio is the median over turns with a bootstrap interval. The bound is the share of
parameters that a token passes, and 15 % of all experts' time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import onnxruntime

from edged.engine.onnx_session import OnnxSession
from engines.architecture import Architecture
from tests.bench import random_model
from tests.bench.conditions import commit, processor
from tests.bench.interval import ratio_with_interval

ALLOWANCE = 0.15
CONTEXT, STEPS = 128, 64
"""Tokens before those of a turn, and tokens of a turn."""
BLOCK_SIZE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of the sparse and the dense model, in turns."""

    sparse_ms: tuple[float, ...]
    dense_ms: tuple[float, ...]
    """Median of a token, in each turn."""
    active: int
    parameters: int

    @property
    def bound(self) -> float:
        """Most of the dense model's time that the sparse one may take."""
        return self.active / self.parameters + ALLOWANCE


def measure(architecture: Architecture, turns: int, threads: int) -> Figures:
    """Write both models and let them take turns."""
    dense = replace(architecture, experts_per_token=architecture.experts)
    with tempfile.TemporaryDirectory() as folder:
        turn = [_decoder(each, Path(folder) / str(place), threads) for place, each in enumerate((architecture, dense))]
        for each in turn:
            each.turn_ms()
        pairs = [(turn[0].turn_ms(), turn[1].turn_ms()) for _ in range(turns)]
    sparse_ms, dense_ms = zip(*pairs, strict=True)
    return Figures(
        sparse_ms=sparse_ms,
        dense_ms=dense_ms,
        active=architecture.active_parameters,
        parameters=architecture.parameters,
    )


class _Decoder:
    """One of the models, loaded."""

    def __init__(self, session: OnnxSession, vocab_size: int) -> None:
        self.session, self.vocab_size = session, vocab_size
        self.memory = session.allocate()

    def turn_ms(self) -> float:
        """Median of a token behind an empty cache, which is as much work as behind a full one."""
        steps = []
        for position in range(CONTEXT, CONTEXT + STEPS):
            begun = time.perf_counter()
            self.session.decode(self.memory, position, (7919 * position + 13) % self.vocab_size)
            steps.append((time.perf_counter() - begun) * 1e3)
        return statistics.median(steps)


def _decoder(architecture: Architecture, folder: Path, threads: int) -> _Decoder:
    folder.mkdir()
    checkpoint = random_model.random_checkpoint(architecture, folder)
    manifest = random_model.write_engine(checkpoint, random_model.nano_format(BLOCK_SIZE), "float32", folder)
    session = OnnxSession(folder, manifest, max_seq_len=CONTEXT + STEPS, threads=threads)
    return _Decoder(session, architecture.vocab_size)


def report(found: Figures) -> str:
    """For people."""
    ratio, low, high = ratio_with_interval(found.sparse_ms, found.dense_ms)
    verdict = "holds" if ratio <= found.bound else "does not hold"
    return (
        f"{found.active / 1e6:.2f} of {found.parameters / 1e6:.2f} million parameters active a token; "
        f"{statistics.median(found.sparse_ms):.3f} ms a token, {statistics.median(found.dense_ms):.3f} ms with all "
        f"experts: {ratio:.1%} ({low:.1%} to {high:.1%}); bound {found.bound:.1%} {verdict}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sparse", description=__doc__)
    parser.add_argument("--turns", type=int, default=31, help="of each model (31)")
    parser.add_argument("--threads", type=int, default=1, help="of the run time; 0 takes all cores (1)")
    options = parser.parse_args(arguments)
    print(f"{processor()}, onnxruntime {onnxruntime.__version__}, {date.today()}, commit {commit()}", flush=True)
    print(report(measure(random_model.nano(), options.turns, options.threads)))


if __name__ == "__main__":
    main()
