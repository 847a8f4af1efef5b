"""The catalog: shapes against published numbers, and what the table says."""

from __future__ import annotations

import tomllib

import pytest
import transformers

from engines.__main__ import main
from engines.build import default_destination
from engines.catalog import CATALOG, FILE, CatalogEntry
from engines.memory import DEVICES, TextShape, vision_weights
from engines.recipe import recipe_names

PUBLISHED = {
    "qwen2.5-0.5b-instruct": 494_032_768,
    "llama-3.2-1b-instruct": 1_235_814_400,
    "qwen2.5-1.5b-instruct": 1_543_714_304,
    "smollm2-1.7b-instruct": 1_711_376_384,
    "gemma-2-2b-it": 2_614_341_888,
    "llama-3.2-3b-instruct": 3_212_749_824,
    "qwen3-4b-instruct-2507": 4_022_468_096,
    "mistral-7b-instruct-v0.3": 7_248_023_552,
    "qwen3-8b": 8_190_735_360,
}
"""Parameters that the hub's pages count in the files."""


def weights(shape: TextShape) -> int:
    """Everything a text model stores, counted from its shape."""
    q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    layer = sum(rows * columns for rows, columns in shape.matrices().values()) + shape.norms * shape.hidden_size
    layer += (q + 2 * kv if shape.qkv_bias else 0) + (2 * shape.head_dim if shape.head_norms else 0)
    tables = (1 if shape.tied else 2) * shape.vocab_size * shape.hidden_size
    return shape.layers * layer + shape.hidden_size + tables


@pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda entry: entry.name)
def test_an_entry_is_what_its_authors_published(entry: CatalogEntry) -> None:
    counted = weights(entry.shape) + (vision_weights(entry.vision, 8) if entry.vision else 0)
    assert counted == pytest.approx(entry.parameters, rel=1e-3 if entry.vision else 0, abs=0)
    assert counted == PUBLISHED.get(entry.name, counted)
    bytes_each = 1.0625 if entry.file else 2
    stored = counted + (entry.shape.vocab_size * entry.shape.hidden_size if entry.name == "qwen3-1.7b" else 0)
    assert entry.download_gb == pytest.approx(stored * bytes_each / 1e9, rel=0.01)
    assert entry.recipe in recipe_names() and entry.revision == "main" and not (entry.gated and entry.is_open)
    assert default_destination(entry.name).name == entry.name and entry.name not in recipe_names()


def test_the_list_is_short_sorted_and_without_repetitions() -> None:
    assert len(tomllib.loads(FILE.read_text(encoding="utf-8"))["model"]) == len(CATALOG) < 20
    sizes = [entry.parameters for entry in CATALOG.values()]
    assert sizes == sorted(sizes) and sizes[0] < 0.6e9 and sizes[-1] > 9e9
    assert len({(entry.repository, entry.file) for entry in CATALOG.values()}) == len(CATALOG)


def test_the_models_that_see_have_the_shape_that_transformers_gives_their_type() -> None:
    phone, judge = CATALOG["autoglm-phone-9b"], transformers.Glm4vConfig()
    assert (CATALOG["glm-4.1v-9b-thinking"].shape, CATALOG["glm-4.1v-9b-thinking"].vision) == (
        phone.shape,
        phone.vision,
    )
    text, vision = judge.text_config, judge.vision_config
    assert phone.shape == TextShape(
        layers=text.num_hidden_layers,
        hidden_size=text.hidden_size,
        intermediate_size=text.intermediate_size,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_dim=text.hidden_size // text.num_attention_heads,
        vocab_size=text.vocab_size,
        tied=False,
        qkv_bias=True,
        norms=4,
    )
    assert phone.vision is not None
    assert (phone.vision.depth, phone.vision.hidden_size, phone.vision.heads) == (
        vision.depth,
        vision.hidden_size,
        vision.num_heads,
    )
    assert (phone.vision.output_size, phone.vision.merger_size) == (vision.out_hidden_size, vision.intermediate_size)
    assert phone.vision.patch_values == 3 * vision.temporal_patch_size * vision.patch_size**2
    assert phone.vision.positions == (vision.image_size // vision.patch_size) ** 2


def test_memory_and_speed_follow_from_the_shape() -> None:
    entry = CATALOG["qwen3-8b"]
    needs = entry.footprint("rtx-4090")
    assert 0.5 < needs.weights / (entry.parameters * 0.5) < 1.4
    assert needs.kv(1) == 2 * 2 * 36 * 8 * 128
    device = DEVICES["rtx-4090"]
    assert entry.predicted_ms("rtx-4090") == needs.read_per_token(4096) / device.bandwidth * 1e3


def test_the_table_has_a_line_for_each_and_says_what_is_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog"]) == 0
    table = capsys.readouterr().out
    lines = {line.split()[0]: line for line in table.splitlines() if line}
    assert set(CATALOG) <= set(lines) and "predicted, not measured" in table
    assert "Gemma Terms of Use *" in lines["gemma-2-2b-it"] and "16.4 GB" in lines["qwen3-8b"]
