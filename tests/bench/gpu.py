"""`make bench-gpu`, `python -m tests.bench.gpu`: full-size models with random weights on a GPU.

Builds each model on the spot and runs it as the daemon would. Prints milliseconds a token after short and long
contexts, the time of prompts and of a screenshot, and how much of the memory's bandwidth decoding uses.
`--shape tiny tiny-moe --device cpu` tries the program itself. With `--keep DIR` engines stay and are found again;
`--decode-only` leaves prompts out: tokens are decoded behind an empty cache, which is as much work.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnxruntime

from edged.cli.bench import copy_bandwidth, peak_resident_bytes
from edged.engine import cuda
from edged.engine.buffer import Device, Host
from edged.engine.gpu import find_gpus
from edged.engine.manifest import Manifest
from edged.engine.onnx_memory import OnnxMemory
from edged.engine.onnx_session import OnnxSession
from edged.engine.session import Sight
from engines.architecture import Architecture
from engines.graph.integer_weights import IntegerFormat
from engines.graph.model_file import Activations
from engines.memory import footprint, text_shape
from tests.bench import random_model
from tests.docs import ROOT

CONTEXTS = (128, 4000)
"""Tokens before the ones that are timed."""
PROMPT = 512
SCREENSHOTS = MappingProxyType({"glm4v": (111, 28), "autoglm_phone": (41, 18)})
"""Rows and columns of tokens of a 1080x2400 picture: 3,108 and, as the article's model makes it smaller, 738."""
DECODED, PROMPTS = 64, 3
BLOCKS, EXPERT_BLOCKS = (128, 32), (64,)
"""Weights to a scale, of dense models and of mixtures."""
CHUNK = 512
"""Tokens of a prompt computed at a time; a picture goes in whole."""
BIASED = MappingProxyType({"glm4v": ("q", "k", "v")})
SHAPES: Mapping[str, Callable[[], Architecture]] = MappingProxyType(
    {
        "autoglm-phone-9b": random_model.glm_9b,
        "autoglm-phone-9b-moe": random_model.phone_9b,
        "llama-3-8b": random_model.llama_3_8b,
        "gemma-2b": random_model.gemma_2b,
        "tiny": random_model.tiny,
        "tiny-moe": random_model.tiny_phone,
    }
)
"""The first is the dense model that is published under that name, the second the article's design."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one model on one device."""

    model: str
    block_size: int
    where: str
    decode_ms: tuple[float, ...]
    """Median of a token, after each of CONTEXTS."""
    prompt_ms: float | None
    """None where only decoding was measured."""
    screenshot_ms: float | None
    """None of a model that does not see, too."""
    read_bytes: tuple[int, ...]
    """A token, after each of CONTEXTS."""
    peak_bytes: int
    """Of the device's memory; on a CPU of the process."""


def measure(
    architecture: Architecture,
    block_size: int,
    device: Device,
    activations: Activations,
    folder: Path,
    *,
    decode_only: bool = False,
) -> Figures:
    """Build the model in the folder, if it is not there yet, and time it."""
    storage = random_model.random_format(block_size)
    manifest = _engine(architecture, storage, activations, folder)
    before = 0 if device.kind == "cpu" else _memory_in_use(device)
    capacity = CONTEXTS[-1] + DECODED + 32
    session = OnnxSession(folder, manifest, max_seq_len=capacity, threads=0, devices=[device])
    memory = session.allocate()
    decode_ms, prompt_ms, screenshot_ms = [], None, None
    for context in CONTEXTS:
        if not decode_only:
            _prefill(session, memory, manifest, context)
        decode_ms.append(_decode_ms(session, memory, manifest, context))
    if not decode_only:
        prompt_ms = _median_ms(lambda: _prefill(session, memory, manifest, PROMPT))
    if architecture.sees and not decode_only:
        sight = _screenshot(manifest)
        tokens = list(range(-1, -1 - sight.positions.shape[1], -1))
        screenshot_ms = _median_ms(lambda: session.prefill(memory, 0, tokens, sight=sight))
    needs = footprint(text_shape(architecture, positions=0, qkv_bias=False), storage, activations=activations)
    return Figures(
        model=architecture.model_type,
        block_size=block_size,
        where=session.device,
        decode_ms=tuple(decode_ms),
        prompt_ms=prompt_ms,
        screenshot_ms=screenshot_ms,
        read_bytes=tuple(needs.read_per_token(context) for context in CONTEXTS),
        peak_bytes=_memory_in_use(device) - before,  # ONNX Runtime keeps what it once took
    )


def _engine(architecture: Architecture, storage: IntegerFormat, activations: Activations, folder: Path) -> Manifest:
    """Written into the folder, or found there whole."""
    checkpoint = random_model.random_checkpoint(architecture, folder, BIASED.get(architecture.model_type, ()))
    if not (folder / "model.onnx").exists():  # the graph is written when all weights are
        random_model.write_engine(checkpoint, storage, activations, folder)
    return random_model.manifest_of(checkpoint, storage, activations)


def _decode_ms(session: OnnxSession, memory: OnnxMemory, manifest: Manifest, context: int) -> float:
    """Median of tokens after `context` others; the first few record a CUDA graph.

    Tokens are arbitrary: a model of random weights would say one again and again, and choose the same experts.
    """
    steps = []
    for position in range(context, context + DECODED):
        token = _token(position, manifest)
        steps.append(_timed(lambda position=position, token=token: session.decode(memory, position, token).argmax()))
    return statistics.median(steps[4:])


def _prefill(session: OnnxSession, memory: OnnxMemory, manifest: Manifest, length: int) -> None:
    """Compute a prompt of arbitrary tokens, which do not change the work."""
    tokens = [_token(place, manifest) for place in range(length)]
    for start in range(0, length, CHUNK):
        session.prefill(memory, start, tokens[start : start + CHUNK])


def _token(place: int, manifest: Manifest) -> int:
    return (7919 * place + 13) % manifest.vocab_size


def _screenshot(manifest: Manifest) -> Sight:
    rows, columns = SCREENSHOTS[manifest.model_type]
    places = np.indices((rows, columns)).reshape(2, -1)
    positions = np.concatenate([np.zeros((1, rows * columns), np.int64), places])
    embeddings = np.random.default_rng(0).normal(size=(rows * columns, manifest.hidden_size)).astype(np.float32)
    return Sight(positions=positions, embeddings=embeddings, types=np.ones(rows * columns, np.int64))


def _median_ms(call: Callable[[], object]) -> float:
    return statistics.median(_timed(call) for _ in range(PROMPTS))


def _timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3


def _memory_in_use(device: Device) -> int:
    """Bytes of the GPU's memory that are taken, by whomever; of a CPU, the most this process had."""
    if device.kind == "cpu":
        return peak_resident_bytes()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    cuda.call("cudaSetDevice", device.index)
    cuda.call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
    return total.value - free.value


def bandwidth(device: Device, size: int = 2**30) -> float:
    """Bytes a second, read and written together, that copying within the device's memory moves; the best of some."""
    if device.kind == "cpu":
        return copy_bandwidth(2)
    source, target = device.zeros((size,), np.uint8), device.zeros((size,), np.uint8)
    source.write(1)
    return max(2 * size / (_timed(lambda: target.copy(source)) / 1e3) for _ in range(10))


def table(results: Sequence[Figures], bytes_per_second: float) -> str:
    """Markdown."""
    head = ["model", "block", *(f"ms/token after {context:,}" for context in CONTEXTS)]
    head += ["GB/token", "share of bandwidth", f"prompt of {PROMPT}, ms", "screenshot, ms", "memory, GB", "ran on"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for each in results:
        shares = [
            read / bytes_per_second / (ms / 1e3) for read, ms in zip(each.read_bytes, each.decode_ms, strict=True)
        ]
        cells = [each.model, str(each.block_size), *(f"{ms:.2f}" for ms in each.decode_ms)]
        cells += [" / ".join(f"{read / 1e9:.2f}" for read in each.read_bytes)]
        cells += [" / ".join(f"{share:.0%}" for share in shares)]
        cells += ["-" if ms is None else f"{ms:.0f}" for ms in (each.prompt_ms, each.screenshot_ms)]
        cells += [f"{each.peak_bytes / 1e9:.2f}", each.where]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure what the arguments ask for and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    names = [name for name in SHAPES if not name.startswith("tiny")]
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=names, help="models (all full-size ones)")
    parser.add_argument("--block", nargs="+", type=int, choices=(32, 64, 128), help="(128 32; 64 of experts)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dir", type=Path, help="where engines are written and deleted (the temporary folder)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where engines stay, to be found by the next run")
    parser.add_argument("--decode-only", action="store_true", help="no prompts")
    options = parser.parse_args(arguments)
    device: Device = cuda.CudaDevice() if options.device == "cuda" else Host()
    if device.kind == "cuda" and (obstacle := find_gpus().obstacle or cuda.provider_obstacle()):
        parser.error(f"no GPU can be used: {obstacle}")
    bytes_per_second = bandwidth(device)
    print(_conditions(device, bytes_per_second), flush=True)
    activations: Activations = "float16" if device.kind == "cuda" else "float32"
    results = []
    for name in options.shape:
        architecture = SHAPES[name]()
        for block_size in options.block or (EXPERT_BLOCKS if architecture.experts else BLOCKS):
            with _folder(options, f"{name}-{block_size}-{activations}") as folder:
                results.append(
                    measure(architecture, block_size, device, activations, folder, decode_only=options.decode_only)
                )
    print(table(results, bytes_per_second))


@contextmanager
def _folder(options: argparse.Namespace, name: str) -> Iterator[Path]:
    if options.keep is None:
        with tempfile.TemporaryDirectory(dir=options.dir) as folder:
            yield Path(folder)
    else:
        folder = options.keep / name
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def _conditions(device: Device, bytes_per_second: float) -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    title = "CPU: this tries the program, it measures no GPU"
    if device.kind == "cuda":
        gpu = find_gpus().found[device.index]
        title = f"{gpu.name} ({gpu.capability})"
    return (
        f"{title}, onnxruntime {onnxruntime.__version__}, {date.today()}, commit {commit}; "
        f"copies move {bytes_per_second / 1e9:.0f} GB/s; random INT4 weights, batch 1\n"
    )


if __name__ == "__main__":
    main()
