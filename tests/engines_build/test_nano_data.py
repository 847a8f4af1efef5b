"""What the nano learns from: drawn, spoken, put into batches."""

from __future__ import annotations

import dataclasses
import itertools
import random
import shutil
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from engines.autoglm_phone.model import AUDIO, IMAGE, TEXT
from engines.nano import acoustics, charts, dialogues, fonts, heldout, hints, menus, pictures, speech, tokenizer, voices
from engines.nano.batches import Drafts, Encoder, collate, media_tokens
from engines.nano.canvas import SIZES, Look, Mark, Picture, blank, photographed
from engines.nano.samples import Sample, Sound

PLAIN = Look(fonts=fonts.Fonts((), with_default=True), noise="training")
DRAWN = dataclasses.replace(PLAIN, noise=None)
"""Draws with Pillow's own font: no system package is needed."""
MAKERS = (pictures.reading, pictures.naming, pictures.several, charts.charting, menus.ordering)


def murmuring(texts: tuple[str, ...] = (*speech.WORDS, *speech.COMMANDS, *speech.QUESTIONS)) -> speech.Corpus:
    """A corpus that nobody had to speak: noise with the right words."""
    noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    return speech.Corpus([speech.Utterance(text=text, style="neutral", samples=noise) for text in texts])


@pytest.mark.parametrize("maker", MAKERS)
def test_the_same_seed_draws_the_same(maker: Callable[[random.Random, Look], Sample]) -> None:
    one, same, other = (maker(random.Random(seed), PLAIN) for seed in (3, 3, 4))
    pixels = [np.concatenate([p.pixels.ravel() for p in s.turns[0].parts if hasattr(p, "pixels")]) for s in (one, same)]
    assert np.array_equal(*pixels)
    assert [turn.answer for turn in one.turns] == [turn.answer for turn in same.turns]
    assert other != one


@given(seed=some.integers(0, 10_000), angle=some.floats(-12, 12))
@settings(max_examples=40, deadline=None)
def test_marks_move_with_what_they_mark(seed: int, angle: float) -> None:
    rng = random.Random(seed)
    image, draw = blank((224, 224), (0, 0, 0), 2)
    x, y = rng.uniform(100, 340), rng.uniform(100, 340)
    draw.ellipse((x - 14, y - 14, x + 14, y + 14), fill=(255, 255, 255))
    picture = photographed(rng, image, [Mark(x=x, y=y, name="o")], rng.choice(SIZES), PLAIN, tilt=abs(angle))
    (mark,) = picture.marks
    bright = np.argwhere(picture.pixels.astype(int).min(-1) > 128) + 0.5
    near = bright[np.abs(bright - (mark.y, mark.x)).max(-1) < 20]  # what lies around a tilted canvas may be bright, too
    assert len(near) > 30 and np.abs(near.mean(0) - (mark.y, mark.x)).max() < 2


def test_every_letter_of_a_word_is_marked_in_its_order() -> None:
    for seed in range(30):
        picture, text = pictures.written(random.Random(seed), PLAIN)
        assert "".join(mark.name for mark in picture.marks) == text
        assert [mark.x for mark in picture.marks] == sorted(mark.x for mark in picture.marks)


def test_what_is_drawn_for_a_camera_is_marked_where_it_is() -> None:
    picture, text = pictures.written(random.Random(1), DRAWN)
    marks = hints.numbered(picture.marks)
    assert [hints.NAMES[number] for _, _, number in marks] == list(text)
    inks = [picture.pixels[max(int(y) - 12, 0) : int(y) + 12, int(x) - 12 : int(x) + 12] for x, y, _ in marks]
    assert sum(int(ink.max()) - int(ink.min()) > 60 for ink in inks) > 0.7 * len(inks)
    assert picture.tilt == 7


def test_what_is_asked_can_be_said_with_the_tokens_there_are() -> None:
    rng, encoder = random.Random(0), Encoder()
    unknown = tokenizer.tokenizer().get_vocab_size()
    assert unknown <= tokenizer.VOCAB_SIZE
    samples = [maker(rng, PLAIN) for maker in MAKERS for _ in range(40)]
    samples += [dialogues.talking(rng) for _ in range(300)]
    for turn in (turn for sample in samples for turn in sample.turns):
        for words in (*(part for part in turn.parts if isinstance(part, str)), turn.answer):
            assert tokenizer.tokenizer().decode(encoder.text(words)) == words
            assert not {letter for letter in words if letter > "\x7f"} - set(tokenizer.CHARACTERS)


def test_what_people_write_cannot_become_a_control_token() -> None:
    vocabulary = tokenizer.tokenizer()
    added = vocabulary.get_added_tokens_decoder().values()
    assert {token.content for token in added if token.special} == set(tokenizer.CONTROLS)
    assert {token.content for token in added if not token.special} == set(tokenizer.WORDS)


def test_nothing_that_is_held_out_was_learned_from() -> None:
    assert not {voice.name for voice in voices.HELD_OUT} & {voice.name for voice in voices.TRAINING}
    variants = {voice.name.partition("+")[2] for voice in voices.HELD_OUT if "+" in voice.name}
    assert not variants & {voice.name.partition("+")[2] for voice in voices.TRAINING}
    for held, learned in itertools.product(fonts.HELD_OUT, fonts.TRAINING):
        assert not held.startswith(learned) and not learned.startswith(held)


def test_a_batch_says_which_token_is_what() -> None:
    rng, corpus = random.Random(2), murmuring()
    look = dataclasses.replace(PLAIN, sizes=((160, 288),))
    samples = [speech.asking(rng, corpus, look, 2.4) for _ in range(5)]
    batch = collate(Encoder(), samples)
    parts = [part for sample in samples for part in sample.turns[0].parts]
    images = [part for part in parts if isinstance(part, Picture)]
    sounds = [part for part in parts if isinstance(part, Sound)]
    assert int((batch.types == IMAGE).sum()) == sum(map(media_tokens, images)) == 5 * 5 * 9
    assert int((batch.types == AUDIO).sum()) == sum(map(media_tokens, sounds))
    assert batch.pixels is not None and batch.pixels.shape == (5, 3, 160, 288)
    assert batch.mels is not None and batch.mels.shape[:2] == (5, 80)
    end = tokenizer.tokenizer().get_vocab()[tokenizer.END]
    for row, sample in zip(range(5), samples, strict=True):
        answer = batch.targets[row][batch.targets[row] >= 0].tolist()
        assert answer == [*Encoder().text(sample.turns[0].answer), end]
        places = torch.nonzero(batch.targets[row] >= 0).flatten()
        assert batch.types[row, places].eq(TEXT).all()
        assert batch.tokens[row, places[1:]].tolist() == answer[:-1], "each answer token is read where it was asked for"


def test_batches_depend_on_their_number_alone() -> None:
    corpus = murmuring((*speech.WORDS, *speech.PAIRS, *speech.NUMBERS, *speech.COMMANDS, *speech.QUESTIONS))
    first = list(itertools.islice(Drafts(corpus, DRAWN, seed=5, size=2), 4))
    later = next(iter(Drafts(corpus, DRAWN, seed=5, size=2, first=3)))
    assert torch.equal(first[3].tokens, later.tokens) and torch.equal(first[3].targets, later.targets)


def test_drawing_leaves_the_threads_of_training_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    next(iter(Drafts(murmuring(), DRAWN, seed=5, size=2, mixture={"picture": 1.0})))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_recording_keeps_its_length_and_its_loudness() -> None:
    speech_samples = np.sin(np.arange(12000) / 5).astype(np.float32) * np.float32(0.3)
    for seed, noise in itertools.product(range(8), ("training", "held-out")):
        heard = acoustics.heard(np.random.default_rng(seed), speech_samples, noise, 1.5)  # type: ignore[arg-type]
        assert heard.shape == (24000,) and heard.dtype == np.float32
        assert 0.15 < np.abs(heard).max() <= 1


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_styles_can_be_told_apart() -> None:
    voice = voices.Voice(program="espeak-ng", name="en-us")
    loudness = {
        style: max(
            np.abs(voices.say("kitchen", voice, voices.manner(random.Random(seed), style))).max() for seed in range(4)
        )
        for style in voices.STYLES
    }
    assert loudness["quiet"] < 0.1 < loudness["neutral"] < 0.55 < loudness["excited"]
    one = voices.say("seven", voice, voices.manner(random.Random(1), "neutral"))
    assert 0.2 < len(one) / voices.SAMPLE_RATE < 1.2


def test_questions_are_judged_one_by_one_with_their_media() -> None:
    sample: Sample = menus.ordering(random.Random(3), PLAIN)
    asked = list(heldout.questions(sample))
    assert [one.answer for one in asked] == [turn.answer for turn in sample.turns]
    assert all(one.parts[0] is sample.turns[0].parts[0] for one in asked)
    sounding = speech.listening(random.Random(3), murmuring(), PLAIN, "command", 3.2)
    assert {one.task for one in heldout.questions(sounding)} == {"command", "emotion"}
    assert all(isinstance(one.parts[0], Sound) for one in heldout.questions(sounding))
