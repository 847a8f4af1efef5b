"""Calibration on pictures: samples are what the run time makes of a prompt, and quantization heeds them."""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image as Pillow
from test_glm4v import Judge, user
from tiny_checkpoints import gentle, relative_error, save_folder, session, tiny_model
from tiny_glm4v import IMAGE, photo, save_glm4v, tiny_glm4v
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

from edged.engine.manifest import read_manifest
from edged.errors import CheckpointError, InvalidInput
from edged.vision.preprocess import ImageFormat
from engines import samples as samples_module
from engines.__main__ import main
from engines.calibrate import USUAL_IMAGES, Calibration, prepared
from engines.checkpoint import Checkpoint, open_checkpoint
from engines.graph.integer_weights import FLOAT_INPUTS, IntegerFormat, IntegerWeights
from engines.quantize import Rounding
from engines.recipe import load_recipe
from engines.reference import final_states, head_logits
from engines.samples import MAX_PICTURES, PictureFile, Sample, picture_files, picture_samples
from engines.vision.screens import screen

SIZES = ImageFormat(
    patch_size=14,
    temporal_patch_size=2,
    merge_size=2,
    min_pixels=28 * 28 * 2,
    max_pixels=28 * 28 * 2 * 15000,
    rescale_factor=1 / 255,
    mean=(0.5, 0.5, 0.5),
    std=(0.3, 0.3, 0.3),
)
QUESTION = "What is on this screen?"
FORMAT = IntegerFormat(
    linear=Rounding(bits=4, block_size=32),
    minimum={},
    embedding=Rounding(bits=8, block_size=32),
    head=Rounding(bits=8, block_size=32),
)
RECIPE = """
[linear]
bits = 4
method = "awq+gptq"
[calibration]
tokens = 512
{calibration}
[gate]
max_perplexity_loss = 10.0
"""


@pytest.fixture(scope="module")
def model() -> Any:
    """Pictures' embeddings are large in four channels that are like the others in words."""
    model = tiny_glm4v()
    with torch.no_grad():
        model.model.visual.merger.down_proj.weight[[5, 20, 37, 58]] *= 40
    return model


@pytest.fixture(scope="module")
def folder(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_glm4v(model, tmp_path_factory.mktemp("images") / "tiny")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Checkpoint:
    return open_checkpoint(folder)


def saved(path: Path, picture: Pillow.Image) -> PictureFile:
    picture.save(path, "PNG")
    return PictureFile(path=path, sha256="")


def logits_of(checkpoint: Checkpoint, sample: Sample) -> np.ndarray[Any, Any]:
    (states,) = final_states(checkpoint, [sample.tokens], lambda layers: None, sights=[sample.sight])
    return head_logits(checkpoint, states)


def drawn(height: int, width: int) -> Pillow.Image:
    return Pillow.fromarray(screen(0, height, width))


@pytest.mark.parametrize("picture", [photo(140, 60, 1), photo(70, 180, 2), None], ids=["tall", "wide", "drawn"])
def test_samples_are_what_transformers_makes_of_the_question(
    picture: Pillow.Image | None, model: Any, folder: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    files = [] if picture is None else [saved(tmp_path / "a.png", picture)]
    (sample,) = picture_samples(checkpoint, 1, files)
    assert sample.sight is not None
    if picture is None:  # drawn in the very size that the model is shown
        rows, columns = (len(np.unique(axis[np.array(sample.tokens) < 0])) for axis in sample.sight.positions[1:])
        picture = drawn(28 * rows, 28 * columns)
    judge = Judge(
        model,
        transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")),
        Glm4vImageProcessorPil.from_pretrained(folder),
        (folder / "chat_template.jinja").read_text(encoding="utf-8"),
    )
    inputs = judge.inputs((user(picture, QUESTION),))
    assert [IMAGE if token < 0 else token for token in sample.tokens] == inputs["input_ids"][0].tolist()
    positions, _ = model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], inputs["image_grid_thw"]
    )
    np.testing.assert_array_equal(sample.sight.positions, positions[:, 0].numpy())
    with torch.no_grad():
        assert relative_error(logits_of(checkpoint, sample), model(**inputs).logits[0].numpy()) < 1e-3


def divergence(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """Mean KL divergence in nats."""
    p, q = (torch.log_softmax(torch.tensor(logits), -1) for logits in (expected, found))
    return float((p.exp() * (p - q)).sum(-1).mean())


@pytest.mark.parametrize(("method", "share"), [("awq", 0.95), ("gptq", 0.75), ("awq+gptq", 0.75)])
def test_pictures_cost_less_where_calibration_has_seen_some(
    method: Any, share: float, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Asked about other pictures than those calibrated on."""
    files = [saved(tmp_path / f"{seed}.png", photo(140, 112, seed)) for seed in range(3)]
    asked = list(picture_samples(checkpoint, 3, files))
    expected = [logits_of(checkpoint, sample) for sample in asked]
    losses = {}
    for images in (0, 2):
        calibration = Calibration(method=method, tokens=1024, images=images)
        changed, quantize = prepared(checkpoint, FORMAT, calibration, lambda layers: None)

        def weights(file: Any, quantize: Any = quantize) -> IntegerWeights:
            return IntegerWeights(file, FORMAT, FLOAT_INPUTS, quantize)

        engine = session(changed, tmp_path / f"engine{images}", weights)
        found = [
            engine.prefill(engine.allocate(), 0, sample.tokens, range(len(sample.tokens)), sample.sight)
            for sample in asked
        ]
        losses[images] = np.mean([divergence(*pair) for pair in zip(found, expected, strict=True)])
    assert losses[2] < share * losses[0]


def test_a_model_that_sees_is_shown_pictures_by_default(checkpoint: Checkpoint, tmp_path: Path) -> None:
    def shown(calibration: Calibration) -> list[Sample]:
        return [sample for sample in calibration.samples(checkpoint) if sample.sight is not None]

    files = tuple(saved(tmp_path / f"{seed}.png", photo(60, 60, seed)) for seed in range(3))
    assert len(shown(Calibration(tokens=512))) == USUAL_IMAGES
    assert shown(Calibration(tokens=512, images=0)) == []
    own = shown(Calibration(tokens=512, pictures=files))
    assert [len(sample.tokens) for sample in own[::2]] == [len(own[0].tokens)] * 2 and len(own) == 3
    more = shown(Calibration(tokens=512, pictures=files, images=4))
    assert len(more) == 4 and len(more[3].tokens) > len(own[0].tokens), "the fourth is drawn"


def test_drawn_pictures_are_always_the_same_and_all_different() -> None:
    for height, width in ((28, 28), (56, 28), (112, 700), (1316, 588)):
        np.testing.assert_array_equal(screen(1, height, width), screen(1, height, width))
        assert screen(1, height, width).shape == (height, width, 3)
    assert (screen(1, 1316, 588) != screen(2, 1316, 588)).mean() > 0.5


@pytest.mark.parametrize(
    ("size", "context"), [((4000, 3000), 512), ((4000, 3000), 128), ((10, 1900), 512), ((1, 1), 512)]
)
def test_a_picture_takes_no_more_than_half_of_the_context(
    size: tuple[int, int], context: int, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    file = saved(tmp_path / "a.png", Pillow.new("RGB", size))
    small = dataclasses.replace(checkpoint.architecture, context_length=context)
    (sample,) = picture_samples(dataclasses.replace(checkpoint, architecture=small), 1, [file])
    assert 0 < sum(token < 0 for token in sample.tokens) <= context // 2


def test_large_pictures_are_made_small_enough_to_compute(checkpoint: Checkpoint, monkeypatch: Any) -> None:
    """A folder may allow 15,000 tokens, whose attention would take all memory."""
    long = dataclasses.replace(checkpoint.architecture, context_length=2**16)
    monkeypatch.setattr(samples_module, "read_image_format", lambda folder, tower: SIZES)
    (sample,) = picture_samples(dataclasses.replace(checkpoint, architecture=long), 1)
    assert 900 < sum(token < 0 for token in sample.tokens) <= 1024


def test_text_alone_takes_no_words_about_pictures(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_folder(tiny_model("qwen2"), tmp_path / "model"))
    file = saved(tmp_path / "a.png", photo(60, 60))
    for calibration, key in ((Calibration(images=3), "images"), (Calibration(pictures=(file,)), "pictures")):
        with pytest.raises(InvalidInput, match=rf"calibration\.{key}: qwen2 reads text only, leave it out"):
            prepared(checkpoint, FORMAT, calibration, lambda layers: None)
    for calibration in (Calibration(), Calibration(images=0)):
        assert prepared(checkpoint, FORMAT, calibration, lambda layers: None)[0] is checkpoint


def template_of(checkpoint: Checkpoint, template: str) -> Checkpoint:
    return dataclasses.replace(
        checkpoint, vocabulary=dataclasses.replace(checkpoint.vocabulary, chat_template=template)
    )


@pytest.mark.parametrize("count", [0, 2])
def test_a_template_without_a_place_for_the_picture_is_refused(count: int, checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=f"the chat template has places for {count} pictures, there is 1"):
        list(picture_samples(template_of(checkpoint, "hello" + "<|image|>" * count), 1))


def test_a_question_that_does_not_fit_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"a question about a picture has \d+ tokens, the context holds 512"):
        list(picture_samples(template_of(checkpoint, "<|image|>" + "x" * 600), 1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello", "the picture is not a JPEG, PNG, WebP or GIF file"),
        (b"", "the picture is not a JPEG, PNG, WebP or GIF file"),
        (None, "the picture is damaged"),
    ],
)
def test_a_file_that_is_no_picture_is_named(
    data: bytes | None, message: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    if data is None:
        file = io.BytesIO()
        photo(60, 60).save(file, "PNG")
        data = file.getvalue()[:200]
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InvalidInput, match=rf"a\.png: {message}") as raised:
        list(picture_samples(checkpoint, 1, [PictureFile(path=tmp_path / "a.png", sha256="")]))
    assert "\n" not in raised.value.message
    with pytest.raises(InvalidInput, match=r"gone: cannot be read: No such file"):
        list(picture_samples(checkpoint, 1, [PictureFile(path=tmp_path / "gone", sha256="")]))


def test_files_are_taken_by_name_and_counted(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no files"):
        picture_files(tmp_path, None)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "0-pipe")
    for number in range(MAX_PICTURES + 1):
        (tmp_path / f"{number:02}.png").write_bytes(b"%d" % number)
    (tmp_path / ".hidden").write_bytes(b"x")
    assert [file.path.name for file in picture_files(tmp_path, 2)] == ["00.png", "01.png"]
    with pytest.raises(InvalidInput, match=f"holds more than {MAX_PICTURES} files: say how many to use with images"):
        picture_files(tmp_path, None)
    with (tmp_path / "00.png").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(InvalidInput, match=r"00\.png has more than 64 MB"):
        picture_files(tmp_path, 1)


def recipe(folder: Path, calibration: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(RECIPE.format(calibration=calibration), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("images = -1", "calibration.images must be between 0 and 32, not -1"),
        ("images = 'two'", "calibration.images must be of type int"),
        ("image = 2", r'calibration.image is unknown \(did you mean "images"\?\)'),
        ("pictures = 3", "calibration.pictures must be of type str"),
        ("pictures = 'gone'", "calibration.pictures: .*gone: cannot be read: No such file"),
        ("pictures = 'mine.toml'", "calibration.pictures: .*mine.toml: cannot be read: Not a directory"),
        (r'pictures = "a\u0000b"', "calibration.pictures is not a path"),
    ],
)
def test_mistakes_in_a_recipe_name_the_key(words: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_recipe(str(recipe(tmp_path, words)))


def test_the_digest_follows_the_pictures_and_not_where_they_lie(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name / "shots").mkdir(parents=True)
        saved(tmp_path / name / "shots" / "1.png", photo(60, 60, seed))
        digests.append(load_recipe(str(recipe(tmp_path / name, "pictures = 'shots'"))).digest)
    assert digests[0] == digests[1] != digests[2]


def test_the_command_builds_with_own_and_drawn_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save_glm4v(gentle(tiny_glm4v()), tmp_path / "model")
    (tmp_path / "shots").mkdir()
    saved(tmp_path / "shots" / "1.png", photo(100, 60))
    mine = recipe(tmp_path, "images = 2\npictures = 'shots'")
    command = ["build", str(source), "--recipe", str(mine), "--out", str(tmp_path / "tiny")]
    assert main(command) == 0
    assert read_manifest(tmp_path / "tiny").precision.label.startswith("INT4 in blocks of 32 by AWQ+GPTQ")
    assert main(command) == 0 and "up to date" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "tiny")]) == 0
    capsys.readouterr()
    (tmp_path / "shots" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "1.png: the picture is" in error
    assert read_manifest(tmp_path / "tiny").name == "tiny", "what was there is kept"
