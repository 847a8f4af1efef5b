"""`python -m tests.bench.grammar`: what it costs to hold an answer to a form, of the time that a token takes."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np

from edged.config import EngineConfig, load_config
from edged.engine.device import LoadedEngine
from edged.engine.engine import load_engine
from edged.engine.generate import generate
from edged.engine.grammar import Constraint
from edged.engine.installed import find_engine
from edged.engine.sampling import make_sampler
from edged.engine.session import Logits
from edged.events import (
    GenerationRequest,
    Message,
    OutputFormat,
    OutputKind,
    Role,
    Sampling,
    Text,
)
from tests.bench.conditions import commit, processor
from tests.engine.schemas import corpus

QUESTION = "Describe a fishing village as JSON, in great detail."
_FIELDS = {f"field_{index}": schema for index, schema in enumerate(corpus()[5::4])}
FORMS: dict[str, OutputFormat] = {
    "any JSON object": OutputFormat(kind=OutputKind.JSON),
    "a schema of 60 fields": OutputFormat(
        kind=OutputKind.JSON_SCHEMA,
        text=json.dumps({"type": "object", "properties": _FIELDS, "required": list(_FIELDS)}),
    ),
    "a list of strings": OutputFormat(
        kind=OutputKind.JSON_SCHEMA, text='{"type": "array", "items": {"type": "string", "maxLength": 40}}'
    ),
    "a regular expression": OutputFormat(kind=OutputKind.REGEX, text=r"([A-Z][a-z ,]{10,60}\. ){20}"),
    "a grammar": OutputFormat(kind=OutputKind.LARK, text='start: (line "\\n")+\nline: /- [A-Z][^\\n]{5,50}/'),
}


@dataclass(slots=True)
class Watched:
    """Stands for a constraint and measures it."""

    constraint: Constraint
    drawing: float
    """Seconds that it takes to draw a token, which is done again when the first one is not allowed."""
    seconds: list[float] = field(default_factory=list)
    """Of each token."""
    refused: int = 0

    @property
    def is_complete(self) -> bool:
        return self.constraint.is_complete

    def allows(self, token: int) -> bool:
        began = time.perf_counter()
        allowed = self.constraint.allows(token)
        self.seconds.append(time.perf_counter() - began)
        return allowed

    def allow(self, logits: Logits) -> Logits:
        began = time.perf_counter()
        allowed = self.constraint.allow(logits)
        self.seconds[-1] += time.perf_counter() - began + self.drawing
        self.refused += 1
        return allowed

    def push(self, token: int) -> None:
        began = time.perf_counter()
        self.constraint.push(token)
        self.seconds[-1] += time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one answer."""

    seconds: float
    """From the first token to the last."""
    compiling: float
    """Seconds before."""
    grammar: list[float]
    """Seconds of each token that the grammar took."""
    refused: float
    """Share of tokens that were drawn first and not allowed."""


def main() -> None:
    """Measure what the arguments ask for and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.grammar", description=__doc__)
    parser.add_argument("--model", default="smollm2-135m", help="an installed engine (smollm2-135m)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="(2)")
    parser.add_argument("--tokens", type=int, default=200, help="of each answer, at most (200)")
    parser.add_argument("--sets", type=int, default=5, help="answers of each form (5)")
    options = parser.parse_args()
    engine = load_engine(find_engine(load_config().paths.engines, options.model), EngineConfig(threads=options.threads))
    print(
        f"{options.model}, {processor()}, {options.threads} threads, {date.today()}, commit {commit()}, "
        f"medians of {options.sets} answers\n"
    )
    print(
        "| Form | Compiled in ms | Refused at first | Grammar in µs a token | Longest in ms | Share of a token |\n"
        "|---|---:|---:|---:|---:|---:|"
    )
    measure(engine, FORMS["any JSON object"], options.tokens, seed=0)  # warm
    for name, form in FORMS.items():
        taken = [measure(engine, form, options.tokens, seed=seed) for seed in range(options.sets)]
        print(_row(name, taken))


def measure(engine: LoadedEngine, form: OutputFormat, max_tokens: int, *, seed: int) -> Figures:
    """One answer."""
    began = time.perf_counter()
    constraint = engine.grammars.begin(form)
    compiling = time.perf_counter() - began
    sampling = Sampling(temperature=0.7, seed=seed, max_tokens=max_tokens)
    watched = Watched(constraint, _drawing_seconds(engine, sampling))
    request = GenerationRequest(
        messages=(Message(role=Role.USER, parts=(Text(text=QUESTION),)),),
        sampling=sampling,
        output=form,
    )
    first = 0.0
    for _ in generate(
        replace(engine, grammars=_Given(watched)),  # type: ignore[arg-type]
        request,
        arrived=time.perf_counter(),
        cancelled=lambda: False,
    ):
        if watched.seconds and not first:
            first = time.perf_counter()
    return Figures(
        seconds=time.perf_counter() - first,
        compiling=compiling,
        grammar=watched.seconds,
        refused=watched.refused / len(watched.seconds),
    )


def _drawing_seconds(engine: LoadedEngine, sampling: Sampling) -> float:
    """Median of some draws."""
    scores = np.random.default_rng(0).standard_normal(engine.manifest.vocab_size, dtype=np.float32) * 3
    draw = make_sampler(sampling)
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        draw(scores, [])
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@dataclass(frozen=True, slots=True)
class _Given:
    """Begins with what it was given."""

    watched: Watched

    def begin(self, output: OutputFormat) -> Watched:
        return self.watched


def _row(name: str, taken: list[Figures]) -> str:
    median = statistics.median
    share = median([sum(one.grammar[1:]) / one.seconds for one in taken])
    return (
        f"| {name} | {median([one.compiling for one in taken]) * 1e3:.1f} "
        f"| {median([one.refused for one in taken]):.0%} "
        f"| {median([statistics.mean(one.grammar) for one in taken]) * 1e6:.0f} "
        f"| {median([max(one.grammar) for one in taken]) * 1e3:.2f} | {share:.1%} |"
    )


if __name__ == "__main__":
    main()
