"""The vision tower: checkpoint, reference and graphs, for any sizes, against transformers' Glm4vVisionModel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_checkpoints import relative_error
from tiny_glm4v import save_glm4v, tiny_glm4v
from transformers.models.glm4v.modeling_glm4v import Glm4vVisionModel

from edged.engine.onnx_tower import OnnxTower
from edged.engine.readers import PATCH_INPUTS
from edged.errors import ArtefactError, CheckpointError, InvalidInput, QualityGateFailed
from edged.vision.preprocess import Grid
from edged.vision.tower_inputs import cubic_weights, patch_places, tower_inputs
from engines.checkpoint import open_checkpoint
from engines.encoder.products import BLOCK_SIZE, Bits, rounded_rows
from engines.quantize import Rounding, dividing, rounded
from engines.recipe import load_recipe
from engines.reference import torch_arrays
from engines.tensor import Tensor
from engines.vision.artefact import VisionFormat, write_vision
from engines.vision.graph import FUSED_FILE, STANDARD_FILE, write_tower
from engines.vision.processor import read_image_format
from engines.vision.reference import embeddings, stored_weights
from engines.vision.tower import VisionTower, expected_shapes, read_tower

WIDTH = 64
SIZES = {"depth": 2, "hidden_size": 32, "num_heads": 2, "image_size": 56, "intermediate_size": 48}


def tiny_tower(folder: Path, seed: int = 0, **sizes: Any) -> tuple[Glm4vVisionModel, VisionTower]:
    """transformers' model, and ours over its weights."""
    config = transformers.Glm4vVisionConfig(**SIZES | {"out_hidden_size": WIDTH} | sizes, attn_implementation="eager")
    torch.manual_seed(seed)
    model = Glm4vVisionModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
            elif parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0, 1.2 / parameter[0].numel() ** 0.5)
    tensors = {}
    with (folder / "weights").open("wb") as file:
        for name, values in model.state_dict().items():
            tensors[name] = Tensor(
                name=name, path=folder / "weights", offset=file.tell(), shape=tuple(values.shape), encoding="F32"
            )
            file.write(values.numpy().tobytes())
    return model, read_tower({"vision_config": config.to_dict()}, tensors, config.out_hidden_size)


def some_inputs(tower: VisionTower, grid: Grid, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    patches = np.random.default_rng(seed).standard_normal((grid.patches, tower.patch_values)).astype(np.float32)
    return tower_inputs(patches, grid, merge_size=tower.merge_size, position_side=tower.position_side)


def expected_embeddings(model: Glm4vVisionModel, patches: Any, grid: Grid) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        out = model(torch.from_numpy(patches), torch.tensor([[1, grid.height, grid.width]]))
    return out.pooler_output.numpy()


def run(path: Path, inputs: Any) -> np.ndarray[Any, Any]:
    found = OnnxTower(path, PATCH_INPUTS, threads=1).run(inputs, lambda: False)
    assert found is not None
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.fixed_dictionaries(
        {
            "depth": st.integers(1, 3),
            "num_heads": st.sampled_from([1, 2, 3, 4]),
            "image_size": st.sampled_from([14, 28, 56, 98]),
            "patch_size": st.sampled_from([4, 14]),
            "spatial_merge_size": st.sampled_from([1, 2, 3]),
            "temporal_patch_size": st.sampled_from([1, 2]),
            "intermediate_size": st.sampled_from([24, 48]),
            "out_hidden_size": st.sampled_from([32, 64]),
            "rms_norm_eps": st.sampled_from([1e-5, 1e-3]),
        }
    ),
    head_dim=st.sampled_from([4, 8, 16, 20]),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    seed=st.integers(0, 3),
)
def test_any_tower_equals_transformers(
    tmp_path_factory: pytest.TempPathFactory, sizes: dict[str, Any], head_dim: int, rows: int, columns: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("tower")
    model, tower = tiny_tower(folder, seed, hidden_size=head_dim * sizes["num_heads"], **sizes)
    grid = Grid(height=rows * tower.merge_size, width=columns * tower.merge_size)
    inputs = some_inputs(tower, grid, seed)
    expected = expected_embeddings(model, inputs["patches"], grid)
    assert relative_error(embeddings(tower, inputs, stored_weights(tower)), expected) < 1e-4
    write_tower(tower, folder, 32, "float32")
    assert relative_error(run(folder / FUSED_FILE, inputs), expected) < 1e-4
    assert relative_error(run(folder / STANDARD_FILE, inputs), expected) < 3e-2  # products in float16


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Glm4vVisionModel, VisionTower]:
    return tiny_tower(tmp_path_factory.mktemp("tower"))


GRID = Grid(height=6, width=10)


def fake_quantized(tower: VisionTower, bits: Bits) -> Any:
    """The checkpoint's weights as the graph has them."""
    stored = stored_weights(tower)

    def weight(name: str) -> Any:
        values = stored(name)
        if values.ndim == 1 or "position_embedding" in name or bits == 32:
            return values
        if bits == 16 or name.startswith("patch_embed"):
            return values.astype(np.float16).astype(np.float32)
        flat = np.moveaxis(values, 1, -1) if values.ndim == 4 else values
        rows = flat.reshape(len(flat), -1)
        if bits == 4:
            blocks = rounded(rows, Rounding(bits=4, block_size=dividing(BLOCK_SIZE, rows.shape[1])))
            scale = blocks.scale.astype(np.float16).astype(np.float32)
            dense = replace(blocks, scale=scale, minimum=-8 * scale).dense()
        else:
            q, scale = rounded_rows(rows)
            dense = (q * scale[:, None]).astype(np.float32)
        return np.moveaxis(dense.reshape(flat.shape), -1, 1) if values.ndim == 4 else dense

    return weight


@pytest.mark.parametrize("bits", [4, 8, 16, 32])
def test_graphs_compute_the_weights_that_they_store(towers: Any, tmp_path: Path, bits: Bits) -> None:
    _, tower = towers
    inputs = some_inputs(tower, GRID)
    write_tower(tower, tmp_path, bits, "float32")
    expected = embeddings(tower, inputs, fake_quantized(tower, bits))
    assert relative_error(run(tmp_path / FUSED_FILE, inputs), expected) < 1e-4
    assert relative_error(run(tmp_path / STANDARD_FILE, inputs), expected) < 1e-2
    write_tower(tower, tmp_path, bits, "float16")
    assert relative_error(run(tmp_path / FUSED_FILE, inputs), expected) < 1e-2


def test_integers_of_8_bits_lose_little(towers: Any) -> None:
    _, tower = towers
    inputs = some_inputs(tower, GRID)
    exact, rounded = (embeddings(tower, inputs, fake_quantized(tower, bits)) for bits in (32, 8))
    cosine = (exact * rounded).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    assert cosine.min() > 0.99


def test_both_graphs_share_one_file_of_weights(towers: Any, tmp_path: Path) -> None:
    _, tower = towers
    sizes = {}
    for bits in (4, 8, 16, 32):
        folder = tmp_path / str(bits)
        folder.mkdir()
        write_tower(tower, folder, bits, "float32")
        assert sorted(path.name for path in folder.iterdir()) == [FUSED_FILE, f"{FUSED_FILE}.data", STANDARD_FILE]
        sizes[bits] = sum(path.stat().st_size for path in folder.iterdir())
    assert sizes[8] < sizes[16] < sizes[32]


def test_the_standard_graph_has_standard_operators_only(towers: Any, tmp_path: Path) -> None:
    write_tower(towers[1], tmp_path, 8, "float32")
    model = onnx.load(tmp_path / STANDARD_FILE, load_external_data=False)
    assert {node.domain for node in model.graph.node} == {""}
    assert "Attention" in {node.op_type for node in model.graph.node}


def test_the_reference_runs_on_torch_as_well(towers: Any) -> None:
    model, tower = towers
    inputs = some_inputs(tower, GRID)
    arrays = torch_arrays()
    there = {name: torch.from_numpy(values) for name, values in inputs.items()}
    found = embeddings(tower, there, stored_weights(tower, arrays), arrays)
    assert relative_error(found.numpy(), expected_embeddings(model, inputs["patches"], GRID)) < 1e-4


@given(height=st.integers(1, 40), width=st.integers(1, 40), side=st.integers(1, 26))
def test_positions_are_resampled_as_grid_sample_does(height: int, width: int, side: int) -> None:
    grid = Grid(height=height, width=width)
    table = np.random.default_rng(side).standard_normal((side, side)).astype(np.float32)
    places = patch_places(grid, 1)
    rows, columns = cubic_weights(places[:, 0], height, side), cubic_weights(places[:, 1], width, side)
    y, x = ((places[:, axis] + 0.5) / length * 2 - 1 for axis, length in ((0, height), (1, width)))
    points = torch.from_numpy(np.stack([x, y], -1)[None, :, None])
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(table)[None, None].double(), points, "bicubic", "border", align_corners=False
    )
    np.testing.assert_allclose(np.einsum("na,nb,ab->n", rows, columns, table), expected[0, 0, :, 0], atol=2e-5)


def with_tensors(tower: VisionTower, tensors: dict[str, Tensor], **settings_: Any) -> VisionTower:
    sizes = {**SIZES, "out_hidden_size": WIDTH, **settings_}
    return read_tower({"vision_config": sizes}, tensors, WIDTH)


def test_missing_extra_and_misshapen_tensors_are_named(towers: Any) -> None:
    _, tower = towers
    tensors = dict(tower.tensors)
    assert with_tensors(tower, tensors).depth == 2
    with pytest.raises(CheckpointError, match=r"tensors have no place in the vision tower: visual\.blocks\.1"):
        with_tensors(tower, tensors, depth=1)
    with pytest.raises(CheckpointError, match=r"7 tensors are missing: visual\.blocks\.2"):
        with_tensors(tower, tensors, depth=3)
    with pytest.raises(CheckpointError, match=r"merger.gate_proj.weight .* shape \[48, 64\], expected \[56, 64\]"):
        with_tensors(tower, tensors, intermediate_size=56)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"num_heads": 5}, "32 wide with 5 heads"),
        ({"num_heads": 16}, "32 wide with 16 heads"),
        ({"depth": 10**5}, "100000 blocks"),
        ({"depth": "2"}, "vision_config.depth must be a positive whole number"),
        ({"patch_size": 0}, "vision_config.patch_size"),
        ({"image_size": 7}, "0 positions a side"),
        ({"out_hidden_size": 32}, "out_hidden_size is 32, the text model is 64 wide"),
        ({"rms_norm_eps": -1}, "vision_config.rms_norm_eps"),
        ({"hidden_act": "gelu"}, "only silu"),
        ({"in_channels": 4}, "pictures have 3"),
    ],
)
def test_impossible_configurations_are_refused(towers: Any, settings_: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        with_tensors(towers[1], dict(towers[1].tensors), **settings_)


def test_a_configuration_without_a_tower_is_refused() -> None:
    with pytest.raises(CheckpointError, match="vision_config must be an object"):
        read_tower({}, {}, WIDTH)


@pytest.mark.parametrize(
    ("preprocessor", "message"),
    [
        ({"patch_size": 16}, "patch_size is 16, config.json says 14"),
        ({"do_normalize": False}, "do_normalize False is not supported"),
        ({"resample": 2}, "resample 2 is not supported"),
        ({"size": {"shortest_edge": 10, "longest_edge": 5}}, "size"),
        ({"size": {"shortest_edge": 10, "longest_edge": 10**12}}, "size"),
        ({"image_mean": [0.5, 0.5]}, "image_mean"),
        ({"image_std": [0.5, 0.5, 0]}, "image_std"),
    ],
)
def test_preprocessing_that_is_not_done_here_is_refused(
    towers: Any, tmp_path: Path, preprocessor: dict[str, Any], message: str
) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        read_image_format(tmp_path, towers[1])


def test_limits_are_read_from_wherever_they_are_written(towers: Any, tmp_path: Path) -> None:
    for name, document in (
        ("preprocessor_config.json", {"min_pixels": 3136, "max_pixels": 5_000_000}),
        ("preprocessor_config.json", {"size": {"shortest_edge": 3136, "longest_edge": 5_000_000}}),
        ("processor_config.json", {"image_processor": {"size": {"shortest_edge": 3136, "longest_edge": 5_000_000}}}),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
        found = read_image_format(folder, towers[1])
        assert (found.min_pixels, found.max_pixels) == (3136, 5_000_000)
    assert read_image_format(tmp_path, towers[1]).max_pixels == 28 * 28 * 15000


def test_a_recipe_may_limit_pictures_further(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_glm4v(tiny_glm4v(), tmp_path / "model"))
    vision = write_vision(checkpoint, VisionFormat(bits=8, max_pixels=28 * 28 * 2 * 9), "float32", tmp_path)
    assert vision is not None
    assert (vision.max_pixels, vision.precision) == (28 * 28 * 2 * 9, "int8")
    assert 0.98 < vision.cosine_similarity < 1.0001


def test_weights_that_compute_nothing_are_not_installed(tmp_path: Path) -> None:
    model = tiny_glm4v()
    with torch.no_grad():
        model.model.visual.merger.down_proj.weight.mul_(1e38)
    checkpoint = open_checkpoint(save_glm4v(model, tmp_path / "model"))
    with pytest.raises(QualityGateFailed, match="embeddings of a picture"):
        write_vision(checkpoint, VisionFormat(bits=8, max_pixels=0), "float32", tmp_path)


def test_a_run_ends_when_it_is_not_wanted_any_more(towers: Any, tmp_path: Path) -> None:
    write_tower(towers[1], tmp_path, 32, "float32")
    session = OnnxTower(tmp_path / FUSED_FILE, PATCH_INPUTS, threads=1)
    large = some_inputs(towers[1], Grid(height=120, width=120))
    assert session.run(large, lambda: True) is None
    assert session.run(some_inputs(towers[1], GRID), lambda: False) is not None


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / FUSED_FILE).write_bytes(b"no graph")
    with pytest.raises(ArtefactError, match="cannot load it"):
        OnnxTower(tmp_path / FUSED_FILE, PATCH_INPUTS, threads=1)


def test_expected_shapes_are_those_of_transformers(towers: Any) -> None:
    model, tower = towers
    assert expected_shapes(tower) == {name: tuple(values.shape) for name, values in model.state_dict().items()}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("bits = 5", "vision.bits must be one of 4, 8, 16, 32, not 5"),
        ("max_pixels = -1", "vision.max_pixels must be between 0 and"),
        ("max_pixel = 1", r'vision.max_pixel is unknown \(did you mean "max_pixels"\?\)'),
    ],
)
def test_mistakes_in_a_recipe_name_the_key(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "a.toml").write_text(f"[gate]\nmax_perplexity_loss = 1\n[vision]\n{table}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        load_recipe(str(tmp_path / "a.toml"))


def test_a_recipe_says_how_the_tower_is_stored(tmp_path: Path) -> None:
    text = "[gate]\nmax_perplexity_loss = 1\n[vision]\nbits = 16\nmax_pixels = 5_000_000\n"
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    assert load_recipe(str(tmp_path / "a.toml")).vision == VisionFormat(bits=16, max_pixels=5_000_000)
