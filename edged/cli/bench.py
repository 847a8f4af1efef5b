"""`edged bench`: what an engine does on this machine, measured without daemon, store or network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edged.cli.output import human_bytes, print_json, print_table
from edged.cli.parameters import utf8
from edged.config import load_config

if TYPE_CHECKING:
    from edged.engine.buffer import Device
    from edged.engine.manifest import Manifest
    from edged.engine.session import Session

PROMPTS = (64, 512)
"""Prompt lengths in tokens."""
DECODED = 32
"""Tokens timed after each prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFigures:
    """Medians over all sets."""

    model: str
    device: str
    load_seconds: float
    ttft_64_ms: float
    ttft_512_ms: float
    prefill_tps: float
    """Prompt tokens per second at the longer prompt."""
    decode_64_ms: float
    decode_64_p95_ms: float
    decode_512_ms: float
    decode_512_p95_ms: float
    peak_bytes: int
    """Peak resident memory of the process."""
    read_bytes_per_token: int
    """Weights, and the keys and values of 64 tokens: the least that decoding a token has to read."""
    bandwidth_bytes_per_second: float
    """Copying memory with as many threads, bytes read and written together."""
    bandwidth_share: float
    """The time that reading alone would take, over the time a token took after 64."""


@click.command()
@click.option("--model", default="", type=utf8, metavar="NAME", help="An installed engine; else the default one.")
@click.option("--sets", type=click.IntRange(1, 100), default=5, show_default=True, metavar="N", help="Passes.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
def bench(model: str, sets: int, json_wanted: bool) -> None:
    """Measure an engine on this machine.

    Loading, time to the first token, prefill, decode and memory, without the daemon: stop a running one first, it
    would compete for the cores.
    """
    figures = _measure(model, sets)
    if json_wanted:
        print_json(figures)
        return
    click.echo(f"{figures.model} on {figures.device}, median of {sets} sets")
    print_table(
        ("AFTER", "TTFT", "DECODE", "P95"),
        [
            (f"{PROMPTS[0]} tokens", *_ms(figures.ttft_64_ms, figures.decode_64_ms, figures.decode_64_p95_ms)),
            (f"{PROMPTS[1]} tokens", *_ms(figures.ttft_512_ms, figures.decode_512_ms, figures.decode_512_p95_ms)),
        ],
    )
    click.echo(f"prefill {figures.prefill_tps:.0f} tokens/s, load {figures.load_seconds:.2f} s")
    click.echo(f"peak memory {human_bytes(figures.peak_bytes)}")
    click.echo(
        f"{figures.bandwidth_share:.0%} of the memory-bandwidth limit ({human_bytes(figures.read_bytes_per_token)} "
        f"a token at {figures.bandwidth_bytes_per_second / 1e9:.1f} GB/s)"
    )


def _measure(model: str, sets: int) -> EngineFigures:
    """Load the engine and measure it. Each set times both prompt lengths."""
    from edged.engine.installed import find_engine
    from edged.engine.manifest import read_manifest
    from edged.engine.onnx_loading import usable_cores
    from edged.engine.open_session import open_session

    config = load_config()
    folder = find_engine(config.paths.engines, model or config.engine.default)
    manifest = read_manifest(folder)
    threads = config.engine.threads or usable_cores()
    begun = time.perf_counter()
    wanted = replace(config.engine, max_seq_len=PROMPTS[-1] + DECODED, threads=threads)
    opened = open_session(folder, manifest, wanted)
    session = opened.session
    load_seconds = time.perf_counter() - begun
    memory = session.allocate()
    measure_prompt(session, memory, manifest.vocab_size, PROMPTS[-1], 1)  # faults the weights in
    measured = {
        length: [measure_prompt(session, memory, manifest.vocab_size, length, DECODED) for _ in range(sets)]
        for length in PROMPTS
    }
    peak_bytes = peak_resident_bytes()  # before bandwidth is measured, on arrays of its own
    on_host = opened.devices[0].kind == "cpu"
    bandwidth = copy_bandwidth(threads) if on_host else device_copy_bandwidth(opened.devices[0])
    return _figures(manifest, session.device, load_seconds, measured, peak_bytes, bandwidth)


def _figures(
    manifest: Manifest,
    device: str,
    load_seconds: float,
    measured: dict[int, list[tuple[float, list[float]]]],
    peak_bytes: int,
    bandwidth: float,
) -> EngineFigures:
    short, long = PROMPTS
    ttft_ms = {length: statistics.median(ttft for ttft, _ in measured[length]) for length in PROMPTS}
    decode_ms = {length: [ms for _, steps in measured[length] for ms in steps] for length in PROMPTS}
    token_ms = statistics.median(decode_ms[short])
    read_bytes = least_read_bytes(manifest, short)
    return EngineFigures(
        model=manifest.name,
        device=device,
        load_seconds=load_seconds,
        ttft_64_ms=ttft_ms[short],
        ttft_512_ms=ttft_ms[long],
        prefill_tps=long / ttft_ms[long] * 1e3,
        decode_64_ms=token_ms,
        decode_64_p95_ms=percentile(decode_ms[short], 0.95),
        decode_512_ms=statistics.median(decode_ms[long]),
        decode_512_p95_ms=percentile(decode_ms[long], 0.95),
        peak_bytes=peak_bytes,
        read_bytes_per_token=read_bytes,
        bandwidth_bytes_per_second=bandwidth,
        bandwidth_share=read_bytes / bandwidth / (token_ms / 1e3),
    )


def measure_prompt(
    session: Session[Any], memory: Any, vocab_size: int, length: int, decoded: int
) -> tuple[float, list[float]]:
    """Milliseconds to the first token of a prompt, and of each of the tokens after it.

    The prompt's tokens are arbitrary: they do not change the work.
    """
    prompt = [(7919 * index + 13) % vocab_size for index in range(length)]
    begun = time.perf_counter()
    token = int(session.prefill(memory, 0, prompt).argmax())
    ttft_ms = (time.perf_counter() - begun) * 1e3
    steps = []
    for position in range(length, length + decoded):
        begun = time.perf_counter()
        token = int(session.decode(memory, position, token).argmax())
        steps.append((time.perf_counter() - begun) * 1e3)
    return ttft_ms, steps


def least_read_bytes(manifest: Manifest, length: int) -> int:
    """What decoding a token after `length` others has to read at least: the text model's weights, keys and values."""
    towers = {f"{part.file}.data" for part in (manifest.vision, manifest.audio) if part}
    weights = (entry.bytes for name, entry in manifest.files.items() if name.endswith(".data") and name not in towers)
    return sum(weights) + length * manifest.kv_bytes_per_token


def copy_bandwidth(threads: int, *, size: int = 128 * 1024 * 1024, rounds: int = 5) -> float:
    """Bytes per second, read and written together, that `threads` threads copy; the best of some rounds."""
    import numpy as np

    blocks = [(np.ones(size // threads, np.uint8), np.zeros(size // threads, np.uint8)) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            begun = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), blocks))
            best = max(best, 2 * size / (time.perf_counter() - begun))
    return best


def device_copy_bandwidth(device: Device, *, size: int = 256 * 1024 * 1024, rounds: int = 5) -> float:
    """Bytes per second, read and written together, that a GPU copies within its own memory; the best of some rounds."""
    import numpy as np

    source, target = (device.zeros((size,), np.uint8) for _ in range(2))
    best = 0.0
    for _ in range(rounds):
        begun = time.perf_counter()
        target.copy(source)
        best = max(best, 2 * size / (time.perf_counter() - begun))
    return best


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    return sorted(values)[max(0, round(share * len(values)) - 1)]


def peak_resident_bytes() -> int:
    """Of this process; unlike getrusage, without what it was before it became this program."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _ms(*values: float) -> tuple[str, ...]:
    return tuple(f"{value:.2f} ms" for value in values)
