"""`python -m engines build FOLDER` of an autoglm_phone with eyes and ears, and questions about what they take in."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
import torch
from test_see import encoded as encoded_picture
from tiny_checkpoints import relative_error
from tiny_glm4v import photo
from tiny_sensing_phone import save_sensing_phone, sensing_phone

from edged.config import EngineConfig
from edged.engine.engine import load_engine
from edged.engine.manifest import FILE_NAME, describe_files, read_manifest, verify_files
from edged.engine.perception import Perception
from edged.engine.readers import PictureReader, RecordingReader
from edged.events import Audio, Finished, Image, Measured, Message, Role, Text
from engines import recipe_source
from engines.__main__ import main
from tests.audio.recordings import encoded, tone
from tests.server.real import everything_real

PHOTO = encoded_picture(photo(96, 64))
SOUND = Audio(data=encoded(tone(0.5)), media_type="audio/wav")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model from floats and from integers, built by the command; the latter with exact inputs of products."""
    folder = tmp_path_factory.mktemp("senses")
    (folder / "exact.toml").write_text(
        "[gate]\nmax_perplexity_loss = 1\n[linear]\ninputs = 'float'\n", encoding="utf-8"
    )
    for name, recipe in (("floats", "cpu"), ("integers", str(folder / "exact.toml"))):
        checkpoint = save_sensing_phone(sensing_phone(), folder / name, int4=name == "integers")
        command = ["build", str(checkpoint), "--out", str(folder / "engines" / name), "--recipe", recipe]
        assert main(command) == 0
    return folder


@pytest.mark.parametrize("name", ["floats", "integers"])
def test_the_manifest_says_what_the_folder_says(name: str, folder: Path) -> None:
    manifest = read_manifest(folder / "engines" / name)
    verify_files(folder / "engines" / name, manifest)
    vision, audio = manifest.vision, manifest.audio
    assert vision is not None and audio is not None
    assert {"vision.onnx", "vision_standard.onnx", "audio.onnx", "audio_standard.onnx"} < set(manifest.files)
    assert (vision.kind, vision.patch_size, vision.merge_size, vision.temporal_patch_size) == ("pixels", 16, 2, 1)
    assert (vision.min_pixels, vision.max_pixels, vision.position_side) == (1024, 50_176, 14)
    assert (vision.mean, vision.std, vision.image_text) == ((0.5,) * 3, (0.5,) * 3, "<|image|>")
    assert (audio.sample_rate, audio.mel_bins, audio.window, audio.hop) == (16_000, 80, 400, 160)
    assert (audio.frames_per_token, audio.max_seconds, audio.audio_text) == (8, 3, "<|audio|>")
    bits = {"floats": "int8", "integers": "int4"}[name]
    assert vision.precision == audio.precision == bits
    assert manifest.precision.label.endswith(f", {bits.upper()} vision, {bits.upper()} audio")
    assert min(vision.cosine_similarity, audio.cosine_similarity) > (0.998 if name == "floats" else 0.99999)
    assert manifest.parameters == sum(values.numel() for values in sensing_phone().parameters())


def test_a_prompt_of_everything_gives_the_scores_of_the_pytorch_model(folder: Path, tmp_path: Path) -> None:
    """From files to scores, where both compute with the same integers."""
    model = sensing_phone()
    save_sensing_phone(model, tmp_path / "model", int4=True)
    engine = load_engine(folder / "engines" / "integers", EngineConfig(device="cpu", threads=1))
    parts = (Text(text="See"), PHOTO, Text(text="and hear"), SOUND, Text(text="Which?"))
    prompt = engine.prompts.write([Message(role=Role.USER, parts=parts)], enable_thinking=False)
    perception = Perception(prompt, engine.senses, hidden_size=64, has_axes=False)
    while perception.perceive(0, len(prompt.tokens), lambda: False):
        pass
    sight = perception.of(0, len(prompt.tokens))
    assert sight is not None
    session: Any = engine.session
    found = session.prefill(session.allocate(), 0, prompt.tokens, range(len(prompt.tokens)), sight)
    eyes, ears = (engine.senses[kind].reader for kind in (Image, type(SOUND)))
    assert isinstance(eyes, PictureReader) and isinstance(ears, RecordingReader)
    pixels = eyes.inputs(eyes.begin(PHOTO.data).result())["pixels"]
    mels = ears.inputs(ears.begin(SOUND.data).result())["mel"]
    with torch.no_grad():
        tokens, types = torch.tensor([prompt.tokens]), torch.from_numpy(sight.types)[None]
        states = model(tokens, types, torch.from_numpy(pixels), torch.from_numpy(mels))
        expected = model.logits(states)[0].numpy()
    assert set(sight.types) == {0, 1, 2}
    assert relative_error(found, expected) < 5e-3


def test_integers_of_the_towers_are_kept_bit_for_bit(folder: Path) -> None:
    stored = safetensors.numpy.load_file(folder / "integers" / "model.safetensors")
    for part, file in (("visual", "vision.onnx"), ("audio", "audio_standard.onnx")):
        graph = onnx.load(folder / "engines" / "integers" / file).graph
        weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        names = [name for name in stored if name.startswith(f"model.{part}.") and name.endswith(".q4")]
        assert len(names) == 4 + 2
        for name in names:
            codes, inner = stored[name], name.removeprefix(f"model.{part}.").removesuffix(".weight.q4")
            q = np.stack([codes & 15, codes >> 4], axis=-1).reshape(len(codes), -1).astype(np.int8) - 8
            np.testing.assert_array_equal(weights[f"{inner}.q4"].astype(np.int8), q.T)
            np.testing.assert_array_equal(weights[f"{inner}.q4.scale"], stored[name.replace(".q4", ".scale")].T)


def test_verify_computes_both_towers_both_ways(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(folder / "engines" / "integers")]) == 0
    out = capsys.readouterr().out
    for name in ("vision", "audio"):
        assert f"{name:20} int4; cosine 1.0000" in out
        assert f"of {name}.onnx with {name}_standard.onnx" in out


@pytest.mark.parametrize("part", ["vision", "audio"])
def test_verify_tells_when_two_graphs_differ(
    part: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Path(shutil.copytree(folder / "engines" / "integers", tmp_path / "engine"))
    path = engine / f"{part}_standard.onnx"
    model = onnx.load(path, load_external_data=False)
    (gelu,) = [node for node in model.graph.node if node.output[0] == "projector.0.biased.gelu"]
    gelu.op_type = "Neg"
    path.write_bytes(model.SerializeToString())
    describe_anew(engine)
    assert main(["verify", str(engine)]) == 1
    assert f"{part}.onnx and {part}_standard.onnx do not compute the same" in capsys.readouterr().err


def describe_anew(engine: Path) -> None:
    """As if the folder had been built so."""
    document = json.loads((engine / FILE_NAME).read_text(encoding="utf-8"))
    files = {name: {"sha256": entry.sha256, "bytes": entry.bytes} for name, entry in describe_files(engine).items()}
    (engine / FILE_NAME).write_text(json.dumps(document | {"files": files}), encoding="utf-8")


async def test_a_conversation_about_a_picture_and_a_recording(folder: Path) -> None:
    async with (
        everything_real(folder / "engines", "integers") as client,
        aclosing(client.ask((PHOTO, SOUND, Text(text="Same?")), conversation_id="", model="")) as turn,
    ):
        events = [event async for event in turn]
    assert isinstance(events[-1], Finished)
    (usage,) = [event.usage for event in events if isinstance(event, Measured)]
    assert usage.prompt_tokens > 3 * 2 + 6


VISION, AUDIO = "vision_config", "audio_config"


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        (VISION, None, [], "vision_config must be an object"),
        (VISION, "hidden_size", 31, "31 wide with 2 heads"),
        (VISION, "hidden_size", 0, "vision_config.hidden_size cannot be 0"),
        (VISION, "hidden_size", "32", "vision_config.hidden_size cannot be 32"),
        (VISION, "hidden_size", True, "vision_config.hidden_size cannot be True"),
        (VISION, "hidden_size", 2**27, "layers of 134217728 and 64 are not possible"),
        (VISION, "num_hidden_layers", 2**20, "1048576 layers of 32"),
        (VISION, "num_hidden_layers", 2, "8 tensors are missing: visual.blocks.1"),
        (VISION, "intermediate_size", 96, r"fc1.weight has the shape \[64, 32\], expected \[96, 32\]"),
        (VISION, "stem_channels", [16], r"vision_config.stem_channels cannot be \[16\]"),
        (VISION, "stem_channels", [16, -1], "vision_config.stem_channels cannot be -1"),
        (VISION, "stem_channels", 16, "vision_config.stem_channels cannot be 16"),
        (VISION, "stem_residuals", -1, "vision_config.stem_residuals cannot be -1"),
        (VISION, "stem_residuals", 1, r"2 tensors are missing: visual\.stem\.3"),
        (VISION, "stem_residuals", 10**5, "100000 residuals are not possible"),
        (VISION, "patch_size", 10**4, "patches of 10000"),
        (VISION, "position_side", 10**5, "100000 positions a side"),
        (VISION, "merge_size", 10**4, "merge_size 10000"),
        (VISION, "min_pixels", 10**6, "pictures of 1000000 to 50176 pixels"),
        (VISION, "image_std", [0.5, 0.5, 0], r"deviations \[0.5, 0.5, 0.0\]"),
        (VISION, "image_mean", [0.5, float("nan"), 0.5], "vision_config.image_mean cannot be nan"),
        (VISION, "rms_norm_eps", 1e300, "vision_config.rms_norm_eps cannot be 1e"),
        (VISION, "rms_norm_eps", 2, "rms_norm_eps 2.0 are not possible"),
        (AUDIO, None, 3, "audio_config must be an object"),
        (AUDIO, "num_attention_heads", 5, "32 wide with 5 heads"),
        (AUDIO, "num_mel_bins", 40, r"conv1.weight has the shape \[32, 80, 3\], expected \[32, 40, 3\]"),
        (AUDIO, "num_mel_bins", 10**5, "100000 bands"),
        (AUDIO, "sample_rate", 10**8, "100000000 samples a second"),
        (AUDIO, "max_seconds", 10**5, "for 100000 seconds"),
        (AUDIO, "hop", 500, "frames of 400 samples every 500"),
        (AUDIO, "window", 2**15, "frames of 32768 samples"),
        ("image_token_id", None, 10**6, "image_token_id must name a token, not 1000000"),
        ("audio_token_id", None, "x", "audio_token_id must name a token, not x"),
    ],
)
def test_impossible_configurations_are_refused_in_one_line(
    part: str, key: str | None, value: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = sensing_phone()
    whole = json.loads(json.dumps(model.config.to_json()))
    changed = value if key is None else whole[part] | {key: value}
    save_sensing_phone(model, tmp_path / "model", int4=True, **{part: changed})
    assert main(["build", str(tmp_path / "model"), "--out", str(tmp_path / "engine")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert not (tmp_path / "engine").exists()
    assert re.search(message, error), error


def test_a_recipe_with_weights_of_this_project_builds_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `make setup` runs, with a random model in the place of the trained one."""
    save_sensing_phone(sensing_phone(), tmp_path / "checkpoints" / "autoglm-phone-nano", int4=True)
    monkeypatch.setattr(recipe_source, "CHECKPOINTS", tmp_path / "checkpoints")
    command = ["build", "autoglm-phone-nano", "--out", str(tmp_path / "autoglm-phone-nano")]
    assert main(command) == 0
    assert "INT4 vision, INT4 audio" in capsys.readouterr().out
    assert read_manifest(tmp_path / "autoglm-phone-nano").title == "AutoGLM-Phone nano"
    assert main(command) == 0
    assert "autoglm-phone-nano: up to date" in capsys.readouterr().out
