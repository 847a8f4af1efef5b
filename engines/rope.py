"""Rotary position embedding: the frequencies of a checkpoint, with its long-context scaling worked in.

Keys and formulas are those of `transformers.modeling_rope_utils`; YaRN is arXiv:2309.00071.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edged.errors import CheckpointError

MAX_ROTARY_DIM = 512
"""Twice what any model of this family turns; more would only make large tables."""
SUPPORTED = ("default", "dynamic", "linear", "llama3", "yarn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """Position p turns the pair of values i by the angle p * frequencies[i]."""

    frequencies: tuple[float, ...]
    """Radians a token, one for each pair of a head: head_dim / 2 of them."""
    magnitude: float = 1.0
    """Cosines and sines are multiplied by this (YaRN)."""

    def tables(self, positions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosines and sines of every position.  # (positions, pairs) each"""
        angles = np.outer(np.arange(positions), np.asarray(self.frequencies))
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
    magnitude = parameters.get("attention_factor")
    return Rope(
        frequencies=tuple((base / factor * ramp + base * (1 - ramp)).tolist()),
        magnitude=float(magnitude) if isinstance(magnitude, int | float) else _yarn_magnitude(parameters, factor),
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
