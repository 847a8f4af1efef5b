from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.sampling import (
    Candidates,
    bias_logits,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    likeliest,
    log_probabilities,
    make_sampler,
    penalise_frequency,
    penalise_repetition,
    soften,
    validate,
)
from edged.errors import EdgedError, InvalidInput
from edged.events import Sampling

GREEDY = Sampling(temperature=0)
LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3], dtype=np.float32))
WEIGHTS = Candidates(np.arange(4), np.array([0.1, 0.4, 0.2, 0.3], dtype=np.float32))
ALL = {0, 1, 2, 3}


def ids(candidates: Candidates) -> set[int]:
    return set(candidates.ids.tolist())


def test_greedy_takes_the_likeliest() -> None:
    assert make_sampler(GREEDY)(LOGITS, []) == 1


def test_log_probabilities_are_those_of_the_scores() -> None:
    assert np.allclose(log_probabilities(LOGITS), LOGITS, atol=1e-6)
    assert likeliest(LOGITS, 3).tolist() == [1, 3, 2]
    assert likeliest(LOGITS, 0).tolist() == [] and set(likeliest(LOGITS, 9).tolist()) == ALL


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50))
def test_probabilities_add_up_whatever_the_scores(scores: list[float]) -> None:
    logits = np.array(scores, np.float32)
    logprobs = log_probabilities(logits)
    assert np.isclose(np.exp(logprobs.astype(np.float64)).sum(), 1, atol=1e-4)
    best = likeliest(logits, 5)
    assert (np.diff(logits[best]) <= 0).all() and logits[best[0]] == logits.max()


def test_temperature_sharpens_and_flattens() -> None:
    cold, warm = soften(LOGITS, 0.5).weights, soften(LOGITS, 2.0).weights
    np.testing.assert_allclose(cold, (np.array([0.1, 0.4, 0.2, 0.3]) / 0.4) ** 2, rtol=1e-5)
    np.testing.assert_allclose(warm, (np.array([0.1, 0.4, 0.2, 0.3]) / 0.4) ** 0.5, rtol=1e-5)


@pytest.mark.parametrize(("count", "kept"), [(1, {1}), (2, {1, 3}), (3, {1, 2, 3}), (4, ALL), (9, ALL)])
def test_top_k(count: int, kept: set[int]) -> None:
    assert ids(keep_top_k(WEIGHTS, count)) == kept


@pytest.mark.parametrize(("mass", "kept"), [(0.0, {1}), (0.39, {1}), (0.41, {1, 3}), (0.71, {1, 2, 3}), (0.95, ALL)])
def test_top_p(mass: float, kept: set[int]) -> None:
    assert ids(keep_top_p(WEIGHTS, mass)) == kept


@pytest.mark.parametrize(("share", "kept"), [(0.0, ALL), (0.3, {1, 2, 3}), (0.6, {1, 3}), (1.0, {1})])
def test_min_p(share: float, kept: set[int]) -> None:
    assert ids(keep_min_p(WEIGHTS, share)) == kept


def test_repetition_penalty_divides_positive_and_multiplies_negative() -> None:
    logits = np.array([2.0, -2.0, 4.0, 0.0], dtype=np.float32)
    np.testing.assert_array_equal(penalise_repetition(logits, np.array([0, 1]), 2.0), [1.0, -4.0, 4.0, 0.0])


def test_frequency_and_presence_penalties() -> None:
    logits = np.zeros(4, dtype=np.float32)
    np.testing.assert_array_equal(penalise_frequency(logits, [2, 2, 0], 0.5, 1.0), [-1.5, 0, -2.0, 0])


def test_bias() -> None:
    np.testing.assert_array_equal(
        bias_logits(np.zeros(4, dtype=np.float32), np.array([3]), np.array([2.5], dtype=np.float32)), [0, 0, 0, 2.5]
    )
    assert make_sampler(replace(GREEDY, logit_bias={0: 100.0}))(LOGITS, []) == 0


def test_repetition_counts_the_prompt_but_frequency_only_the_answer() -> None:
    logits = np.array([1.0, 1.1, 0, 0], dtype=np.float32)
    assert make_sampler(replace(GREEDY, repetition_penalty=2.0), [1])(logits, []) == 0
    assert make_sampler(replace(GREEDY, presence_penalty=1.0), [1])(logits, []) == 1
    assert make_sampler(replace(GREEDY, presence_penalty=1.0), [1])(logits, [1]) == 0


def test_scores_are_left_as_they_are() -> None:
    before = LOGITS.copy()
    sampling = Sampling(
        temperature=0.5, top_k=2, top_p=0.5, min_p=0.1, repetition_penalty=2, frequency_penalty=1, logit_bias={0: 1}
    )
    make_sampler(sampling, [1])(LOGITS, [2])
    np.testing.assert_array_equal(LOGITS, before)


def test_a_seed_gives_the_same_answer() -> None:
    def answer(seed: int | None) -> list[int]:
        choose = make_sampler(Sampling(temperature=1.0, top_p=1.0, seed=seed))
        return [choose(LOGITS, []) for _ in range(50)]

    assert answer(7) == answer(7)
    assert answer(7) != answer(8)
    assert answer(None) != answer(None)


def test_draws_follow_the_distribution() -> None:
    random = np.random.default_rng(1)
    counts = np.bincount([draw(WEIGHTS, random) for _ in range(20_000)], minlength=4) / 20_000
    np.testing.assert_allclose(counts, [0.1, 0.4, 0.2, 0.3], atol=0.02)  # six standard deviations


def test_scores_that_are_not_numbers_are_an_error() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(EdgedError, match="not numbers"):
            make_sampler(GREEDY)(np.array([0, bad], dtype=np.float32), [])


FLOATS = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=40)


@given(logits=FLOATS, mass=st.floats(0, 1))
def test_top_p_is_the_smallest_sufficient_set(logits: list[float], mass: float) -> None:
    candidates = soften(np.array(logits, dtype=np.float32), 1.0)
    kept = keep_top_p(candidates, mass)
    total = candidates.weights.sum(dtype=np.float64)
    held = kept.weights.sum(dtype=np.float64)
    assert held >= mass * total * (1 - 1e-9)
    assert len(kept.ids) == 1 or held - kept.weights.min() < mass * total * (1 + 1e-9)
    left_out = np.setdiff1d(candidates.ids, kept.ids)
    assert len(left_out) == 0 or candidates.weights[left_out].max() <= kept.weights.min()


@given(
    logits=FLOATS, temperature=st.floats(0, 2), top_k=st.integers(0, 50), top_p=st.floats(0, 1), min_p=st.floats(0, 1)
)
def test_any_combination_chooses_an_existing_token(
    logits: list[float], temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=1)
    validate(sampling)
    token = make_sampler(sampling)(np.array(logits, dtype=np.float32), [])
    assert 0 <= token < len(logits)
    if top_k == 1:
        assert logits[token] == max(logits)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", float("nan")),
        ("top_p", 1.1),
        ("top_k", -1),
        ("min_p", -1.0),
        ("repetition_penalty", 0.0),
        ("frequency_penalty", 2.5),
        ("presence_penalty", -3.0),
        ("max_tokens", 0),
        ("seed", -1),
        ("stop", ("",)),
        ("stop", ("x",) * 17),
        ("stop", ("x" * 257,)),
        ("logit_bias", {-1: 0.0}),
        ("logit_bias", {4: 0.0}),
        ("logit_bias", {0: float("inf")}),
    ],
)
def test_out_of_range_names_the_field(field: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate(replace(Sampling(), **{field: value}), vocab_size=4)  # type: ignore[arg-type]
    assert caught.value.field == f"sampling.{field}"


def test_a_range_is_written_in_full() -> None:
    with pytest.raises(InvalidInput, match="between 1 and 1048576, not 0"):
        validate(replace(Sampling(), max_tokens=0))


def test_few_tokens_can_be_biased() -> None:
    with pytest.raises(InvalidInput, match="1024") as caught:
        validate(replace(Sampling(), logit_bias=dict.fromkeys(range(1025), 1.0)))
    assert caught.value.field == "sampling.logit_bias"


def test_defaults_are_valid() -> None:
    validate(Sampling())
