"""How files reach towers of autoglm_phone's kind."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from edged.audio.mel import log_mel
from edged.engine.manifest import Manifest, read_manifest
from edged.engine.readers import PictureReader, RecordingReader, readers, reads
from edged.engine.session import TokenType
from edged.errors import ArtefactError
from edged.events import Audio, Image
from tests.audio.recordings import encoded, tone
from tests.sensing_artefact import SIDE, sensing_artefact
from tests.tiny_artefact import EYES


@pytest.fixture
def manifest(tmp_path: Any) -> Manifest:
    return read_manifest(sensing_artefact(tmp_path))


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_picture_of_the_right_size_is_read_pixel_by_pixel(manifest: Manifest) -> None:
    assert manifest.vision is not None
    pixels = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    reader = PictureReader(manifest.vision)
    percept = reader.perceive(png(pixels))
    assert (percept.type, percept.rows, percept.columns, len(percept.tokens)) == (TokenType.IMAGE, 3, 5, 15)
    inputs = reader.inputs(reader.begin(png(pixels)).result(10))
    assert set(inputs) == reader.input_names
    np.testing.assert_allclose(inputs["pixels"], pixels.transpose(2, 0, 1)[None] / 127.5 - 1, atol=1e-6)
    assert inputs["pixels"].dtype == np.float32
    for name, length in (("row_weights", 6), ("column_weights", 10)):
        assert inputs[name].shape == (length, SIDE)
        np.testing.assert_allclose(inputs[name].sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("width, height", [(1080, 2400), (20, 20), (640, 480), (224, 224)])
def test_pictures_of_any_size_become_whole_tokens_within_the_limit(width: int, height: int, manifest: Manifest) -> None:
    assert manifest.vision is not None
    reader = PictureReader(manifest.vision)
    data = png(np.zeros((height, width, 3), np.uint8))
    percept, inputs = reader.perceive(data), reader.inputs(reader.begin(data).result(10))
    high, wide = inputs["pixels"].shape[2:]
    assert (high, wide) == (32 * percept.rows, 32 * percept.columns)
    assert 32 * 32 <= high * wide <= 50_176


def test_positions_of_a_picture_as_large_as_the_table_are_the_table(manifest: Manifest) -> None:
    assert manifest.vision is not None
    reader = PictureReader(manifest.vision)
    inputs = reader.inputs(reader.begin(png(np.zeros((224, 224, 3), np.uint8))).result(10))
    np.testing.assert_allclose(inputs["row_weights"], np.eye(SIDE), atol=1e-6)


def test_patches_stay_what_they_were() -> None:
    reader = PictureReader(EYES)
    data = png(np.zeros((56, 84, 3), np.uint8))
    assert set(reader.inputs(reader.begin(data).result(10))) == reader.input_names
    assert "patches" in reader.input_names


@pytest.mark.parametrize("seconds, rate", [(0.001, 16_000), (1.0, 44_100), (2.99, 8_000)])
def test_a_recording_has_as_many_tokens_as_its_spectrum(seconds: float, rate: int, manifest: Manifest) -> None:
    assert manifest.audio is not None
    reader = RecordingReader(manifest.audio)
    data = encoded(tone(seconds, rate), rate)
    percept, samples = reader.perceive(data), reader.begin(data).result(10)
    mel = reader.inputs(samples)["mel"]
    assert mel.shape == (1, 80, 8 * len(percept.tokens)) and (percept.rows, percept.type) == (1, TokenType.AUDIO)
    np.testing.assert_array_equal(mel[0], log_mel(samples))


def test_what_an_engine_reads(manifest: Manifest) -> None:
    assert set(readers(manifest)) == {Image, Audio}
    assert reads(manifest) == ("text", "images", "audio")
    deaf = dataclasses.replace(manifest, audio=None)
    assert reads(deaf) == ("text", "images") and reads(dataclasses.replace(deaf, vision=None)) == ("text",)


@pytest.mark.parametrize(
    ("sense", "key", "value"),
    [
        ("vision", "kind", "frames"),
        ("vision", "temporal_patch_size", 2),
        ("audio", "file", "gone.onnx"),
        ("audio", "standard", "/etc/passwd"),
        ("audio", "sample_rate", 0),
        ("audio", "mel_bins", 10**6),
        ("audio", "window", -1),
        ("audio", "hop", 401),
        ("audio", "frames_per_token", 0),
        ("audio", "max_seconds", 10**6),
        ("audio", "audio_token", 10**6),
        ("audio", "audio_text", ""),
    ],
)
def test_impossible_senses_are_refused(sense: str, key: str, value: Any, tmp_path: Any) -> None:
    folder = sensing_artefact(tmp_path)
    manifest = read_manifest(folder)
    changed = dataclasses.replace(getattr(manifest, sense), **{key: value})
    dataclasses.replace(manifest, **{sense: changed}).write(folder)
    with pytest.raises(ArtefactError, match=rf"{sense}\.{key} is out of range"):
        read_manifest(folder)


def test_one_token_cannot_stand_for_pictures_and_recordings(tmp_path: Any) -> None:
    folder = sensing_artefact(tmp_path)
    manifest = read_manifest(folder)
    assert manifest.audio is not None and manifest.vision is not None
    confused = dataclasses.replace(manifest.audio, audio_token=manifest.vision.image_token)
    dataclasses.replace(manifest, audio=confused).write(folder)
    with pytest.raises(ArtefactError, match=r"audio\.audio_token is out of range"):
        read_manifest(folder)


def test_ears_need_a_graph_that_takes_embeddings(tmp_path: Any) -> None:
    folder = sensing_artefact(tmp_path)
    manifest = read_manifest(folder)
    graph = dataclasses.replace(manifest.graph, embeddings=False, experts=-1)
    dataclasses.replace(manifest, graph=dataclasses.replace(graph, experts=0), vision=None).write(folder)
    with pytest.raises(ArtefactError, match=r"graph\.embeddings is out of range"):
        read_manifest(folder)
    dataclasses.replace(manifest, graph=graph).write(folder)
    with pytest.raises(ArtefactError, match=r"graph\.experts is out of range"):
        read_manifest(folder)
