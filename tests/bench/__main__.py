"""`python -m tests.bench`: the table of README.md, with the conditions it was measured under."""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from edged.cli.bench import copy_bandwidth, least_read_bytes, percentile
from edged.config import load_config
from edged.engine.installed import find_engine
from edged.engine.manifest import read_manifest
from engines.recipe import load_recipe
from tests.bench import engine_worker, peer, server_path
from tests.bench.conditions import commit, processor
from tests.bench.interval import ratio_with_interval
from tests.bench.rivals import Rival, Set, rival

LENGTHS = (64, 512)
DECODED = 32
CONTEXT = 1024
ANSWER_TOKENS = 192
"""Generated per question when the server path is measured."""
WARM_UP_SETS = 1


def main() -> None:
    """Measure what the arguments ask for and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--peer", choices=["llama.cpp"], help="measure beside it, on the checkpoint as shipped")
    parser.add_argument("--sets", type=int, default=10, help="interleaved sets (10)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="for every rival (2)")
    parser.add_argument("--model", default="smollm2-135m", help="an engine built from the recipe of that name")
    options = parser.parse_args()
    folder = find_engine(load_config().paths.engines, options.model)
    print(_conditions(options))
    with ExitStack() as stack:
        worker = ("-m", engine_worker.__name__)
        rivals = [
            stack.enter_context(rival(Path(sys.executable), worker, folder, threads=options.threads, context=CONTEXT))
        ]
        if options.peer:
            source = load_recipe(options.model).source
            assert source is not None
            python = peer.llama_cpp_python()
            rivals.append(
                stack.enter_context(
                    rival(python, (str(peer.WORKER),), source.find(), threads=options.threads, context=CONTEXT)
                )
            )
        names = ["edged", *([options.peer] if options.peer else [])]
        sets = _interleave(rivals, options.sets)
        print(_table(names, rivals, sets))
        print(_bandwidth(folder, sets[0], options.threads))
        print(asyncio.run(_server_path(rivals[0], options)))


def _conditions(options: argparse.Namespace) -> str:
    return (
        f"{options.model}, {processor()}, {options.threads} threads, {date.today()}, commit {commit()}, "
        f"medians of {options.sets} sets\n"
    )


def _interleave(rivals: list[Rival], sets: int) -> list[list[Set]]:
    """Every rival's sets, measured in turn."""
    for each in rivals * WARM_UP_SETS:
        each.run(LENGTHS, DECODED)
    taken: list[list[Set]] = [[] for _ in rivals]
    for turn in range(sets):
        # Who goes first changes, lest one always finds the caches and clocks that the other left.
        order = range(len(rivals)) if turn % 2 == 0 else reversed(range(len(rivals)))
        for index in order:
            taken[index].append(rivals[index].run(LENGTHS, DECODED))
    return taken


def _table(names: list[str], rivals: list[Rival], sets: list[list[Set]]) -> str:
    lines = [
        f"| {' | '.join(['', *names, *(['edged / peer, 95 % interval'] if len(rivals) > 1 else [])])} |",
        f"|{'---|' * (len(names) + 1 + (len(rivals) > 1))}",
        _row("load, s", [f"{each.load_seconds:.2f}" for each in rivals], ""),
    ]
    for index, length in enumerate(LENGTHS):
        lines.append(_ratio_row(f"TTFT, {length} tokens, ms", [[item.ttft_ms[index] for item in own] for own in sets]))
    lines.append(
        _ratio_row("prefill, tokens/s", [[LENGTHS[-1] / item.ttft_ms[-1] * 1e3 for item in own] for own in sets])
    )
    for index, length in enumerate(LENGTHS):
        medians = [[statistics.median(item.decode_ms[index]) for item in own] for own in sets]
        tails = [percentile([ms for item in own for ms in item.decode_ms[index]], 0.95) for own in sets]
        lines.append(_ratio_row(f"decode after {length}, ms/token", medians))
        lines.append(_row(f"decode after {length}, p95", [f"{tail:.2f}" for tail in tails], ""))
    counts = [_instructions_per_token(each) for each in rivals]
    counted = ["not countable here" if count is None else f"{count / 1e6:.0f}" for count in counts]
    lines.append(_row("instructions per token, millions", counted, ""))
    lines.append(_row("peak memory, MB", [f"{own[-1].peak_bytes / 1e6:.0f}" for own in sets], ""))
    titles = [f"{name}: {each.title}" for name, each in zip(names, rivals, strict=True)]
    return "\n".join([*lines, "", *titles, ""])


def _instructions_per_token(each: Rival) -> float | None:
    """While decoding after the shorter prompt: the difference of two passes that differ in nothing else."""
    short, long = (each.run(LENGTHS[:1], decoded).instructions for decoded in (1, 1 + DECODED))
    return None if short is None or long is None else (long - short) / DECODED


def _ratio_row(name: str, values: list[list[float]]) -> str:
    ratio = "{:.2f} ({:.2f} to {:.2f})".format(*ratio_with_interval(*values)) if len(values) > 1 else ""
    return _row(name, [f"{statistics.median(own):.2f}" for own in values], ratio)


def _row(name: str, cells: list[str], ratio: str) -> str:
    return f"| {' | '.join([name, *cells, *([ratio] if len(cells) > 1 else [])])} |"


def _bandwidth(folder: Path, sets: list[Set], threads: int) -> str:
    bandwidth = copy_bandwidth(threads)
    read = least_read_bytes(read_manifest(folder), LENGTHS[0])
    token_ms = statistics.median(statistics.median(item.decode_ms[0]) for item in sets)
    share = read / bandwidth / (token_ms / 1e3)
    return f"memory: {read / 1e6:.0f} MB a token at {bandwidth / 1e9:.1f} GB/s (copy): {share:.0%} of that limit\n"


async def _server_path(bare: Rival, options: argparse.Namespace) -> str:
    """The daemon beside the bare engine, on the same positions of the same length of prompt."""
    environ = {**os.environ, "EDGED_ENGINE__THREADS": str(options.threads), "EDGED_ENGINE__DEFAULT": options.model}
    served, alone = [], []
    async with server_path.own_daemon(environ) as client:
        await server_path.ask(client, ANSWER_TOKENS)
        load_seconds = (await client.status()).engine.load_seconds
        for _ in range(options.sets):
            answer = await server_path.ask(client, ANSWER_TOKENS)
            usage = answer.usage
            own = bare.run([usage.prompt_tokens], usage.completion_tokens - 1)
            served.append(answer.token_ms)
            alone.append(statistics.fmean(own.decode_ms[0]))
    ratio, low, high = ratio_with_interval(served, alone)
    return (
        f"server path: {statistics.median(served):.2f} ms a token through sampling, store, gRPC and client, "
        f"{statistics.median(alone):.2f} in the bare engine: {ratio:.3f} ({low:.3f} to {high:.3f}); "
        f"daemon loads the engine in {load_seconds:.2f} s"
    )


if __name__ == "__main__":
    main()
