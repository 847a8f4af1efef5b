"""A model that sees, from its folder to its answers, against transformers' Glm4vForConditionalGeneration."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image as Pillow
from tiny_checkpoints import float_session, relative_error
from tiny_glm4v import CONTEXT, IMAGE, photo, save_glm4v, tiny_glm4v
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

from edged.engine.chat_template import ChatTemplate
from edged.engine.encoder import Encoder
from edged.engine.engine import Engine
from edged.engine.generate import generate
from edged.engine.grammar import GrammarCompiler
from edged.engine.kv_cache import KvCache
from edged.engine.onnx_tower import OnnxTower
from edged.engine.perception import Perception
from edged.engine.positions import rope_positions, rope_shift
from edged.engine.prompt import PromptWriter
from edged.engine.readers import PictureReader
from edged.engine.senses import Vision
from edged.engine.tokenizer import Tokenizer
from edged.errors import ArtefactError
from edged.events import (
    Finished,
    FinishReason,
    GenerationRequest,
    Image,
    Measured,
    Message,
    Role,
    Sampling,
    Text,
    TextDelta,
    Usage,
)
from engines.checkpoint import open_checkpoint
from engines.vision.artefact import VisionFormat, write_vision

TOKENS = 12


def image(picture: Pillow.Image) -> Image:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return Image(data=file.getvalue(), media_type="image/png")


def user(*parts: str | Pillow.Image) -> Message:
    return Message(
        role=Role.USER, parts=tuple(Text(text=part) if isinstance(part, str) else image(part) for part in parts)
    )


def assistant(text: str) -> Message:
    """Its thinking is stored, and no part of the history that the model reads."""
    return Message(role=Role.ASSISTANT, parts=(Text(text=text),), reasoning="Let me think.")


TALL, WIDE = photo(140, 60, 1), photo(70, 180, 2)
CONVERSATIONS: dict[str, tuple[Message, ...]] = {
    "text only": (Message(role=Role.SYSTEM, parts=(Text(text="Be brief."),)), user("Hello there")),
    "one picture": (user(TALL, "What is this?"),),
    "a picture after words": (user("What is this?", TALL),),
    "two pictures of different shapes": (user(TALL, "and", WIDE, "Which is wider?"),),
    "the same picture twice": (user(TALL, "and", TALL, "What differs?"),),
    "two turns": (user(TALL, "What?"), assistant("A tree."), user("Sure?")),
    "two turns with a picture each": (user(TALL, "What?"), assistant("A tree."), user("And", WIDE)),
}


@dataclass
class Judge:
    """transformers on the same folder."""

    model: Any
    tokenizer: Any
    processor: Any
    template: str

    def inputs(self, messages: tuple[Message, ...]) -> dict[str, torch.Tensor]:
        conversation = [{"role": str(message.role), "content": self._content(message)} for message in messages]
        text = self.tokenizer.apply_chat_template(
            conversation, chat_template=self.template, tokenize=False, add_generation_prompt=True
        )
        pictures = [
            Pillow.open(io.BytesIO(part.data))
            for message in messages
            for part in message.parts
            if isinstance(part, Image)
        ]
        inputs: dict[str, Any] = {}
        if pictures:
            inputs = dict(self.processor(pictures, return_tensors="pt"))
            for grid in inputs["image_grid_thw"]:
                text = text.replace("<|image|>", "<PICTURE>" * int(grid.prod() // 4), 1)
        ids = self.tokenizer(text.replace("<PICTURE>", "<|image|>"), return_tensors="pt")["input_ids"]
        return inputs | {"input_ids": ids, "mm_token_type_ids": (ids == IMAGE).int()}

    @staticmethod
    def _content(message: Message) -> Any:
        if all(isinstance(part, Text) for part in message.parts):
            return message.text
        return [
            {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
            for part in message.parts
        ]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_glm4v()


@pytest.fixture(scope="module")
def folder(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_glm4v(model, tmp_path_factory.mktemp("glm4v") / "tiny")


@pytest.fixture(scope="module")
def judge(model: Any, folder: Path) -> Judge:
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    processor = Glm4vImageProcessorPil.from_pretrained(folder)
    return Judge(model, tokenizer, processor, (folder / "chat_template.jinja").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def artefact(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any, Vision]:
    """Graphs with float32 weights, and the manifest's words about pictures."""
    out = tmp_path_factory.mktemp("graphs")
    checkpoint = open_checkpoint(folder)
    vision = write_vision(checkpoint, VisionFormat(bits=32, max_pixels=0), "float32", out)
    assert vision is not None
    return out, checkpoint, float_session(checkpoint, out), vision


@pytest.fixture
def engine(artefact: tuple[Path, Any, Any, Vision], folder: Path) -> Engine[Any]:
    """With nothing in its caches."""
    out, checkpoint, session, vision = artefact
    tokenizer = Tokenizer(folder / "tokenizer.json")
    reader = PictureReader(vision)
    eyes = Encoder(reader, OnnxTower(out / vision.file, reader.input_names, threads=1), limit_bytes=2**20)
    template = ChatTemplate(checkpoint.vocabulary.chat_template, name="template")
    manifest = session._manifest
    return Engine(
        name="tiny",
        manifest=manifest,
        session=session,
        cache=KvCache(session, bytes_per_token=manifest.kv_bytes_per_token, limit_bytes=2**24),
        tokenizer=tokenizer,
        prompts=PromptWriter(tokenizer, template, context=CONTEXT, think_mark=None, readers={Image: reader}),
        prefill_chunk=32,
        senses={Image: eyes},
        grammars=GrammarCompiler(tokenizer, vocab_size=manifest.vocab_size, ends=manifest.tokens.eos),
    )


def answer(engine: Engine[Any], *messages: Message, **sampling: Any) -> tuple[str, Usage]:
    chosen = Sampling(temperature=0.0, max_tokens=TOKENS, **sampling)
    request = GenerationRequest(messages=messages, sampling=chosen)
    steps = generate(engine, request, arrived=0.0, cancelled=lambda: False)
    events = [event for step in steps for event in step]
    assert isinstance(events[-1], Finished)
    measured = next(event for event in events if isinstance(event, Measured))
    return "".join(event.text for event in events if isinstance(event, TextDelta)), measured.usage


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_prompt_positions_and_logits_equal_transformers(name: str, engine: Engine[Any], judge: Judge) -> None:
    messages = CONVERSATIONS[name]
    inputs = judge.inputs(messages)
    prompt = engine.prompts.write(messages, enable_thinking=False)
    expected = inputs["input_ids"][0].tolist()
    assert [IMAGE if token < 0 else token for token in prompt.tokens] == expected
    areas = [one.area for one in prompt.placed]
    positions, shift = judge.model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], inputs.get("image_grid_thw")
    )
    np.testing.assert_array_equal(rope_positions(len(prompt.tokens), areas), positions[:, 0].numpy())
    assert rope_shift(areas) == int(shift)
    perception = Perception(prompt, engine.senses, hidden_size=engine.manifest.hidden_size, has_axes=True)
    while perception.perceive(0, len(expected), lambda: False):
        pass
    found = engine.session.prefill(
        engine.session.allocate(), 0, prompt.tokens, range(len(expected)), perception.of(0, len(expected))
    )
    with torch.no_grad():
        assert relative_error(found, judge.model(**inputs).logits[0].numpy()) < 1e-3


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_greedy_answers_equal_transformers(name: str, engine: Engine[Any], judge: Judge) -> None:
    inputs = judge.inputs(CONVERSATIONS[name])
    count = inputs["input_ids"].shape[1]
    with torch.no_grad():
        written = judge.model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS)[0, count:].tolist()
    ends = set(engine.manifest.tokens.eos)
    kept = written[: next((place for place, token in enumerate(written) if token in ends), TOKENS)]
    text, usage = answer(engine, *CONVERSATIONS[name])
    assert (text, usage.completion_tokens) == (engine.tokenizer.decode(kept), len(kept))
    assert usage.prompt_tokens == count


def test_a_second_question_about_a_picture_computes_only_what_is_new(engine: Engine[Any]) -> None:
    first = user(TALL, "What?")
    text, before = answer(engine, first)
    _, again = answer(engine, first, assistant(text), user("Sure?"))
    assert again.cached_tokens >= before.prompt_tokens - 1
    assert engine.senses[Image].kept_bytes == 5 * 2 * 64 * 4


def test_another_picture_of_the_same_size_is_not_mistaken_for_the_first(engine: Engine[Any], judge: Judge) -> None:
    other = photo(140, 60, seed=9)
    answer(engine, user(TALL, "What?"))
    prompt = engine.prompts.write([user(other, "What?")], enable_thinking=False)
    text, usage = answer(engine, user(other, "What?"))
    assert usage.cached_tokens == prompt.placed[0].start
    engine.cache._sequences.clear()
    assert answer(engine, user(other, "What?"))[0] == text
    assert answer(engine, user(TALL, "What?"))[0] != text


def test_answers_do_not_depend_on_what_was_cached(engine: Engine[Any]) -> None:
    """Also when the cache ends within a picture: 32 tokens of prompt are computed at a time."""
    asked = user(TALL, WIDE, "Which?")
    expected, _ = answer(engine, asked)
    for keep in (3, 8, 15, 20, 30):
        engine.cache._sequences[0].tokens[keep:] = []
        text, usage = answer(engine, asked)
        assert (text, usage.cached_tokens) == (expected, keep)


def test_what_a_user_types_is_no_picture(engine: Engine[Any]) -> None:
    prompt = engine.prompts.write([user(TALL, "See <|image|> and <|begin_of_image|>.")], enable_thinking=False)
    assert len(prompt.placed) == 1
    assert IMAGE not in prompt.tokens
    assert engine.prompts.write([user("<|image|>")], enable_thinking=False).placed == ()


def test_penalties_know_no_parts_of_pictures(engine: Engine[Any]) -> None:
    _, usage = answer(engine, user(TALL, "?"), repetition_penalty=1.3, frequency_penalty=0.2, presence_penalty=0.1)
    assert usage.completion_tokens


def test_a_template_without_a_place_for_pictures_is_an_error(engine: Engine[Any]) -> None:
    blind = ChatTemplate("{{ messages[0].content }}", name="blind")
    readers = {Image: engine.senses[Image].reader}
    writer = PromptWriter(engine.tokenizer, blind, context=CONTEXT, think_mark=None, readers=readers)
    with pytest.raises(ArtefactError, match="places for 0 pictures, there are 1"):
        writer.write([user(TALL)], enable_thinking=False)


def test_a_cancelled_answer_stops_before_the_picture_is_read(engine: Engine[Any]) -> None:
    request = GenerationRequest(messages=(user(TALL, "?"),), sampling=Sampling(max_tokens=TOKENS))
    looks = iter([False, True, True, True])
    steps = generate(engine, request, arrived=0.0, cancelled=lambda: next(looks, True))
    events = [event for step in steps for event in step]
    assert events[-1] == Finished(finish_reason=FinishReason.CANCELLED)


def test_old_pictures_are_dropped_with_their_turns(engine: Engine[Any]) -> None:
    history = [message for number in range(14) for message in (user(photo(140, 280, number), "?"), assistant("A."))]
    prompt = engine.prompts.fit([*history, user(TALL, "?")], enable_thinking=False, max_tokens=64)
    assert prompt.dropped_messages > 0
    assert [one.percept.rows for one in prompt.placed][-1] == 5
    assert len(prompt.tokens) <= CONTEXT - 64
