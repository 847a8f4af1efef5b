"""What a room and a microphone do to speech, a batch at a time: speed, echo, noise, silence around it.

`acoustics.heard` does the like to one recording; a GPU takes hundreds at once, and another way each time.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from edged.audio.mel import AUTOGLM_PHONE, FLOOR, hann, mel_filters

from .hints import spelling
from .speech import Corpus
from .voices import SAMPLE_RATE, Samples

_TAIL = int(0.35 * SAMPLE_RATE)
"""Samples of the longest echo."""


class Microphone:
    """A corpus, to be recorded in any order."""

    def __init__(self, corpus: Corpus, device: torch.device) -> None:
        spoken = corpus.utterances
        lengths = torch.tensor([len(utterance.samples) for utterance in spoken])
        self._samples = torch.from_numpy(np.concatenate([_integers(one.samples) for one in spoken])).to(device)
        self._starts, self._lengths = (lengths.cumsum(0) - lengths).to(device), lengths.to(device)
        self._said = pad_sequence([spelling(one.text) for one in spoken], batch_first=True).to(device)

    def said(self, utterances: Tensor) -> Tensor:
        """Letters of each, then zeros, see `hints`.  # (recordings, letters)"""
        return self._said[utterances]

    def record(self, utterances: Tensor, length: int, random: torch.Generator) -> Tensor:
        """Spectra of recordings of so many samples.  # (recordings,) to (recordings, mel bins, frames)"""
        dry = self._placed(utterances, length, random)
        heard = _in_rooms(_coloured(dry, random), random)
        heard = heard + _noise_of(dry, self._lengths[utterances].clamp(max=length), random)
        return log_mels(heard.clamp(-1, 1))

    def _placed(self, utterances: Tensor, length: int, random: torch.Generator) -> Tensor:
        """Each somewhere in its recording, every sixth at its beginning or its end, half of them at another speed; cut
        where it does not fit."""
        draw = torch.rand(3, len(utterances), 1, generator=random, device=utterances.device)
        step = torch.where(draw[0] < 0.5, 0.9 + 0.22 * draw[1], 1.0)
        spoken = self._lengths[utterances][:, None] - 1
        begin = ((1.5 * draw[2] - 0.25).clamp(0, 1) * (length - spoken / step).clamp(min=0)).floor()
        place = (torch.arange(length, device=utterances.device) - begin) * step
        is_within = (place >= 0) & (place < spoken)
        whole = torch.where(is_within, place, 0.0).floor()
        index = self._starts[utterances][:, None] + whole.long()
        before, after = (self._samples[each].float() / 32767 for each in (index, index + 1))
        return torch.where(is_within, torch.lerp(before, after, place - whole), 0.0)


def _coloured(dry: Tensor, random: torch.Generator) -> Tensor:
    """Brighter or duller, as one microphone and another: up to 4 dB an octave of pitch, as loud as before."""
    draw = torch.rand(2, len(dry), 1, generator=random, device=dry.device)
    size = 1 << dry.shape[1].bit_length()
    slope = torch.where(draw[0] < 0.5, 1.3 * draw[1] - 0.65, 0.0)
    bins = torch.arange(size // 2 + 1, device=dry.device).clamp(min=8) / size
    tilted = torch.fft.irfft(torch.fft.rfft(dry, size) * bins**slope, size)[:, : dry.shape[1]]
    return _as_loud_as(dry, tilted)


def _in_rooms(dry: Tensor, random: torch.Generator) -> Tensor:
    """Two of five folded with a decaying tail, as loud as before."""
    count, length = dry.shape
    draw = torch.rand(3, count, 1, generator=random, device=dry.device)
    time = torch.arange(_TAIL, device=dry.device)
    long = (0.05 + 0.3 * draw[0]) * SAMPLE_RATE
    tail = torch.randn(count, _TAIL, generator=random, device=dry.device) * torch.exp(-6.9 * time / long)
    tail = tail * (time < long) * (0.02 + 0.08 * draw[1])
    tail[:, 0] = 1
    size = 1 << (length + _TAIL).bit_length()
    wet = torch.fft.irfft(torch.fft.rfft(dry, size) * torch.fft.rfft(tail, size), size)[:, :length]
    return torch.where(draw[2] < 0.4, _as_loud_as(dry, wet), dry)


def _as_loud_as(before: Tensor, after: Tensor) -> Tensor:
    loudest = [sound.abs().amax(1, keepdim=True).clamp(min=1e-6) for sound in (before, after)]
    return after * loudest[0] / loudest[1]


def _noise_of(dry: Tensor, spoken: Tensor, random: torch.Generator) -> Tensor:
    """White to pink or a hum, 8 to 35 dB under the speech, in seven of ten.  # (recordings, samples)"""
    count, length = dry.shape
    draw = torch.rand(7, count, 1, generator=random, device=dry.device)
    white = torch.randn(count, length, generator=random, device=dry.device)
    size = 1 << length.bit_length()
    bins = torch.arange(size // 2 + 1, device=dry.device).clamp(min=8)
    pink = torch.fft.irfft(torch.fft.rfft(white, size) / bins ** (0.3 + 0.5 * draw[6]), size)[:, :length]
    time = torch.arange(length, device=dry.device) / SAMPLE_RATE
    tones = [torch.sin(2 * math.pi * (40 + 360 * each) * time) for each in draw[2:5]]
    hum = torch.stack(tones).sum(0) + 0.1 * white
    shaped = torch.where(draw[0] < 1 / 3, white, torch.where(draw[0] < 2 / 3, pink, hum))
    shaped = shaped / (shaped.square().mean(1, keepdim=True) + 1e-12).sqrt()
    level = (dry.square().sum(1) / spoken + 1e-9).sqrt()[:, None] * 10 ** (-(8 + 27 * draw[1]) / 20)
    return torch.where(draw[5] < 0.7, level * shaped, 0.0)


def log_mels(recordings: Tensor) -> Tensor:
    """`edged.audio.mel.log_mel` of each.  # (recordings, samples) to (recordings, mel bins, frames)"""
    frames, hop, window = AUTOGLM_PHONE.frames(recordings.shape[1]), AUTOGLM_PHONE.hop, AUTOGLM_PHONE.window
    padded = functional.pad(recordings, (0, frames * hop + window - hop - recordings.shape[1]))
    shape, filters = _constants(recordings.device)
    spectrum = torch.fft.rfft(padded.unfold(1, window, hop) * shape, AUTOGLM_PHONE.transform)
    bands: Tensor = (spectrum.real.square() + spectrum.imag.square()) @ filters
    return ((bands.clamp(min=FLOOR).log10() + 4) / 4).transpose(1, 2).contiguous()


@functools.cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """The window and the bands."""
    both = hann(AUTOGLM_PHONE.window), mel_filters(AUTOGLM_PHONE)
    return torch.from_numpy(both[0]).to(device), torch.from_numpy(both[1]).to(device)


def _integers(samples: Samples) -> NDArray[np.int16]:
    return np.clip(samples * 32767, -32768, 32767).astype(np.int16)
