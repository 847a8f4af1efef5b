"""Rotary position embedding: the frequencies of a checkpoint, with its long-context scaling worked in.

Keys and formulas are those of `transformers.modeling_rope_utils`; YaRN is arXiv:2309.00071.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edged.errors import CheckpointError

Positions = NDArray[np.int64]
"""Of tokens in time, height and width; all three are the same where the model knows one only.  # (3, tokens)"""
MAX_ROTARY_DIM = 512
"""Twice what any model here turns; more would only make large tables."""
SUPPORTED = ("default", "dynamic", "linear", "llama3", "yarn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """Position p turns the pair of values i by the angle p * frequencies[i]."""

    frequencies: tuple[float, ...]
    """Radians a position, one for each pair of a head that turns: head_dim / 2 of them, or the first few."""
    magnitude: float = 1.0
    """Cosines and sines are multiplied by this (YaRN)."""
    sections: tuple[int, ...] = ()
    """How many pairs turn by the position in time, in height, in width (M-RoPE, arXiv:2409.12191), and so on in
    turn; empty where a token has one position only."""

    @property
    def rotary_dim(self) -> int:
        """Values of a head that turn; the others stay."""
        return 2 * len(self.frequencies)

    @property
    def axes(self) -> NDArray[np.int64]:
        """By which of time, height and width each pair turns.  # (pairs,)"""
        return np.repeat(np.arange(len(self.sections)) % 3, self.sections)

    def tables(self, positions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosines and sines of the first positions, where tokens have one only.  # (positions, pairs) each"""
        return self.turns(np.tile(np.arange(positions), (3, 1)))

    def turns(self, positions: Positions) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosines and sines of tokens at these positions.  # (tokens, pairs) each"""
        places = positions[self.axes].T if self.sections else positions[0][:, None]
        angles = places * np.asarray(self.frequencies)
        cosines, sines = np.cos(angles) * self.magnitude, np.sin(angles) * self.magnitude
        return cosines.astype(np.float32), sines.astype(np.float32)


def rope_from(parameters: Mapping[str, object], *, theta: float, rotary_dim: int, context: int) -> Rope:
    """From `rope_parameters` / `rope_scaling` of a config.json, or the same keys taken from GGUF metadata."""
    kind = str(parameters.get("rope_type") or parameters.get("type") or "default")
    if not 0 < theta < 1e18 or not 2 <= rotary_dim <= MAX_ROTARY_DIM or rotary_dim % 2:
        raise CheckpointError(f"rope of {rotary_dim} values with base {theta:g} is not possible")
    base = theta ** (-np.arange(0, rotary_dim, 2) / rotary_dim)
    if kind in ("default", "dynamic"):  # dynamic scaling starts beyond the context the model was trained for
        return Rope(frequencies=tuple(base.tolist()))
    if kind == "linear":
        return Rope(frequencies=tuple((base / _number(parameters, "factor")).tolist()))
    if kind == "llama3":
        return Rope(frequencies=tuple(_llama3(base, parameters).tolist()))
    if kind == "yarn":
        return _yarn(base, parameters, theta, context)
    raise CheckpointError(f"rope scaling {kind!r} is not supported; supported are {', '.join(SUPPORTED)}")


def with_sections(rope: Rope, sections: Sequence[int]) -> Rope:
    """The same turns, by positions in time, height and width. Raises CheckpointError when the sections do not fit."""
    if sum(sections) != len(rope.frequencies):
        raise CheckpointError(
            f"rope sections of {sum(sections)} pairs do not fit the {len(rope.frequencies)} that turn"
        )
    return replace(rope, sections=tuple(sections))


def rope_with_factors(factors: NDArray[np.float32], *, theta: float, rotary_dim: int) -> Rope:
    """From the tensor `rope_freqs.weight`, in which GGUF keeps the divisors of Llama 3's scaling."""
    base = np.asarray(rope_from({}, theta=theta, rotary_dim=rotary_dim, context=0).frequencies)
    if factors.size != base.size or not (factors > 0).all():
        raise CheckpointError(f"rope_freqs.weight must hold {base.size} positive numbers")
    return Rope(frequencies=tuple((base / factors.reshape(-1)).tolist()))


def _llama3(base: NDArray[np.float64], parameters: Mapping[str, object]) -> NDArray[np.float64]:
    """Long waves are slowed by `factor`, short ones kept, those between blended."""
    factor = _number(parameters, "factor")
    low, high = _number(parameters, "low_freq_factor"), _number(parameters, "high_freq_factor")
    original = _number(parameters, "original_max_position_embeddings")
    if high <= low:
        raise CheckpointError("rope scaling: high_freq_factor must be above low_freq_factor")
    turns = original * base / (2 * math.pi)
    blend = np.clip((turns - low) / (high - low), 0, 1)
    return (1 - blend) * base / factor + blend * base


def _yarn(base: NDArray[np.float64], parameters: Mapping[str, object], theta: float, context: int) -> Rope:
    factor = _number(parameters, "factor")
    original = _number(parameters, "original_max_position_embeddings", float(context))
    if theta <= 1 or original <= 0:
        raise CheckpointError(f"rope scaling: yarn is not possible with base {theta:g} and a context of {original:g}")
    dimensions = 2 * base.size

    def pair_turning(turns: float) -> float:
        """Index of the pair that makes so many turns over the original context."""
        return dimensions * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low = pair_turning(_number(parameters, "beta_fast", 32.0))
    high = pair_turning(_number(parameters, "beta_slow", 1.0))
    if parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dimensions - 1)
    ramp = np.clip((np.arange(base.size) - low) / max(high - low, 0.001), 0, 1)
    return Rope(
        frequencies=tuple((base / factor * ramp + base * (1 - ramp)).tolist()),
        magnitude=_number(parameters, "attention_factor", _yarn_magnitude(parameters, factor)),
    )


def _yarn_magnitude(parameters: Mapping[str, object], factor: float) -> float:
    def of(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0

    if parameters.get("mscale") and parameters.get("mscale_all_dim"):
        return of(_number(parameters, "mscale")) / of(_number(parameters, "mscale_all_dim"))
    return of(1.0)


def _number(parameters: Mapping[str, object], key: str, default: float | None = None) -> float:
    """A positive number of the scaling's description."""
    value = parameters.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e18:
        raise CheckpointError(f"rope scaling: {key} must be a positive number, not {str(value)[:40]}")
    return float(value)
