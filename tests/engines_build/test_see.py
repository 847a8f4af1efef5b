"""`python -m engines build FOLDER` of a model that sees, and questions about pictures through the daemon's layers."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import threading
from contextlib import aclosing
from pathlib import Path

import pytest
from PIL import Image as Pillow
from tiny_checkpoints import gentle
from tiny_glm4v import CONTEXT, IMAGE, photo, save_glm4v, tiny_glm4v

from edged.client import Client
from edged.config import EngineConfig
from edged.engine.manifest import FILE_NAME, read_manifest, verify_files
from edged.engine.readers import image_format
from edged.engine.worker import EngineWorker
from edged.errors import ArtefactError, Code, RemoteError
from edged.events import (
    Audio,
    Finished,
    GenerationRequest,
    Image,
    Measured,
    Message,
    Part,
    Role,
    Sampling,
    Started,
    Text,
    TurnEvent,
)
from edged.vision.preprocess import ImageFormat, begin_patches
from engines.__main__ import main
from tests.server.real import everything_real
from tests.tiny_artefact import tiny_artefact


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine that sees, built by the command, and one that does not."""
    folder = tmp_path_factory.mktemp("see")
    checkpoint = save_glm4v(gentle(tiny_glm4v()), folder / "checkpoint")
    assert main(["build", str(checkpoint), "--out", str(folder / "engines" / "seeing")]) == 0
    tiny_artefact(folder / "engines", "blind")
    return folder / "engines"


def encoded(picture: Pillow.Image, kind: str = "PNG") -> Image:
    file = io.BytesIO()
    picture.save(file, kind)
    return Image(data=file.getvalue(), media_type=f"image/{kind.lower()}")


PHOTO = encoded(photo(140, 60))


async def asked(client: Client, *parts: Part, conversation: str = "", model: str = "") -> list[TurnEvent]:
    async with aclosing(client.ask(parts, conversation_id=conversation, model=model)) as turn:
        return [event async for event in turn]


def test_the_manifest_says_what_the_folder_says(engines: Path) -> None:
    manifest = read_manifest(engines / "seeing")
    verify_files(engines / "seeing", manifest)
    vision = manifest.vision
    assert vision is not None and manifest.graph.embeddings and manifest.graph.mrope
    assert {"vision.onnx", "vision.onnx.data", "vision_standard.onnx"} < set(manifest.files)
    assert (vision.patch_size, vision.merge_size, vision.temporal_patch_size, vision.position_side) == (14, 2, 2, 4)
    assert (vision.min_pixels, vision.max_pixels) == (28 * 28 * 2, 28 * 28 * 2 * 40)
    assert (vision.image_token, vision.image_text) == (IMAGE, "<|image|>")
    assert vision.cosine_similarity > 0.99
    assert manifest.precision.label.endswith("INT8 vision")
    assert manifest.parameters == sum(values.numel() for values in tiny_glm4v().parameters())


async def test_a_conversation_about_a_picture_goes_on(engines: Path) -> None:
    async with everything_real(engines, "seeing") as client:
        first = await asked(client, PHOTO, Text(text="What is this?"))
        started = next(event for event in first if isinstance(event, Started))
        second = await asked(client, Text(text="Sure?"), conversation=started.conversation_id)
        stored = (await client.get_conversation(started.conversation_id)).messages
    assert isinstance(first[-1], Finished) and isinstance(second[-1], Finished)
    usages = [event.usage for turn in (first, second) for event in turn if isinstance(event, Measured)]
    assert usages[0].prompt_tokens > 10  # of the picture alone
    assert usages[1].cached_tokens >= usages[0].prompt_tokens - 1
    assert stored[0].role is Role.USER and stored[0].parts[0] == PHOTO


@pytest.mark.parametrize(
    ("part", "model", "code", "message"),
    [
        (Image(data=PHOTO.data[:200], media_type="image/png"), "", Code.INVALID_ARGUMENT, "the picture is damaged"),
        (Image(data=b"hello", media_type="image/png"), "", Code.INVALID_ARGUMENT, "not a JPEG, PNG, WebP or GIF"),
        (encoded(Pillow.new("RGB", (3000, 10))), "", Code.INVALID_ARGUMENT, "200 times as long"),
        (Audio(data=b"RIFF", media_type="audio/wav"), "", Code.UNIMPLEMENTED, "reads text and images, not audio"),
        (PHOTO, "blind", Code.UNIMPLEMENTED, "blind reads text only, not image"),
    ],
)
async def test_what_cannot_be_read_is_refused_before_it_is_stored(
    engines: Path, part: Part, model: str, code: Code, message: str
) -> None:
    async with everything_real(engines, "seeing") as client:
        with pytest.raises(RemoteError, match=message) as raised:
            await asked(client, part, Text(text="What is this?"), model=model)
        assert raised.value.code is code
        assert "\n" not in raised.value.message
        assert (await client.list_conversations()).conversations == ()


async def test_pictures_that_do_not_fit_the_context_are_refused(engines: Path) -> None:
    pictures = [encoded(photo(140, 224, seed), "JPEG") for seed in range(CONTEXT // 40 + 1)]
    async with everything_real(engines, "seeing") as client:
        with pytest.raises(RemoteError) as raised:
            await asked(client, *pictures, Text(text="Which?"))
    assert raised.value.code is Code.OUT_OF_RANGE


@pytest.mark.parametrize("default", ["seeing", "blind"])
async def test_what_cannot_fit_is_not_decoded(engines: Path, default: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message can hold 64 pictures of a few kilobytes that take seconds each; whether the engine is loaded or not."""
    decoded: list[object] = []
    monkeypatch.setattr("edged.vision.preprocess.read_patches", lambda *picture: decoded.append(picture))
    pictures = [encoded(photo(140, 224, seed)) for seed in range(CONTEXT // 40 + 1)]
    async with everything_real(engines, default) as client:
        with pytest.raises(RemoteError, match=rf"the pictures need \d+ tokens, the context holds {CONTEXT}") as raised:
            await asked(client, *pictures, Text(text="Which?"), model="seeing")
    assert raised.value.code is Code.OUT_OF_RANGE
    assert not decoded


async def test_a_client_that_left_is_not_waited_for(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first picture is being decoded, the second never is."""
    decoded: list[bytes] = []
    begun, leave = threading.Event(), threading.Event()

    def slowly(data: bytes, image_format: ImageFormat) -> None:
        decoded.append(data)
        begun.set()
        assert leave.wait(10)

    monkeypatch.setattr("edged.vision.preprocess.read_patches", slowly)
    request = GenerationRequest(
        messages=(Message(role=Role.USER, parts=(PHOTO, encoded(photo(70, 70)))),), sampling=Sampling(), model="seeing"
    )
    worker = EngineWorker(EngineConfig(default="seeing", threads=1), [engines])
    await worker.start()
    checking = asyncio.create_task(worker.check(request))
    assert await asyncio.to_thread(begun.wait, 10)
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    leave.set()
    begin_patches(b"the next", image_format(read_manifest(engines / "seeing").vision)).result(10)
    assert decoded == [PHOTO.data, b"the next"]
    await worker.close()


async def test_an_engine_that_is_not_loaded_yet_is_known_to_see(engines: Path) -> None:
    async with everything_real(engines, "blind") as client:
        assert isinstance((await asked(client, PHOTO, Text(text="?"), model="seeing"))[-1], Finished)
        with pytest.raises(RemoteError, match="damaged"):
            await asked(client, Image(data=PHOTO.data[:200], media_type="image/png"), model="seeing")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "/etc/passwd"),
        ("standard", "gone.onnx"),
        ("patch_size", 0),
        ("merge_size", 10**6),
        ("position_side", -1),
        ("max_pixels", 1),
        ("max_pixels", 2**40),
        ("rescale_factor", 0.0),
        ("mean", [0.5]),
        ("std", [0.5, 0.5, 0.0]),
        ("image_token", 10**6),
        ("image_text", ""),
    ],
)
def test_a_manifest_of_impossible_eyes_is_refused(engines: Path, tmp_path: Path, key: str, value: object) -> None:
    for path in (engines / "seeing").iterdir():
        (tmp_path / path.name).symlink_to(path)
    document = json.loads((tmp_path / FILE_NAME).read_text(encoding="utf-8"))
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).write_text(json.dumps(document | {"vision": document["vision"] | {key: value}}))
    with pytest.raises(ArtefactError, match=f"vision.{key} is out of range"):
        read_manifest(tmp_path)


def test_eyes_need_a_graph_that_takes_pictures(engines: Path, tmp_path: Path) -> None:
    manifest = read_manifest(engines / "seeing")
    for path in (engines / "seeing").iterdir():
        if path.name != FILE_NAME:
            (tmp_path / path.name).symlink_to(path)
    dataclasses.replace(manifest, graph=dataclasses.replace(manifest.graph, embeddings=False)).write(tmp_path)
    with pytest.raises(ArtefactError, match=r"graph\.embeddings is out of range"):
        read_manifest(tmp_path)


def test_verify_computes_a_picture_both_ways(engines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(engines / "seeing")]) == 0
    out = capsys.readouterr().out
    assert "vision               int8; cosine 0.99" in out
    assert "of vision.onnx with vision_standard.onnx" in out
