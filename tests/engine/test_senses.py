"""An engine with its own eyes and ears: pictures and recordings as parts of a prompt, in any number and order."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from edged.config import EngineConfig
from edged.engine.engine import Engine, load_engine
from edged.engine.generate import generate
from edged.engine.perception import Perception
from edged.engine.prompt import Prompt
from edged.engine.session import TokenType
from edged.errors import ArtefactError, ContextOverflow, InvalidInput, UnsupportedPart
from edged.events import (
    Audio,
    Finished,
    FinishReason,
    GenerationRequest,
    Image,
    Measured,
    Message,
    Part,
    Role,
    Sampling,
    Text,
    TextDelta,
    Usage,
)
from tests.audio.recordings import encoded, tone
from tests.sensing_artefact import MAX_SECONDS, sensing_artefact
from tests.tiny_artefact import HIDDEN, tiny_artefact

CHUNK = 16
TOKENS = 10


def picture(width: int, height: int, seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    return Image(data=file.getvalue(), media_type="image/png")


def recording(seconds: float, hertz: float = 440, rate: int = 16_000) -> Audio:
    return Audio(data=encoded(tone(seconds, rate, hertz=hertz), rate), media_type="audio/wav")


SMALL, WIDE, SOUND, OTHER_SOUND = picture(64, 64), picture(160, 96, 1), recording(1.0), recording(0.3, 900, 44_100)
MESSAGES: dict[str, tuple[Part | str, ...]] = {
    "a picture": (SMALL, "What is this?"),
    "a recording": (SOUND, "What is said?"),
    "a recording alone": (SOUND,),
    "a picture and a spoken question": (WIDE, SOUND),
    "words between all of them": ("See", SMALL, "and", WIDE, "then hear", SOUND, "or", OTHER_SOUND, "Which?"),
    "the same twice": (SMALL, SOUND, SMALL, SOUND),
}


def user(*parts: Part | str) -> Message:
    return Message(role=Role.USER, parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def assistant(text: str) -> Message:
    return Message(role=Role.ASSISTANT, parts=(Text(text=text),))


@pytest.fixture(scope="module", params=["types", "embeddings"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines with adapters by what a token is part of, and without."""
    folder = tmp_path_factory.mktemp("senses")
    tiny_artefact(folder, "blind")
    sensing_artefact(folder, "deaf", ears=False, entering=request.param)
    sensing_artefact(folder, entering=request.param)
    return folder


@pytest.fixture
def engine(folder: Path) -> Engine[Any]:
    """With nothing in its caches."""
    return load_engine(folder / "sensing", EngineConfig(prefill_chunk=CHUNK, threads=1))


def answer(engine: Engine[Any], *messages: Message) -> tuple[str, Usage]:
    request = GenerationRequest(messages=messages, sampling=Sampling(temperature=0.0, max_tokens=TOKENS))
    events = [event for step in generate(engine, request, arrived=0.0, cancelled=lambda: False) for event in step]
    assert isinstance(events[-1], Finished)
    measured = next(event for event in events if isinstance(event, Measured))
    return "".join(event.text for event in events if isinstance(event, TextDelta)), measured.usage


def perceived(engine: Engine[Any], prompt: Prompt) -> Perception:
    perception = Perception(prompt, engine.senses, hidden_size=HIDDEN, has_axes=engine.manifest.graph.mrope)
    while perception.perceive(0, len(prompt.tokens), lambda: False):
        pass
    return perception


def all_logits(engine: Engine[Any], prompt: Prompt, after: list[int]) -> np.ndarray[Any, Any]:
    """One pass over the prompt and the tokens that follow it, with nothing cached."""
    tokens = [*prompt.tokens, *after]
    longer = Prompt(tokens=tokens, is_thinking=False, placed=prompt.placed)
    sight = perceived(engine, longer).of(0, len(tokens))
    session = engine.session
    return session.prefill(session.allocate(), 0, tokens, range(len(tokens)), sight)


@pytest.mark.parametrize("name", MESSAGES)
def test_each_file_stands_where_the_message_has_it(name: str, engine: Engine[Any]) -> None:
    parts = MESSAGES[name]
    prompt = engine.prompts.write([user(*parts)], enable_thinking=False)
    files = [part for part in parts if not isinstance(part, str)]
    assert [one.percept.data for one in prompt.placed] == [file.data for file in files]
    sizes = {SMALL: 4, WIDE: 15, SOUND: 13, OTHER_SOUND: 4}
    assert [one.stop - one.start for one in prompt.placed] == [sizes[file] for file in files]
    left = list(prompt.tokens)
    for one in reversed(prompt.placed):
        assert tuple(left[one.start : one.stop]) == one.percept.tokens
        left[one.start : one.stop] = [-1 if one.percept.type is TokenType.IMAGE else -2]
    expected = ["<|user|>"]
    for part in parts:
        kind = "image" if isinstance(part, Image) else "audio"
        expected.append(part if isinstance(part, str) else f"<|begin_of_{kind}|><|{kind}|><|end_of_{kind}|>")
    marks = {-1: "<|image|>", -2: "<|audio|>"}
    known = {number: text for text, number in engine.tokenizer.control_tokens.items()} | marks
    written = "".join(known.get(token) or engine.tokenizer.decode([token]) for token in left)
    assert written == "".join(expected) + "<|assistant|>"


def test_files_in_between_are_what_each_is_alone(engine: Engine[Any]) -> None:
    prompt = engine.prompts.write([user(*MESSAGES["words between all of them"])], enable_thinking=False)
    sight = perceived(engine, prompt).of(0, len(prompt.tokens))
    assert sight is not None
    shown = np.zeros(len(prompt.tokens), np.int64)
    for one in prompt.placed:
        alone = engine.prompts.write([user(picture_or_sound(one.percept.data))], enable_thinking=False)
        (single,) = alone.placed
        own = perceived(engine, alone).of(0, len(alone.tokens))
        assert own is not None
        rows = own.embeddings[single.start : single.stop]
        np.testing.assert_array_equal(sight.embeddings[one.start : one.stop], rows)
        assert np.abs(rows).min() > 0
        shown[one.start : one.stop] = one.percept.type
    np.testing.assert_array_equal(sight.types, shown)
    assert not sight.embeddings[shown == 0].any()
    np.testing.assert_array_equal(sight.positions, np.tile(np.arange(len(prompt.tokens)), (3, 1)))


def picture_or_sound(data: bytes) -> Part:
    return next(part for part in (SMALL, WIDE, SOUND, OTHER_SOUND) if part.data == data)


@pytest.mark.parametrize("name", MESSAGES)
def test_cached_decoding_equals_one_pass_over_everything(name: str, engine: Engine[Any]) -> None:
    """In chunks that cut pictures and recordings."""
    prompt = engine.prompts.write([user(*MESSAGES[name])], enable_thinking=False)
    after = engine.tokenizer.encode("hello there")
    expected = all_logits(engine, prompt, after)
    perception, session = perceived(engine, prompt), engine.session
    assert perception.shift == 0
    memory, found = session.allocate(), []
    for start in range(0, len(prompt.tokens), 7):
        stop = min(start + 7, len(prompt.tokens))
        tokens = prompt.tokens[start:stop]
        found.append(session.prefill(memory, start, tokens, range(len(tokens)), perception.of(start, stop)))
    for place, token in enumerate(after, len(prompt.tokens)):
        found.append(session.decode(memory, place, token, perception.shift)[None].copy())
    np.testing.assert_allclose(np.concatenate(found), expected, atol=2e-4)


def test_what_is_seen_and_heard_matters_and_so_does_its_place(engine: Engine[Any]) -> None:
    asked = [
        (SMALL, SOUND, "?"),
        (SOUND, SMALL, "?"),
        (picture(64, 64, 9), SOUND, "?"),
        (SMALL, recording(1.0, 700), "?"),
    ]
    scores = []
    for parts in asked:
        prompt = engine.prompts.write([user(*parts)], enable_thinking=False)
        scores.append(all_logits(engine, prompt, [])[-1])
    for index, one in enumerate(scores):
        for other in scores[:index]:
            assert np.abs(one - other).max() > 0.01


@pytest.mark.parametrize("name", MESSAGES)
def test_the_next_turn_computes_only_what_is_new(name: str, engine: Engine[Any]) -> None:
    first = user(*MESSAGES[name])
    text, before = answer(engine, first)
    kept = {media: encoder.kept_bytes for media, encoder in engine.senses.items()}
    later, again = answer(engine, first, assistant(text), user("And", OTHER_SOUND, "?"))
    assert again.cached_tokens >= before.prompt_tokens - 1
    assert engine.senses[Image].kept_bytes == kept[Image]
    engine.cache._sequences.clear()
    assert answer(engine, first, assistant(text), user("And", OTHER_SOUND, "?"))[0] == later


def test_answers_do_not_depend_on_where_the_cache_ends(engine: Engine[Any]) -> None:
    asked = user(SMALL, SOUND, WIDE, "Which?")
    expected, usage = answer(engine, asked)
    for keep in (1, 3, 9, 12, 20, 30, usage.prompt_tokens - 1):
        engine.cache._sequences[0].tokens[keep:] = []
        text, usage = answer(engine, asked)
        assert (text, usage.cached_tokens) == (expected, keep)


def test_another_recording_of_the_same_length_is_not_mistaken_for_the_first(engine: Engine[Any]) -> None:
    answer(engine, user(SOUND, "?"))
    prompt = engine.prompts.write([user(SOUND, "?")], enable_thinking=False)
    _, usage = answer(engine, user(recording(1.0, 441), "?"))
    assert usage.cached_tokens == prompt.placed[0].start


def test_what_a_user_types_is_no_recording(engine: Engine[Any]) -> None:
    prompt = engine.prompts.write([user(SOUND, "<|audio|> <|begin_of_audio|> <|image|>")], enable_thinking=False)
    assert len(prompt.placed) == 1
    assert engine.prompts.write([user("<|audio|><|image|>")], enable_thinking=False).placed == ()


@pytest.mark.parametrize(
    ("name", "part", "message"),
    [
        ("blind", SMALL, "blind reads text only, not image; choose another engine with --model"),
        ("blind", SOUND, "blind reads text only, not audio; choose another engine with --model"),
        ("deaf", SOUND, "deaf reads text and images, not audio; choose another engine with --model"),
    ],
)
def test_what_an_engine_cannot_take_is_refused(name: str, part: Part, message: str, folder: Path) -> None:
    with pytest.raises(UnsupportedPart, match=message):
        answer(load_engine(folder / name, EngineConfig(threads=1)), user(part, "?"))


def test_too_long_a_recording_is_refused(engine: Engine[Any]) -> None:
    with pytest.raises(InvalidInput, match=rf"{MAX_SECONDS} seconds at most, this one is 4\.0 seconds long"):
        answer(engine, user(recording(4.0), "?"))


def test_what_does_not_fit_the_context_is_refused(engine: Engine[Any]) -> None:
    with pytest.raises(ContextOverflow, match="the context holds 512"):
        answer(engine, user(*[recording(3.0, 400 + number) for number in range(14)]))


def test_old_recordings_are_dropped_with_their_turns(engine: Engine[Any]) -> None:
    history = [
        message for number in range(16) for message in (user(recording(3.0, 400 + number)), assistant("A tone."))
    ]
    prompt = engine.prompts.fit([*history, user(SOUND, "?")], enable_thinking=False, max_tokens=64)
    assert prompt.dropped_messages > 0 and prompt.placed[-1].percept.data == SOUND.data
    assert len(prompt.tokens) <= 512 - 64


def test_a_template_with_places_in_another_order_is_an_error(
    engine: Engine[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.prompts._template, "render", lambda *_, **__: "<|image|><|audio|>")
    with pytest.raises(ArtefactError, match="places for image then audio, there are audio then image"):
        engine.prompts.write([user(SOUND, SMALL)], enable_thinking=False)
    with pytest.raises(ArtefactError, match="places for image then audio, there are 1 recordings"):
        engine.prompts.write([user(SOUND)], enable_thinking=False)


def test_cancelling_while_a_recording_is_computed_ends_soon(folder: Path) -> None:
    sensing_artefact(folder, "slow", slow_ms=6_000)
    engine = load_engine(folder / "slow", EngineConfig(threads=1))
    request = GenerationRequest(messages=(user(SOUND, "?"),), sampling=Sampling(max_tokens=TOKENS))
    looks = iter([False, False, False])
    steps = generate(engine, request, arrived=0.0, cancelled=lambda: next(looks, True))
    events = [event for step in steps for event in step]
    assert events[-1] == Finished(finish_reason=FinishReason.CANCELLED)
    assert engine.senses[Audio].kept_bytes == 0
