"""`make bench-gpu`, `python -m tests.bench.gpu`: full-size models with random weights on a GPU.

Builds each model on the spot and runs it as the daemon would. Prints milliseconds a token after short and long
contexts, the time of prompts and of a screenshot, and how much of the memory's bandwidth decoding uses.
`--shape tiny tiny-moe --device cpu` tries the program itself. With `--keep DIR` engines stay and are found again;
`--write` does no more than write them, which needs no GPU. `--decode-only` leaves prompts out: tokens are decoded
behind an empty cache, which is as much work. `--profile` says what a token's time is spent on, and needs PyTorch.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import shlex
import statistics
import sys
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
from edged.engine.session import Logits, Sight
from engines.architecture import Architecture
from engines.graph.integer_weights import IntegerFormat
from engines.graph.model_file import Activations
from engines.memory import Footprint, footprint, text_shape
from tests.bench import gpu_profile, random_model
from tests.bench.conditions import commit

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
        "autoglm-phone-9b-moe-text": random_model.phone_9b_of_text,
        "llama-3-8b": random_model.llama_3_8b,
        "gemma-2b": random_model.gemma_2b,
        "tiny": random_model.tiny,
        "tiny-moe": random_model.tiny_phone,
    }
)
"""The first is the dense model that is published under that name, the second the article's design, the third the same
without what it sees and hears with."""
USUAL = ("autoglm-phone-9b", "autoglm-phone-9b-moe", "llama-3-8b", "gemma-2b")
PROFILED = 20
"""Steps that are profiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one model on one device."""

    shape: str
    """As SHAPES and measured.toml know it."""
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
    profile: str = ""
    """What a token's time is spent on, where that was asked for."""


def measure(
    shape: str,
    block_size: int,
    device: Device,
    activations: Activations,
    folder: Path,
    *,
    decode_only: bool = False,
    profile: bool = False,
) -> Figures:
    """Build the model in the folder, if it is not there yet, and time it."""
    architecture, storage = SHAPES[shape](), random_model.random_format(block_size)
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
    peak_bytes = _memory_in_use(device) - before  # ONNX Runtime keeps what it once took
    return Figures(
        shape=shape,
        model=architecture.model_type,
        block_size=block_size,
        where=session.device,
        decode_ms=tuple(decode_ms),
        prompt_ms=prompt_ms,
        screenshot_ms=screenshot_ms,
        read_bytes=tuple(needs.read_per_token(context) for context in CONTEXTS),
        peak_bytes=peak_bytes,
        profile=_profile_or_why_not(session, manifest, _read_bytes(needs, architecture), decode_ms) if profile else "",
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


def _profile_or_why_not(
    session: OnnxSession, manifest: Manifest, read_bytes: Mapping[str, int], decode_ms: Sequence[float]
) -> str:
    try:
        return _profile(session, manifest, read_bytes, decode_ms)
    except Exception as exc:  # noqa: BLE001  # PyTorch's errors share no base class, and the figures are there
        return f"no profile: {exc}"


def _profile(
    session: OnnxSession, manifest: Manifest, read_bytes: Mapping[str, int], decode_ms: Sequence[float]
) -> str:
    """Of tokens after each of CONTEXTS, and of one by one without a CUDA graph, after the shorter one."""
    memory = session.allocate()  # a new one, whose graph has not been recorded
    short = CONTEXTS[0]
    phases = {
        f"In a CUDA graph, after {context:,}": _steps(session.decode, memory, manifest, context) for context in CONTEXTS
    }

    def computed(memory: OnnxMemory, place: int, token: int) -> Logits:
        return session.prefill(memory, place, [token])

    phases[f"Without a graph, after {short:,}"] = plain = _steps(computed, memory, manifest, short)
    wall_ms, found = [*decode_ms, _timed_steps(plain)], gpu_profile.record(phases, PROFILED)
    parts = []
    for name, context, ms in zip(phases, [*CONTEXTS, short], wall_ms, strict=True):
        read = {**read_bytes, "attention": read_bytes["attention"] * context}
        parts.append(f"{name}:\n\n{gpu_profile.report(found.get(name, []), PROFILED, ms, read)}")
    return "\n\n".join(parts)


def _steps(
    compute: Callable[[OnnxMemory, int, int], Logits], memory: OnnxMemory, manifest: Manifest, context: int
) -> Callable[[], object]:
    """What computes the next token, and the next, after so many others."""
    places = itertools.count(context)

    def step() -> object:
        place = next(places)
        return compute(memory, place, _token(place, manifest)).argmax()

    return step


def _timed_steps(step: Callable[[], object]) -> float:
    """Median milliseconds, the first few left out."""
    return statistics.median([_timed(step) for _ in range(PROFILED)][4:])


def _read_bytes(needs: Footprint, architecture: Architecture) -> dict[str, int]:
    """What the kernels of a role have to read for a token; attention of each token before it."""
    chosen = architecture.experts_per_token
    experts = needs.idle * chosen // (architecture.experts - chosen) if architecture.experts else 0
    products = needs.linear + needs.scales - needs.idle - experts + needs.head
    return {"experts": experts, "INT4 products": products, "attention": needs.kv_per_token}


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
    options = _options(arguments)
    device: Device = cuda.CudaDevice() if options.device == "cuda" else Host()
    activations: Activations = "float16" if device.kind == "cuda" else "float32"
    engines = [
        (name, block_size, f"{name}-{block_size}-{activations}")
        for name in options.shape
        for block_size in options.block or (EXPERT_BLOCKS if SHAPES[name]().experts else BLOCKS)
    ]
    if options.write:
        for name, block_size, folder_name in engines:
            with _folder(options, folder_name) as folder:
                _engine(SHAPES[name](), random_model.random_format(block_size), activations, folder)
        return
    bytes_per_second = bandwidth(device)
    print(_conditions(device, bytes_per_second), flush=True)
    results = []
    for name, block_size, folder_name in engines:
        with _folder(options, folder_name) as folder:
            asked = {"decode_only": options.decode_only, "profile": options.profile}
            results.append(measure(name, block_size, device, activations, folder, **asked))
        if options.profile:
            print(results[-1].profile, flush=True)
    print(table(results, bytes_per_second))
    command = shlex.join(["python", "-m", "tests.bench.gpu", *(sys.argv[1:] if arguments is None else arguments)])
    print("\nFor measured.toml:", *(entry(each, _title(device), command) for each in results), sep="\n")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    """Ends the program, saying why, where what is asked for cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=USUAL, help="models (all full-size ones)")
    parser.add_argument("--block", nargs="+", type=int, choices=(32, 64, 128), help="(128 32; 64 of experts)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dir", type=Path, help="where engines are written and deleted (the temporary folder)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where engines stay, to be found by the next run")
    parser.add_argument("--write", action="store_true", help="only write the engines that --keep is to hold")
    parser.add_argument("--decode-only", action="store_true", help="no prompts")
    parser.add_argument("--profile", action="store_true", help="what a token's time is spent on (GPU, with PyTorch)")
    options = parser.parse_args(arguments)
    if options.profile and options.device == "cpu":
        parser.error("--profile listens to a GPU")
    if options.write and options.keep is None:
        parser.error("--write needs --keep")
    if (
        options.device == "cuda"
        and not options.write
        and (obstacle := find_gpus().obstacle or cuda.provider_obstacle())
    ):
        parser.error(f"no GPU can be used: {obstacle}")
    return options


def entry(figures: Figures, title: str, command: str) -> str:
    """A line of measured.toml."""
    times = " / ".join(f"{ms:.2f}" for ms in figures.decode_ms)
    contexts = " / ".join(f"{context:,}" for context in CONTEXTS)
    where = f"{title}, onnxruntime {onnxruntime.__version__}, block {figures.block_size}"
    conditions = f"{where}, {date.today()}, commit {commit()}, `{command}`"
    return f'"{figures.shape}" = "{times} ms after {contexts}, {figures.peak_bytes / 1e9:.1f} GB ({conditions})"'


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
    return (
        f"{_title(device)}, onnxruntime {onnxruntime.__version__}, {date.today()}, commit {commit()}; "
        f"copies move {bytes_per_second / 1e9:.0f} GB/s; random INT4 weights, batch 1\n"
    )


def _title(device: Device) -> str:
    if device.kind != "cuda":
        return "CPU: this tries the program, it measures no GPU"
    gpu = find_gpus().found[device.index]
    return f"{gpu.name} ({gpu.capability})"


if __name__ == "__main__":
    main()
