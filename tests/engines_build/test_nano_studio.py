"""What happens to drafts on the device that trains: against the like done to one picture or recording at a time."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_nano_data import DRAWN, murmuring
from torch.nn import functional

from edged.audio.mel import log_mel
from engines.nano import batches, camera, hints, microphone, speech
from engines.nano.studio import Studio

EVERYTHING = (*speech.WORDS, *speech.PAIRS, *speech.NUMBERS, *speech.COMMANDS, *speech.QUESTIONS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_spectra_are_those_of_the_run_time() -> None:
    sounds = torch.randn(3, 25_600, generator=seeded()) / 5
    for spectrum, sound in zip(microphone.log_mels(sounds), sounds, strict=True):
        assert np.allclose(spectrum, log_mel(sound.numpy()), atol=1e-4)


def test_spelling_costs_what_pytorch_says_it_costs() -> None:
    said = torch.tensor([[1, 2, 2, 3, 0, 0], [5, 5, 5, 5, 5, 5], [4, 0, 0, 0, 0, 0], [9, 8, 7, 6, 5, 4]])
    logits = torch.randn(4, 11, 12, generator=seeded(), requires_grad=True)
    found = hints.ctc_loss(logits.log_softmax(-1), said)
    lengths = torch.full((4,), 11)
    truth = functional.ctc_loss(
        logits.log_softmax(-1).transpose(0, 1), said, lengths, (said > 0).sum(1), zero_infinity=True
    )
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (found, truth)]
    assert torch.allclose(found, truth, rtol=1e-5)
    assert torch.allclose(*gradients, atol=1e-5)


def test_what_cannot_be_spelled_in_so_few_states_costs_nothing() -> None:
    said = torch.tensor([[5, 5, 5, 5, 5, 5]])  # needs eleven states
    logits = torch.randn(1, 10, 12, generator=seeded(), requires_grad=True)
    loss = hints.ctc_loss(logits.log_softmax(-1), said)
    assert loss == 0
    assert not torch.autograd.grad(loss, logits)[0].any()


def dots(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey pictures with a white dot each, and where it is."""
    rng = random.Random(3)
    pixels = torch.full((count, 3, 96, 160), 100, dtype=torch.uint8)
    marks = torch.zeros(count, 2, 3)
    for index in range(count):
        x, y = rng.randrange(40, 120), rng.randrange(30, 66)
        pixels[index, :, y - 3 : y + 4, x - 3 : x + 4] = 255
        marks[index, 0] = torch.tensor([x + 0.5, y + 0.5, 7])
    return pixels, marks


@pytest.mark.parametrize("stride", [16, 8])
def test_marks_go_where_the_camera_moves_what_they_mark(stride: int) -> None:
    pixels, marks = dots(64)
    taken, cells = camera.photograph(pixels, marks, torch.full((64,), 20.0), stride, seeded())
    moved = 0
    for picture, grid, mark in zip(taken, cells, marks, strict=True):
        ((row, column),) = (grid == 7).nonzero().tolist()
        smooth = functional.avg_pool2d(picture.mean(0)[None, None], 5, 1, 2)[0, 0]
        inner = smooth[16:-16, 24:-24]
        y, x = divmod(int(inner.argmax()), inner.shape[1])
        assert (
            abs(y + 16 - stride * (row + 0.5)) < stride / 2 + 3
            and abs(x + 24 - stride * (column + 0.5)) < stride / 2 + 3
        )
        moved += (row, column) != (int(mark[0, 1] // stride), int(mark[0, 0] // stride))
    assert moved > 10, "they are tilted"


def test_most_is_left_as_it_is_drawn_and_some_of_everything_happens() -> None:
    pixels, marks = dots(400)
    taken, _ = camera.photograph(pixels, marks, torch.zeros(400), 16, seeded())
    apart = (taken - pixels).abs().flatten(1)
    untouched = (apart.amax(1) < 0.01).float().mean()
    assert 0.1 < untouched < 0.4
    assert taken.min() >= 0 and taken.max() <= 255
    assert (apart.mean(1) > 5).any() and (apart.mean(1) < 30).all()


def test_of_several_marks_in_a_place_the_last_counts_and_none_outside() -> None:
    marks = torch.tensor([[[5.0, 5, 9], [6, 6, 3], [-1, 5, 4], [5, 99, 4], [20, 5, 0]]])
    cells = camera._cells(marks, 2, 2, 16)
    assert cells.tolist() == [[[3, 0], [0, 0]]]


def test_speech_is_where_the_recording_says_and_as_loud_as_it_was() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 700 * np.arange(8_000) / 16_000).astype(np.float32)
    corpus = speech.Corpus([speech.Utterance(text="stop", style="neutral", samples=tone)])
    placed = microphone.Microphone(corpus, torch.device("cpu"))._placed(
        torch.zeros(50, dtype=torch.long), 16_000, seeded()
    )
    loud = (placed.abs() > 1e-3).float()
    assert 0.49 < placed.abs().max() < 0.51
    assert loud.sum(1).min() > 6_900 and loud.sum(1).max() < 8_950
    starts, ends = loud.argmax(1), 16_000 - loud.flip(1).argmax(1)
    assert starts.min() < 2_000 and starts.max() > 5_000
    assert 2 < (starts < 4).sum() < 20 and 2 < (ends > 15_990).sum() < 20, "some begin at once, some end with it"


def test_how_long_a_recording_is_does_not_tell_what_is_said() -> None:
    word, number, command = (set(batches._SECONDS[task]) for task in ("word", "number", "command"))
    assert word == number and command <= word


def test_noise_is_as_far_below_the_speech_as_it_says() -> None:
    dry = torch.zeros(300, 16_000)
    dry[:, :8_000] = torch.randn(8_000, generator=seeded()) * 0.1
    noise = microphone._noise_of(dry, torch.full((300,), 8_000), seeded(1))
    decibels = 20 * (noise.square().mean(1).sqrt() / 0.1).log10()
    heard = decibels[decibels > -100]
    assert 0.6 < len(heard) / 300 < 0.8
    assert heard.min() > -36 and heard.max() < -7


@pytest.mark.parametrize("kind", list(batches.EVERYTHING))
def test_a_draft_becomes_the_same_batch_again(kind: str) -> None:
    corpus = murmuring(EVERYTHING)
    studio = Studio(corpus, torch.device("cpu"))
    draft = next(iter(batches.Drafts(corpus, DRAWN, seed=5, size=4, mixture={kind: 1.0})))
    one, other = studio.batch(draft), studio.batch(draft)
    another = studio.batch(replace(draft, seed=draft.seed + 1))
    assert draft.tokens.shape == (2 if kind in batches._LARGE else 4, batches._LENGTHS[kind])
    for name in ("pixels", "mels", "cells", "said"):
        value = getattr(one, name)
        if value is not None:
            assert torch.equal(value, getattr(other, name))
    if one.pixels is not None:
        assert not torch.equal(one.pixels, another.pixels)
        assert one.cells is not None and (one.cells > 0).any()
        assert len(one.pixels) * (one.pixels.shape[2] // 32) * (one.pixels.shape[3] // 32) == (one.types == 1).sum()
    if one.mels is not None:
        assert one.said is not None and not torch.equal(one.mels, another.mels)
        assert len(one.mels) * one.mels.shape[2] // 8 == (one.types == 2).sum()
