"""What the nano reads when it serves is what it read when it was trained: tokens, types, pixels and spectra."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from edged.engine.chat_template import ChatTemplate
from edged.engine.encoder import Encoder as SenseEncoder
from edged.engine.encoder import MediaType
from edged.engine.manifest import read_manifest
from edged.engine.onnx_tower import OnnxTower
from edged.engine.perception import Perception
from edged.engine.prompt import PromptWriter
from edged.engine.readers import readers
from edged.engine.tokenizer import Tokenizer
from edged.events import Audio, Image, Message, Part, Role, Text
from engines.nano.batches import Encoder, collate, normalised
from engines.nano.samples import Picture, Sample, Sound, Turn
from engines.nano.tokenizer import tokenizer, write_vocabulary
from tests.audio.recordings import encoded, tone
from tests.sensing_artefact import sensing_artefact
from tests.tiny_artefact import HIDDEN

random = np.random.default_rng(0)
PICTURE = Picture(pixels=random.integers(0, 256, (96, 160, 3), dtype=np.uint8))
SOUND = Sound(samples=tone(1.6)[:, 0], words="stop")
SAMPLES = {
    "words": (Turn(parts=("What is written in the picture?",), answer="7"),),
    "picture first": (Turn(parts=(PICTURE, "Read the text, user"), answer="42"),),
    "both": (Turn(parts=(PICTURE, SOUND), answer="red"),),
    "several turns": (
        Turn(parts=(SOUND, "What did the speaker say?"), answer="stop"),
        Turn(parts=("图片里写着什么？", PICTURE, PICTURE), answer="7"),
        Turn(parts=("你好！",), answer="你好！"),
    ),
}


def part_of(part: str | Picture | Sound) -> Part:
    match part:
        case str():
            return Text(text=part)
        case Picture(pixels=pixels):
            file = io.BytesIO()
            Pillow.fromarray(pixels).save(file, "PNG")
            return Image(data=file.getvalue(), media_type="image/png")
        case Sound(samples=samples):
            return Audio(data=encoded(samples, encoding="FLOAT"), media_type="audio/wav")


def messages_of(turns: tuple[Turn, ...]) -> list[Message]:
    """The last answer is the model's to give."""
    messages = []
    for turn in turns:
        messages.append(Message(role=Role.USER, parts=tuple(map(part_of, turn.parts))))
        messages.append(Message(role=Role.ASSISTANT, parts=(Text(text=turn.answer),)))
    return messages[:-1]


@pytest.fixture(scope="module")
def senses(tmp_path_factory: pytest.TempPathFactory) -> dict[MediaType, SenseEncoder]:
    """Eyes and ears that know the nano's tokens."""
    folder = sensing_artefact(tmp_path_factory.mktemp("senses"))
    manifest, numbers = read_manifest(folder), tokenizer().get_vocab()
    assert manifest.vision and manifest.audio
    manifest = replace(
        manifest,
        vision=replace(manifest.vision, image_token=numbers["<|image|>"]),
        audio=replace(manifest.audio, audio_token=numbers["<|audio|>"]),
    )
    return {
        media: SenseEncoder(reader, OnnxTower(folder / reader.file, reader.input_names, threads=1), limit_bytes=2**20)
        for media, reader in readers(manifest).items()
    }


@pytest.fixture(scope="module")
def writer(senses: dict[MediaType, SenseEncoder], tmp_path_factory: pytest.TempPathFactory) -> PromptWriter:
    folder = tmp_path_factory.mktemp("nano")
    write_vocabulary(folder)
    return PromptWriter(
        Tokenizer(folder / "tokenizer.json"),
        ChatTemplate((folder / "chat_template.jinja").read_text(encoding="utf-8"), name="nano"),
        context=1024,
        think_mark=None,
        readers={media: sense.reader for media, sense in senses.items()},
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_tokens_and_types_are_those_of_training(
    name: str, writer: PromptWriter, senses: dict[MediaType, SenseEncoder]
) -> None:
    turns = SAMPLES[name]
    rows = Encoder().rows(turns, is_open=True)
    system = Message(role=Role.SYSTEM, parts=(Text(text="Be brief."),))
    prompt = writer.write([system, *messages_of(turns)], enable_thinking=False)
    numbers = tokenizer().get_vocab()
    marks = {one.percept.type: numbers[f"<|{one.percept.type.name.lower()}|>"] for one in prompt.placed}
    perception = Perception(prompt, senses, hidden_size=HIDDEN, has_axes=False)
    while perception.perceive(0, len(prompt.tokens), lambda: False):
        pass
    sight = perception.of(0, len(prompt.tokens))
    types = [0] * len(prompt.tokens) if sight is None else sight.types.tolist()
    tokens = [marks[kind] if kind else token for token, kind in zip(prompt.tokens, types, strict=True)]
    assert (tokens, types) == ([token for token, *_ in rows], [kind for _, kind, _ in rows])


def test_pixels_and_spectra_are_those_of_training(senses: dict[MediaType, SenseEncoder]) -> None:
    batch = collate(Encoder(), [Sample(task="both", turns=SAMPLES["both"])])
    assert batch.pixels is not None and batch.mels is not None
    found = {}
    for part in messages_of(SAMPLES["both"])[0].parts:
        assert not isinstance(part, Text)
        reader = senses[type(part)].reader
        found |= reader.inputs(reader.begin(part.data).result(10))
    torch.testing.assert_close(torch.from_numpy(found["pixels"]), normalised(batch.pixels), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.from_numpy(found["mel"]), batch.mels)
