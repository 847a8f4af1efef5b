"""The log of a training as a picture and a table."""

from __future__ import annotations

import json
from pathlib import Path


def draw_curve(log: Path) -> str:
    """Write curve.md and, where matplotlib is installed, curve.png beside the log; a word on the last evaluation."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    evaluated = [line for line in lines if "kl" in line]
    if not evaluated:
        return "nothing evaluated yet"
    log.with_name("curve.md").write_text(table(evaluated), encoding="utf-8")
    _draw(evaluated, log.with_name("curve.png"))
    first, last = evaluated[0], evaluated[-1]
    return f"perplexity {first['loss of perplexity']:+.1%} -> {last['loss of perplexity']:+.1%} of the float model's"


def table(evaluated: list[dict[str, float]]) -> str:
    """In Markdown, a row an evaluation."""
    rows = ["| step | perplexity | against float | KL | top-1 agreement | held out KL |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {line['step']} | {line['perplexity']:.2f} | {line['loss of perplexity']:+.1%} | {line['kl']:.4f} "
        f"| {line['top-1']:.1%} | {line['held out kl']:.4f} |"
        for line in evaluated
    ]
    return "\n".join(rows) + "\n"


def _draw(evaluated: list[dict[str, float]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.add_subplot()
    right = left.twinx()
    steps = [line["step"] for line in evaluated]
    left.plot(steps, [100 * line["loss of perplexity"] for line in evaluated], "o-", color="tab:blue")
    right.plot(steps, [line["kl"] for line in evaluated], "s--", color="tab:orange")
    left.margins(y=0.1)
    right.margins(y=0.3)
    left.set(xlabel="steps", ylabel="perplexity above the float model's, %")
    right.set(ylabel="KL divergence (dashed)")
    left.set_ylim(bottom=0)
    right.set_ylim(bottom=0)
    figure.savefig(path, dpi=110)
