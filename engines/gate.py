"""The quality gate: what an engine lost against the float32 weights it was built from.

Both read the same text, in segments that start from an empty context. Perplexity is over the next
tokens of the text; agreement and KL divergence compare the two distributions at every position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edged.engine.manifest import Manifest, Quality
from edged.engine.onnx_session import OnnxSession
from edged.errors import CheckpointError, QualityGateFailed

from .checkpoint import Checkpoint
from .reference import fastest_arrays, final_states, head_logits
from .tensor import Floats

TEXTS = Path(__file__).parent / "texts"
SEGMENT_TOKENS = 512
MAX_TOKENS = 3072
"""Read of a text that a tokenizer cuts finely: more would cost time and say little."""
STEP_TOKENS = 128
"""Positions scored at a time: two arrays of this many times the vocabulary are in memory."""


@dataclass(frozen=True, slots=True)
class Text:
    """An evaluation text, cut for one model."""

    name: str
    segments: tuple[tuple[int, ...], ...]

    @property
    def predictions(self) -> int:
        """Tokens that have one before them."""
        return sum(len(segment) - 1 for segment in self.segments)


def text_names() -> tuple[str, ...]:
    """Those that come with edged."""
    return tuple(sorted(path.stem for path in TEXTS.glob("*.txt")))


def read_text(name: str, tokenizer_json: str, context: int, most: int = MAX_TOKENS) -> Text:
    """engines/texts/<name>.txt in tokens, not more than `most`, in segments of at most 512."""
    text = (TEXTS / f"{name}.txt").read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_str(tokenizer_json)
    size = min(SEGMENT_TOKENS, context)
    # A model that starts texts with a token of its own gets it in front of every segment.
    start = tokenizer.encode("", add_special_tokens=True).ids
    tokens = tokenizer.encode(text, add_special_tokens=False).ids[:most]
    step = size - len(start)
    if step < 2:
        raise CheckpointError(f"a context of {context} tokens leaves no room to measure in")
    pieces = [tuple(start + tokens[at : at + step]) for at in range(0, len(tokens), step)]
    segments = tuple(piece for piece in pieces if len(piece) > 1)
    if not segments:
        raise CheckpointError(f"the tokenizer makes no tokens of the text {name!r}")
    return Text(name, segments)


def measure(
    checkpoint: Checkpoint,
    folder: Path,
    manifest: Manifest,
    text: Text,
    limit: float,
    progress: Callable[[int], object],
) -> Quality:
    """Run the text through both. `limit` is the perplexity loss the recipe allows."""
    arrays = fastest_arrays()
    expected = final_states(checkpoint, text.segments, progress, arrays=arrays)
    session = _session(folder, manifest)
    tally = _Tally()
    for segment, states in zip(text.segments, expected, strict=True):
        for start, logits in _engine_logits(session, segment):
            stop = start + len(logits)
            with np.errstate(all="ignore"):  # weights of a damaged file may overflow; the sums show it
                truth = head_logits(checkpoint, states[start:stop], arrays)
                tally.add(segment[start + 1 : stop + 1], truth, logits)
    return tally.quality(text, limit)


def engine_perplexity(folder: Path, manifest: Manifest, text: Text) -> float:
    """Of the engine alone."""
    session = _session(folder, manifest)
    total = 0.0
    for segment in text.segments:
        for start, logits in _engine_logits(session, segment):
            following = segment[start + 1 : start + 1 + len(logits)]
            total += float(_surprise(_log_softmax(logits), following).sum())
    return float(np.exp(total / text.predictions))


def require(quality: Quality, name: str) -> None:
    """Raise QualityGateFailed when more was lost than allowed."""
    if not quality.perplexity_loss <= quality.max_perplexity_loss:
        raise QualityGateFailed(
            f"{name}: perplexity rose by {quality.perplexity_loss:.1%} "
            f"({quality.float_perplexity:.2f} to {quality.perplexity:.2f}), the recipe allows "
            f"{quality.max_perplexity_loss:.1%}: not installed"
        )


class _Tally:
    """Sums over positions."""

    def __init__(self) -> None:
        self.float_surprise = 0.0
        self.surprise = 0.0
        self.divergence = 0.0
        self.agreements = 0
        self.positions = 0
        self.predictions = 0

    def add(self, following: Sequence[int], expected: Floats, found: Floats) -> None:
        """Scores of consecutive positions, and the tokens that follow them: one fewer at a segment's end."""
        expected, found = _log_softmax(expected), _log_softmax(found)
        self.float_surprise += float(_surprise(expected, following).sum())
        self.surprise += float(_surprise(found, following).sum())
        self.divergence += float(np.sum(np.exp(expected) * (expected - found)))
        self.agreements += int(np.sum(expected.argmax(-1) == found.argmax(-1)))
        self.positions += len(expected)
        self.predictions += len(following)

    def quality(self, text: Text, limit: float) -> Quality:
        before = _perplexity(self.float_surprise, self.predictions)
        after = _perplexity(self.surprise, self.predictions)
        if not np.isfinite([before, after, self.divergence]).all():
            raise QualityGateFailed("the weights compute no finite numbers on the evaluation text: not installed")
        return Quality(
            text=text.name,
            tokens=self.predictions,
            float_perplexity=before,
            perplexity=after,
            perplexity_loss=after / before - 1,
            top1_agreement=self.agreements / self.positions,
            kl_divergence=self.divergence / self.positions,
            max_perplexity_loss=limit,
        )


def _session(folder: Path, manifest: Manifest) -> OnnxSession:
    return OnnxSession(folder, manifest, max_seq_len=SEGMENT_TOKENS, threads=0)


def _engine_logits(session: OnnxSession, segment: Sequence[int]) -> Iterator[tuple[int, Floats]]:
    """(first position, scores of the positions from there) of a segment, through the cache as in use."""
    memory = session.allocate()
    for start in range(0, len(segment), STEP_TOKENS):
        tokens = segment[start : start + STEP_TOKENS]
        yield start, session.prefill(memory, start, tokens, range(len(tokens)))


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float32)


def _surprise(log_probabilities: Floats, following: Sequence[int]) -> NDArray[np.float64]:
    """-log p of the tokens that follow the first positions."""
    places = np.arange(len(following))
    return -log_probabilities[places, np.asarray(following, np.int64)].astype(np.float64)


def _perplexity(surprise: float, predictions: int) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(np.float64(surprise) / predictions))
