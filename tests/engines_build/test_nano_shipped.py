"""The nano's weights as they ship: their engine computes what training computed, and reads and hears."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from test_nano_data import PLAIN, murmuring

from edged.engine.expert_load import ExpertLoad
from edged.engine.session import Sight, TokenType
from engines.__main__ import main
from engines.nano import charts, dialogues, menus, pictures, speech, voices
from engines.nano.batches import Encoder, collate, normalised
from engines.nano.canvas import Picture
from engines.nano.export import read_checkpoint
from engines.nano.heldout import Question
from engines.nano.judge import Engine
from engines.nano.samples import Sample, Sound
from engines.nano.shape import NAME
from engines.recipe import load_recipe


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("shipped") / NAME
    assert main(["build", NAME, "--out", str(folder)]) == 0
    return Engine(folder)


def checkpoint() -> Path:
    source = load_recipe(NAME).source
    assert source is not None
    return source.find()


def conversations() -> list[Sample]:
    """Some of each kind: 2,000 tokens or so."""
    rng = random.Random(4)
    corpus = murmuring((*speech.WORDS, *speech.PAIRS, *speech.NUMBERS, *speech.COMMANDS, *speech.QUESTIONS))
    return [
        sample
        for _ in range(3)
        for sample in (
            pictures.reading(rng, PLAIN),
            pictures.several(rng, PLAIN),
            menus.ordering(rng, PLAIN),
            charts.charting(rng, PLAIN),
            speech.listening(rng, corpus, PLAIN, "command", 3.2),
            speech.asking(rng, corpus, PLAIN, 2.4),
            dialogues.talking(rng),
        )
    ]


def computed(engine: Engine, sample: Sample) -> NDArray[np.float32]:
    """Scores of every place.  # (tokens, vocabulary)"""
    rows = Encoder().rows(sample.turns)
    types = np.array([kind for _, kind, _ in rows], np.int64)
    embeddings = np.zeros((len(rows), engine.manifest.hidden_size), np.float32)
    media = [engine.embedded(part) for turn in sample.turns for part in turn.parts if isinstance(part, Picture | Sound)]
    if media:
        embeddings[types != TokenType.TEXT] = np.concatenate(media)
    tokens = [token if kind == TokenType.TEXT else -1 for token, kind, _ in rows]
    places = np.broadcast_to(np.arange(len(rows)), (3, len(rows)))
    sight = Sight(positions=places, embeddings=embeddings, types=types)
    return engine.session.prefill(engine.session.allocate(), 0, tokens, range(len(rows)), sight=sight)


@torch.no_grad()
def test_it_computes_what_training_computed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoder = read_checkpoint(checkpoint()), Encoder()
    routed: list[NDArray[np.float32]] = []
    monkeypatch.setattr(ExpertLoad, "add", lambda _, scores: routed.append(np.array(scores)))
    same = []
    for sample in conversations():
        batch = collate(encoder, [sample])
        count = int(batch.used.sum())
        pixels = None if batch.pixels is None else normalised(batch.pixels)
        expected = model.logits(model(batch.tokens, batch.types, pixels, batch.mels))[0, :count].numpy()
        routers = np.stack([mixture.router_logits.numpy()[:count] for mixture in model.mixtures()])
        routed.clear()
        found = computed(engine, sample)
        assert np.abs(found - expected).max() < 1e-2 * np.abs(expected).max()
        ours, theirs = (np.sort(scores.argsort(-1)[..., -2:]) for scores in (np.concatenate(routed, 1), routers))
        same.append((ours == theirs).all(-1).ravel())
    assert np.concatenate(same).mean() >= 0.999


def test_it_reads(engine: Engine) -> None:
    words = ("7", "42", "cat", "red", "305", "19", "dog", "house", "moon", "blue")
    asked = [
        Question(task="read", parts=(a_sign(word), "What is written in the picture?"), answer=word) for word in words
    ]
    assert sum(map(engine.is_right, asked)) >= 8


def a_sign(word: str) -> Picture:
    """In a font that it was not trained with."""
    image = Image.new("RGB", (224, 224), (235, 235, 225))
    ImageDraw.Draw(image).text((40, 80), word, fill=(20, 20, 60), font=ImageFont.load_default(56))
    return Picture(pixels=np.asarray(image))


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_it_hears(engine: Engine) -> None:
    words = ("seven", "stop", "yes", "left", "three", "off", "kitchen", "green")
    voice = voices.Voice(program="espeak-ng", name="en-us+m5")
    how = voices.Manner(words_per_minute=150, pitch=50, loudness=0.4)
    asked = []
    for word in words:
        samples = np.concatenate((np.zeros(3000), voices.say(word, voice, how), np.zeros(16000)))[:28800]
        sound = Sound(samples=samples.astype(np.float32), words=word)
        asked.append(Question(task="word", parts=(sound, "What was said?"), answer=word))
    assert sum(map(engine.is_right, asked)) >= 7
