"""How the next token is chosen: pure functions over scores, composed by `make_sampler`.

Order, as in transformers and vLLM: bias, penalties, temperature, top-k, top-p, min-p, draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edged.engine.session import Logits
from edged.errors import EdgedError, InvalidInput
from edged.events import Sampling

Ids = NDArray[np.int64]
Sampler = Callable[[Logits, Sequence[int]], int]
"""(scores over the vocabulary, tokens of the answer so far) -> next token. Leaves the scores as they are."""

MAX_STOP_STRINGS = 16
MAX_STOP_CHARACTERS = 256
MAX_BIASED_TOKENS = 1024
MAX_LOGPROBS = 20
_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_k": (0, 1_000_000),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 10),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "max_tokens": (1, 1_048_576),
}


class Candidates(NamedTuple):
    """Tokens that may still be drawn, with their unnormalised probabilities; both (n,)."""

    ids: Ids
    weights: NDArray[np.float32]

    def where(self, keep: NDArray[np.bool_] | Ids) -> Candidates:
        """Only those that the mask or the indices select."""
        return Candidates(self.ids[keep], self.weights[keep])


def validate(sampling: Sampling, vocab_size: int | None = None) -> None:
    """Raises InvalidInput whose field names the parameter that is out of range."""
    for name, (low, high) in _RANGES.items():
        value = getattr(sampling, name)
        if not low <= value <= high:  # also refuses NaN
            raise InvalidInput(f"{name} must be between {low} and {high}, not {value}", field=f"sampling.{name}")
    if sampling.logprobs is not None and not 0 <= sampling.logprobs <= MAX_LOGPROBS:
        raise InvalidInput(f"logprobs must be between 0 and {MAX_LOGPROBS}", field="sampling.logprobs")
    if sampling.seed is not None and not 0 <= sampling.seed < 2**64:
        raise InvalidInput("seed must be between 0 and 2^64 - 1", field="sampling.seed")
    if len(sampling.stop) > MAX_STOP_STRINGS:
        raise InvalidInput(f"at most {MAX_STOP_STRINGS} stop strings, not {len(sampling.stop)}", field="sampling.stop")
    if not all(0 < len(stop) <= MAX_STOP_CHARACTERS for stop in sampling.stop):
        raise InvalidInput(f"a stop string has 1 to {MAX_STOP_CHARACTERS} characters", field="sampling.stop")
    if len(sampling.logit_bias) > MAX_BIASED_TOKENS:
        raise InvalidInput(f"logit_bias names more than {MAX_BIASED_TOKENS} tokens", field="sampling.logit_bias")
    for token, bias in sampling.logit_bias.items():
        if token < 0 or (vocab_size is not None and token >= vocab_size):
            raise InvalidInput(f"logit_bias names token {token}, which does not exist", field="sampling.logit_bias")
        if not -100 <= bias <= 100:
            raise InvalidInput(f"logit_bias must be between -100 and 100, not {bias}", field="sampling.logit_bias")


def make_sampler(sampling: Sampling, prompt: Sequence[int] = ()) -> Sampler:
    """The sampler of one answer; it owns its random generator, so an equal seed gives an equal answer."""
    random = np.random.default_rng(sampling.seed)
    bias_ids = np.array(list(sampling.logit_bias), dtype=np.int64)
    bias = np.array(list(sampling.logit_bias.values()), dtype=np.float32)
    prompt_ids = np.unique(np.array(prompt, dtype=np.int64))
    has_penalty = sampling.frequency_penalty != 0 or sampling.presence_penalty != 0

    def choose(logits: Logits, answer: Sequence[int]) -> int:
        if len(bias_ids):
            logits = bias_logits(logits, bias_ids, bias)
        if sampling.repetition_penalty != 1:
            seen = np.union1d(prompt_ids, np.array(answer, dtype=np.int64))
            logits = penalise_repetition(logits, seen, sampling.repetition_penalty)
        if has_penalty and answer:
            logits = penalise_frequency(logits, answer, sampling.frequency_penalty, sampling.presence_penalty)
        best = int(logits.argmax())
        if not np.isfinite(logits[best]):
            raise EdgedError("the engine computed scores that are not numbers; try `edged models verify`")
        if sampling.temperature == 0:
            return best
        candidates = soften(logits, sampling.temperature)
        if sampling.top_k:
            candidates = keep_top_k(candidates, sampling.top_k)
        if sampling.top_p < 1:
            candidates = keep_top_p(candidates, sampling.top_p)
        if sampling.min_p > 0:
            candidates = keep_min_p(candidates, sampling.min_p)
        return draw(candidates, random)

    return choose


def log_probabilities(logits: Logits) -> NDArray[np.float32]:
    """Of all tokens: log softmax.  # (vocab_size,)"""
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum(dtype=np.float64)), np.float32)


def likeliest(logits: Logits, count: int) -> Ids:
    """The `count` tokens of the highest scores, the highest first."""
    count = min(count, len(logits))
    if not count:
        return np.zeros(0, np.int64)
    found = np.argpartition(logits, -count)[-count:]
    return found[np.argsort(-logits[found], kind="stable")]


def bias_logits(logits: Logits, ids: Ids, bias: NDArray[np.float32]) -> Logits:
    """Add a bias to the named tokens."""
    biased = logits.copy()
    biased[ids] += bias
    return biased


def penalise_repetition(logits: Logits, seen: Ids, penalty: float) -> Logits:
    """Divide positive and multiply negative scores of tokens seen (CTRL, arXiv:1909.05858, section 4.1)."""
    penalised = logits.copy()
    scores = penalised[seen]
    penalised[seen] = np.where(scores > 0, scores / penalty, scores * penalty)
    return penalised


def penalise_frequency(logits: Logits, answer: Sequence[int], frequency: float, presence: float) -> Logits:
    """Subtract `frequency` for each earlier occurrence in the answer and `presence` once."""
    penalised = logits.copy()
    ids, counts = np.unique(np.array(answer, dtype=np.int64), return_counts=True)
    penalised[ids] -= (frequency * counts + presence).astype(np.float32)
    return penalised


def soften(logits: Logits, temperature: float) -> Candidates:
    """All tokens with weights exp((logit - highest) / temperature): the likeliest weighs 1."""
    weights = np.exp((logits - logits.max()) * np.float32(1 / max(temperature, 1e-3)))
    return Candidates(np.arange(len(logits)), weights)


def keep_top_k(candidates: Candidates, count: int) -> Candidates:
    """The `count` most likely tokens."""
    if count >= len(candidates.ids):
        return candidates
    return candidates.where(np.argpartition(candidates.weights, -count)[-count:])


def keep_top_p(candidates: Candidates, mass: float) -> Candidates:
    """The smallest set of most likely tokens that holds at least `mass` of the probability; never empty.

    Only a few tokens need sorting: n tokens below (1 - mass) / n cannot hold 1 - mass together, so what the
    set leaves out includes them all.
    """
    total = float(candidates.weights.sum(dtype=np.float64))
    plausible = candidates.where(candidates.weights >= (1 - mass) * total / len(candidates.ids))
    descending = np.sort(plausible.weights)[::-1]
    before = np.cumsum(descending, dtype=np.float64) - descending
    return keep_top_k(plausible, max(1, int(np.searchsorted(before, mass * total))))


def keep_min_p(candidates: Candidates, share: float) -> Candidates:
    """Tokens at least `share` times as likely as the likeliest (arXiv:2407.01082)."""
    return candidates.where(candidates.weights >= share * candidates.weights.max())


def draw(candidates: Candidates, random: np.random.Generator) -> int:
    """One token, with probability in proportion to its weight; never one of weight 0."""
    cumulative = np.cumsum(candidates.weights, dtype=np.float64)
    place = np.searchsorted(cumulative, random.random() * cumulative[-1], side="right")
    last = np.searchsorted(cumulative, cumulative[-1])  # the product above may be rounded up to the sum
    return int(candidates.ids[min(place, last)])
