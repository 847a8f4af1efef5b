"""The program that measures a build at full size: that its folder is AutoGLM-Phone-9B's, and that it runs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import transformers

from engines.catalog import CATALOG
from tests.engines_build import full_size


@pytest.fixture(scope="module")
def published() -> dict[str, tuple[int, ...]]:
    """Names and shapes of transformers' model of two full-width layers, without weights."""
    settings = full_size.config(2)
    with torch.device("meta"):
        model = transformers.Glm4vForConditionalGeneration(transformers.Glm4vConfig(**settings))
    return {name: tuple(values.shape) for name, values in model.state_dict().items()}


def test_names_and_shapes_are_those_of_the_model(published: dict[str, tuple[int, ...]]) -> None:
    assert dict(full_size.tensors(full_size.config(2))) == published


def test_all_of_it_is_as_large_as_published() -> None:
    weights = sum(math.prod(shape) for _, shape in full_size.tensors(full_size.config(full_size.LAYERS)))
    assert weights == pytest.approx(CATALOG["autoglm-phone-9b"].parameters, rel=0.001)
    assert weights * 2 == pytest.approx(20.6e9, rel=0.001)


def test_special_tokens_have_their_ids() -> None:
    made = full_size.tokenizer(151552)
    assert [made.token_to_id(name) for name in ("<|endoftext|>", "<|user|>", "<|image|>")] == [151329, 151336, 151343]
    assert made.encode("<|image|><|user|>").ids == [151343, 151336]
    assert len(made.encode("Good morning to the harbour.").ids) < 16


@pytest.mark.slow
def test_a_narrow_one_builds(tmp_path: Path) -> None:
    recipe = tmp_path / "random.toml"
    recipe.write_text(full_size.RECIPE, encoding="utf-8")
    full_size.write_folder(tmp_path / "model", full_size.config(1, narrow=True))
    found = full_size.measured_build(tmp_path / "model", tmp_path / "engine", recipe)
    assert found.largest_tensor == 151552 * 128
    assert found.anonymous_bytes <= found.peak_bytes < 2 * 1024**3
    assert (tmp_path / "engine/vision.onnx").is_file()
    assert f"| 1 | {found.source_bytes / 1e9:.2f} |" in full_size.report([found])


def test_line_through_measurements() -> None:
    assert full_size.line([(2, 3.0), (4, 4.0), (8, 6.0)]) == pytest.approx((2.0, 0.5))
