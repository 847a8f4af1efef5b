"""`python -m tests.bench.quantization`: the table of engines/README.md, what each way of quantizing costs.

Builds the default model again and again, its own blocks read as the float weights they stand for, and prints what
the gate measures: perplexity, divergence and agreement against float32, on a text no calibration has seen.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import get_args

from engines.build import Order, build
from engines.calibrate import Calibration, Method
from engines.quantize import Rounding
from engines.recipe import Recipe, load_recipe
from tests.bench.conditions import commit, processor

HEADER = (
    "| linear weights | perplexity | against float | KL divergence | top-1 agreement | MB | build, s |\n"
    "|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Build what the arguments ask for, print Markdown row by row."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quantization", description=__doc__)
    ways = ("keep", *get_args(Method))
    parser.add_argument("--methods", nargs="+", choices=ways, default=ways, help="all, if not some of these")
    parser.add_argument("--blocks", nargs="+", type=int, choices=(32, 64, 128), default=(32, 64, 128))
    parser.add_argument("--tokens", type=int, default=Calibration().tokens, help="of the calibration text")
    options = parser.parse_args()
    recipe = load_recipe("smollm2-135m")
    print(_conditions(options.tokens), HEADER, sep="\n\n", flush=True)
    if "keep" in options.methods:
        print(_row("Q4_1 blocks kept, as shipped", recipe), flush=True)
    for name, variant in _variants(recipe, options):
        print(_row(name, variant), flush=True)


def _variants(recipe: Recipe, options: argparse.Namespace) -> Iterator[tuple[str, Recipe]]:
    for method in get_args(Method):
        if method not in options.methods:
            continue
        calibration = Calibration(method=method, tokens=options.tokens)
        for symmetric in (True, False):
            for block_size in options.blocks:
                linear = Rounding(bits=4, block_size=block_size, symmetric=symmetric, keep=False)
                name = f"{method}, {'symmetric' if symmetric else 'asymmetric'}, blocks of {block_size}"
                format_ = dataclasses.replace(recipe.format, linear=linear)
                yield name, dataclasses.replace(recipe, format=format_, calibration=calibration)


def _row(name: str, recipe: Recipe) -> str:
    assert recipe.source is not None
    tolerant = dataclasses.replace(recipe, max_perplexity_loss=1e9)
    with tempfile.TemporaryDirectory() as folder:
        order = Order(recipe=tolerant, source=recipe.source.find(), destination=Path(folder) / "engine")
        begun = time.perf_counter()
        manifest = build(order, lambda line: None)
        seconds = time.perf_counter() - begun
    quality = manifest.quality
    cells = (
        name,
        f"{quality.perplexity:.2f}",
        f"{quality.perplexity_loss:+.1%}",
        f"{quality.kl_divergence:.4f}",
        f"{quality.top1_agreement:.1%}",
        f"{manifest.disk_bytes / 1e6:.0f}",
        f"{seconds:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _conditions(tokens: int) -> str:
    return (
        f"smollm2-135m, {len(os.sched_getaffinity(0))} cores of {processor()}, {date.today()}, commit {commit()}, "
        f"calibrated on {tokens} tokens"
    )


if __name__ == "__main__":
    main()
